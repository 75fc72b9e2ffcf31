"""The verdicts of all nights: which commits are good, so that the next ones are judged by them."""

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
        profile: Profile of the measurement; each profile has a history of its own.
        when: UTC time, ISO 8601.
        base: Commit that it was compared with, if there was one.
        facts: Facts about the machine at that time.
        worse: The regressions in words, or the reason for an acceptance.
        gone: What was measured once and could be measured no more, with its last number. The
            results of the base lose it when they are completed.
    """

    commit: str
    verdict: Literal["good", "bad", "accepted"]
    profile: str
    when: str
    base: str | None = None
    facts: Machine | None = None
    worse: list[str] = []
    gone: dict[str, float] = {}


class Journal:
    """The nights of a machine, in a file beside its results that asv ignores.

    Each machine that shares a branch has its own file, so that none undoes another's verdicts.

    Args:
        results: asv's results folder.
        machine: asv's name of the machine.
        profile: Profile of the measurement.

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
        """Write a verdict; it overrides an earlier one on the same commit."""
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

    def gone(self, commits: Sequence[str]) -> dict[str, float]:
        """What the nights of bad commits found gone, by name.

        Args:
            commits: Full hashes.
        """
        last = self._last()
        bad = (last[commit] for commit in commits if commit in last)
        return {n: v for night in bad if night.verdict == "bad" for n, v in night.gone.items()}

    def last_good(self, good: Sequence[Night], head: str) -> Night | None:
        """The night of the commit that HEAD is compared with.

        Args:
            good: The good nights of HEAD and of what it builds on, the newest first.
            head: Full hash of HEAD.

        Returns:
            That of HEAD itself if it was accepted, else the newest before it; ``None`` if no commit
            is known to be good.

        Raises:
            BadInput: Good commits are known, and HEAD builds on none of them.
        """
        own = self.find(head)
        if own and own.verdict == "accepted":
            return own
        earlier = [night for night in good if night.commit != head]
        if not earlier and self.knows_good(besides=head):
            raise BadInput(
                f"{head[:10]} builds on none of the commits that are known to be good; name"
                " one to compare with (--base REV), or begin anew (--accept HEAD --reason …)"
            )
        return earlier[0] if earlier else None

    def knows_good(self, besides: str) -> bool:
        """Whether another commit than `besides` is good or accepted, on any branch."""
        last = self._last().values()
        return any(night.verdict != "bad" and night.commit != besides for night in last)

    def _last(self) -> dict[str, Night]:
        return {night.commit: night for night in self._read() if night.profile == self._profile}


def since_acceptance(good: Sequence[Night]) -> list[Night]:
    """The good nights since the last accepted one, with that one, the oldest first."""
    kept = []
    for night in good:
        kept.append(night)
        if night.verdict == "accepted":
            break
    return kept[::-1]
