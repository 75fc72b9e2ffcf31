"""What the nights found: which commits are good, by which the next ones are judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.errors import BadInput
from bench.files import write_atomically
from bench.tracking.machine import Machine


class Night(msgspec.Struct, frozen=True):
    """One verdict.

    Attributes:
        commit: Full hash.
        verdict: ``good``, ``bad``, or ``accepted`` by a person.
        profile: What was measured; the profiles have histories of their own.
        machine: asv's name of the machine, for the same reason.
        when: UTC, ISO 8601.
        base: Commit that it was compared with, if there was one.
        facts: What the machine was like.
        worse: The regressions in words, or the reason of an acceptance.
    """

    commit: str
    verdict: Literal["good", "bad", "accepted"]
    profile: str
    machine: str
    when: str
    base: str | None = None
    facts: Machine | None = None
    worse: list[str] = []


class Journal:
    """The nights of a results folder, in a file that asv does not take for results.

    Args:
        results: asv's results folder.

    Raises:
        BadInput: The file is damaged; it is never thrown away, since all verdicts are in it.
    """

    def __init__(self, results: Path) -> None:
        self._path = results / "nights.jsonl"
        self._nights: list[Night] = []
        if self._path.exists():
            lines = self._path.read_bytes().splitlines()
            for number, line in enumerate(lines, 1):
                try:
                    self._nights.append(msgspec.json.decode(line, type=Night))
                except msgspec.MsgspecError as error:
                    raise BadInput(f"{self._path}, line {number}: {error}") from error

    def add(self, night: Night) -> None:
        """Write a verdict; a later one of the same commit stands above an earlier."""
        self._nights.append(night)
        lines = [msgspec.json.encode(one) for one in self._nights]
        write_atomically(self._path, b"".join(line + b"\n" for line in lines))

    def find(self, commit: str, profile: str, machine: str) -> Night | None:
        """The last verdict on a commit."""
        return self._last(profile, machine).get(commit)

    def last_good(self, lineage: Sequence[str], profile: str, machine: str) -> Night | None:
        """The newest of the commits that is good or accepted.

        Args:
            lineage: Full hashes, newest first.
            profile: Of the measurement.
            machine: asv's name of the machine.
        """
        good = self._good(profile, machine)
        return next((good[commit] for commit in lineage if commit in good), None)

    def reference(self, lineage: Sequence[str], profile: str, machine: str) -> Night | None:
        """The commit from which small steps are added up: the last accepted, or the first good."""
        good = self._good(profile, machine)
        found = [good[commit] for commit in lineage if commit in good]
        accepted = next((night for night in found if night.verdict == "accepted"), None)
        return accepted or (found[-1] if found else None)

    def _last(self, profile: str, machine: str) -> dict[str, Night]:
        return {
            night.commit: night
            for night in self._nights
            if (night.profile, night.machine) == (profile, machine)
        }

    def _good(self, profile: str, machine: str) -> dict[str, Night]:
        last = self._last(profile, machine)
        return {commit: night for commit, night in last.items() if night.verdict != "bad"}
