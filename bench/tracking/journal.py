"""What the nights found: which commits are good, by which the next ones are judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench.files.atomic import write_atomically
from bench.text.errors import BadInput
from bench.tracking.machine import Machine


class Night(msgspec.Struct, frozen=True):
    """One verdict.

    Attributes:
        commit: Full hash.
        verdict: ``good``, ``bad``, or ``accepted`` by a person.
        profile: What was measured; the profiles have histories of their own.
        when: UTC, ISO 8601.
        base: Commit that it was compared with, if there was one.
        facts: What the machine was like.
        worse: The regressions in words, or the reason of an acceptance.
    """

    commit: str
    verdict: Literal["good", "bad", "accepted"]
    profile: str
    when: str
    base: str | None = None
    facts: Machine | None = None
    worse: list[str] = []


class Journal:
    """The nights of a machine, in a file beside its results that asv does not take for one.

    Machines that share a branch have a file each, so that none undoes another's verdicts.

    Args:
        results: asv's results folder.
        machine: asv's name of the machine.
        profile: What is measured.

    Raises:
        BadInput: The file is damaged; it is never thrown away, since all verdicts are in it.
    """

    def __init__(self, results: Path, machine: str, profile: str) -> None:
        self._path = results / f"nights-{machine}.jsonl"
        self._profile = profile
        self._read()  # a damaged file is refused before anything is measured

    def _read(self) -> list[Night]:
        found = []
        if self._path.exists():
            for number, line in enumerate(self._path.read_bytes().splitlines(), 1):
                try:
                    found.append(msgspec.json.decode(line, type=Night))
                except msgspec.MsgspecError as error:
                    raise BadInput(f"{self._path}, line {number}: {error}") from error
        return found

    def add(self, night: Night) -> None:
        """Write a verdict; a later one of the same commit stands above an earlier."""
        lines = [msgspec.json.encode(one) for one in [*self._read(), night]]
        write_atomically(self._path, b"".join(line + b"\n" for line in lines))

    def find(self, commit: str) -> Night | None:
        """The last verdict on a commit."""
        return self._last().get(commit)

    def good(self, ancestors: Sequence[str]) -> list[Night]:
        """The nights of the commits that are good or accepted, the newest first.

        Args:
            ancestors: Full hashes, newest first.
        """
        last = self._last()
        found = (last[commit] for commit in ancestors if commit in last)
        return [night for night in found if night.verdict != "bad"]

    def knows_good(self, besides: str) -> bool:
        """Whether a commit beside one is good or accepted, on whatever branch."""
        last = self._last().values()
        return any(night.verdict != "bad" and night.commit != besides for night in last)

    def _last(self) -> dict[str, Night]:
        return {night.commit: night for night in self._read() if night.profile == self._profile}


def since_acceptance(good: Sequence[Night]) -> list[Night]:
    """Of good nights, newest first, those up to the last accepted one, the oldest first."""
    kept = []
    for night in good:
        kept.append(night)
        if night.verdict == "accepted":
            break
    return kept[::-1]
