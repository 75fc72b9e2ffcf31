"""What outlasts a night: its verdict in the journal, and all results on a branch."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Literal

from bench.text.errors import BadInput
from bench.tracking.branch import ResultsBranch
from bench.tracking.journal import Journal, Night
from bench.tracking.machine import Machine


class Keeper:
    """Keeps what a night found.

    Args:
        journal: Where verdicts go.
        profile: What is measured.
        when: Start of the night.
        branch: The branch that holds journal and results, if there is one.
        push: Whether to push it.

    Attributes:
        problem: Why the branch could not be saved the last time; ``None`` if it could.
    """

    def __init__(
        self,
        journal: Journal,
        profile: str,
        when: datetime.datetime,
        branch: ResultsBranch | None,
        push: bool,
    ) -> None:
        self._journal = journal
        self._profile = profile
        self._when = when.isoformat(timespec="seconds")
        self._branch = branch
        self._push = push
        self.problem: str | None = None

    def save(self, message: str) -> None:
        """Save the results on the branch; without a network the night goes on.

        Args:
            message: Message of the commit.
        """
        if self._branch:
            try:
                self._branch.save(message, push=self._push)
                self.problem = None
            except BadInput as error:
                self.problem = str(error)

    def verdict(
        self,
        commit: str,
        verdict: Literal["good", "bad", "accepted"],
        said: list[str],
        base: str | None = None,
        facts: Machine | None = None,
        gone: Mapping[str, float] | None = None,
    ) -> None:
        """Write a verdict into the journal.

        Args:
            commit: Full hash.
            verdict: ``good``, ``bad``, or ``accepted`` by a person.
            said: The regressions in words, or the reason of an acceptance.
            base: Commit that it was compared with, if there was one.
            facts: Facts about the machine, if it was measured.
            gone: What can be measured no more, with its last number.
        """
        about = (self._profile, self._when, base, facts, said, dict(gone or {}))
        self._journal.add(Night(commit, verdict, *about))
        self.save(f"{commit[:10]}: {verdict}")
