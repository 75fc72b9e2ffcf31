"""Whether a commit is good: compared with the base, and with what was good for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.tracking.commits import Repository
from bench.tracking.comparison import Change, Verdict, compare, worse
from bench.tracking.findings import Creeping, Judgement
from bench.tracking.history import own_thresholds
from bench.tracking.journal import Night, since_acceptance
from bench.tracking.machine import Machine
from bench.tracking.machine_results import MachineResults
from bench.tracking.measuring import Measuring
from bench.tracking.results import NOISY, Value, is_number
from bench.tracking.thresholds import Thresholds

#: Nights that small steps are added up over, at most.
_LOOK_BACK = 100


class Judge:
    """Judges HEAD by its results.

    Args:
        repository: The checkout.
        kept: The results.
        measuring: Measures again what may be noise.
        thresholds: How much larger values may get.
        rounds: Number of rounds in which values are measured again.
    """

    def __init__(
        self,
        repository: Repository,
        kept: MachineResults,
        measuring: Measuring,
        thresholds: Thresholds,
        rounds: int,
    ) -> None:
        self._repository = repository
        self._head = repository.head
        self._kept = kept
        self._measuring = measuring
        self._thresholds = thresholds
        self._rounds = rounds

    def learn(self, good: Sequence[Night], facts: Machine) -> None:
        """Take thresholds of times from the nights that were measured on this machine as it is.

        Args:
            good: Nights of good commits before HEAD, newest first.
            facts: The machine now.
        """
        alike = [n for n in good if n.facts is not None and not facts.differs_from(n.facts)]
        past = [self._kept.values(night.commit) for night in alike[:_LOOK_BACK][::-1]]
        self._thresholds = self._thresholds.with_own(own_thresholds(past))

    def without_base(self) -> Judgement:
        """What is bad about HEAD by itself."""
        return Judgement(worse(self._compare_values({}, self._kept.values(self._head))))

    def against(
        self, base: str, accepted: bool, gone: Mapping[str, Value] | None = None
    ) -> Judgement:
        """Compare HEAD with a commit, after measuring again what may be noise.

        Args:
            base: Full hash of the commit.
            accepted: Whether a person has called it good, with its failures.
            gone: What was measured before by name, and can be measured no more.
        """
        changes, refuted, notes = self._confirmed(base)
        bad = [
            change
            for change in worse(changes)
            if not (accepted and change.verdict is Verdict.STILL_FAILED)
        ]
        after = self._repository.between(base, self._head)
        lost = self._compare_values(gone or {}, {})
        return Judgement(
            worse=worse([*bad, *lost]),
            base=base,
            distance=len(after),
            changes=[*changes, *lost],
            refuted=refuted,
            first_bad=self._first_bad(base, after, bad),
            notes=[*notes, *self._not_compared(changes)],
        )

    def _confirmed(self, base: str) -> tuple[list[Change], list[str], list[str]]:
        """The changes that stand, names of suspected values that do not, and notes about it."""
        notes: list[str] = []
        refuted: list[str] = []
        changes = self._compare(base, self._head)
        if any(change.verdict is Verdict.FAILED for change in changes):
            # Time-outs and the like pass.
            notes += self._measuring.complete(self._head)
            changes = self._compare(base, self._head)
        suspected = {
            change.name
            for change in changes
            if change.verdict is Verdict.REGRESSION and change.kind in NOISY
        }
        if suspected:
            done = self._measuring.in_turn([base, self._head], suspected, self._rounds)
            changes = self._compare(base, self._head)
            refuted = sorted(done - {change.name for change in worse(changes)})
            if suspected - done:
                names = ", ".join(sorted(suspected - done))
                notes.append(f"could not be measured again: {names}")
        return changes, refuted, notes

    def _not_compared(self, changes: Sequence[Change]) -> Iterator[str]:
        """Sentences about benchmarks that have no verdict."""
        for verdict in (Verdict.INCOMPARABLE, Verdict.STILL_FAILED):
            names = [change.name for change in changes if change.verdict is verdict]
            if names:
                yield f"{verdict}: {', '.join(names)}"

    def _first_bad(self, base: str, after: Sequence[str], bad: Sequence[Change]) -> dict[str, str]:
        """Short hash of the first measured commit that has a change of HEAD, by its name."""
        found: dict[str, str] = {}
        verdicts = {change.name: change.verdict for change in bad}
        for commit in after:
            if commit == self._head or self._kept.is_complete(commit):
                for change in self._compare(base, commit):
                    if verdicts.get(change.name) is change.verdict:
                        found.setdefault(change.name, commit[:10])
        return found

    def small_steps(self, good: Sequence[Night], known: Sequence[Change]) -> Creeping:
        """Compare values without noise with the oldest good ones since the last acceptance.

        Otherwise a series of steps below the threshold would pass every night.

        Args:
            good: Nights of good commits before HEAD, newest first.
            known: Changes that are bad already.
        """
        new = self._kept.values(self._head)
        oldest: dict[str, Value] = {}
        since: dict[str, str] = {}
        for night in since_acceptance(good)[-_LOOK_BACK:]:
            for name, value in self._kept.values(night.commit).items():
                now = new.get(name)
                comparable = now is not None and value.version == now.version
                if value.kind not in NOISY and comparable and is_number(value):
                    since.setdefault(name, night.commit[:10])
                    oldest.setdefault(name, value)
        seen = {change.name for change in known}
        changes = self._compare_values(oldest, {name: new[name] for name in oldest})
        crept = [
            change
            for change in worse(changes)
            if change.verdict in (Verdict.REGRESSION, Verdict.CHANGED) and change.name not in seen
        ]
        return Creeping(crept, since)

    def _compare(self, base: str, new: str) -> list[Change]:
        return self._compare_values(self._kept.values(base), self._kept.values(new))

    def _compare_values(self, base: Mapping[str, Value], new: Mapping[str, Value]) -> list[Change]:
        return compare(base, new, self._thresholds)
