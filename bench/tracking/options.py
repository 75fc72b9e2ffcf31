"""The options of a night: what it measures, where it keeps results, what it does with them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from bench.spec.options import Doc, Options
from bench.text.errors import BadInput, unknown

_FILE_NAME = re.compile(r"\w[\w.-]{0,63}")


class MeasuringOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured, and what it is compared with."""

    base: Annotated[
        str | None,
        Doc("compare with this commit and not with the last good one; no verdict is kept", "REV"),
    ] = None
    profile: Annotated[str, Doc("how much is measured", "NAME")] = "nightly"
    bench: Annotated[
        tuple[str, ...], Doc("only benchmarks that match; no verdict is kept", "REGEX")
    ] = ()
    machine: Annotated[
        str | None, Doc("keep results under this name; without it the host's", "NAME")
    ] = None
    commits: Annotated[int, Doc("measure at most N new commits", "N")] = 5
    rounds: Annotated[
        int,
        Doc("measure times that seem worse again in N rounds, both commits in turn", "N"),
    ] = 3
    require_gpu: Annotated[bool, Doc("refuse to run without a GPU")] = False

    def check(self, profiles: Sequence[str]) -> None:
        """Refuse what can be refused before anything is done.

        Args:
            profiles: The profiles that there are.

        Raises:
            BadInput: A name is empty or unknown, a number out of its range, or a text no regular
                expression.
        """
        _refuse_empty("base", self.base)
        _refuse_empty("machine", self.machine)
        if self.machine is not None and not _FILE_NAME.fullmatch(self.machine):
            raise BadInput(
                f"--machine {self.machine!r} is no file's name: up to 64 letters, digits, '.', '-'"
                " and '_'"
            )
        if self.profile not in profiles:
            raise unknown("profile", self.profile, profiles)
        for name, number in (("commits", self.commits), ("rounds", self.rounds)):
            if number < 1:
                raise BadInput(f"--{name} must be at least 1, got {number}")
        for regex in self.bench:
            try:
                re.compile(regex)
            except re.error as error:
                raise BadInput(f"--bench {regex!r} is no regular expression: {error}") from error


class ResultsOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where results are kept. At most one is given."""

    results: Annotated[
        Path | None,
        Doc("keep results here; without it in .asv/PROFILE/results of the checkout", "DIR"),
    ] = None
    branch: Annotated[str | None, Doc("keep results on this branch", "NAME")] = None

    def check(self) -> None:
        """Refuse a branch without a name.

        Raises:
            BadInput: It has none.
        """
        _refuse_empty("branch", self.branch)


class PublishingOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of results."""

    push: Annotated[bool, Doc("push the branch to origin")] = False
    summary: Annotated[
        Path | None, Doc("append Markdown to this file; without it $GITHUB_STEP_SUMMARY", "FILE")
    ] = None
    no_publish: Annotated[bool, Doc("write no pages")] = False

    def check(self, where: ResultsOptions) -> None:
        """Refuse what can be refused before anything is done.

        Args:
            where: Where results are kept.

        Raises:
            BadInput: The summary can be no file, or there is no branch to push.
        """
        summary = self.summary
        if summary is not None and (summary.is_dir() or not summary.parent.is_dir()):
            raise BadInput(f"--summary {str(summary)!r} is no file of a folder that is there")
        if self.push and not where.branch:
            raise BadInput("--push needs --branch NAME, which is what it pushes")


class AcceptanceOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which commit a person calls good, and why."""

    accept: Annotated[str | None, Doc("measure nothing: call this commit good", "REV")] = None
    reason: Annotated[str | None, Doc("why it is accepted", "TEXT")] = None

    def check(self) -> None:
        """Refuse one without the other.

        Raises:
            BadInput: Only one is given.
        """
        if bool(self.accept) != bool(self.reason):
            raise BadInput("--accept REV and --reason TEXT need each other")


def acceptance_command(
    commit: str,
    machine: str,
    what: MeasuringOptions,
    where: ResultsOptions,
    publishing: PublishingOptions,
) -> str:
    """The command line that calls a commit good, but for the reason.

    Args:
        commit: Full hash.
        machine: Name that results are kept under.
        what: The options of the night that found it bad.
        where: Where that night kept its results.
        publishing: What that night did with them.
    """
    words = ["--profile", what.profile, "--machine", machine, *where.words()]
    words += ["--push"] if publishing.push else []
    return f"python -m bench.nightly --accept {commit[:10]} --reason '…' {shlex.join(words)}"


def _refuse_empty(name: str, value: str | None) -> None:
    if value == "":
        raise BadInput(f"--{name} must name something, got ''")
