"""The trials of all arms on all cases, and the choices that follow from their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.ranking.found import Found
from bench.ranking.ranking import TRIAL_SEEDS, Choice, Contestant, Trial
from bench.ranking.runs import Runs
from bench.ranking.schedule import Case
from bench.ranking.trials import scores


@dataclass(frozen=True)
class Tuned:
    """How far the arms have been tuned, by what records there are.

    It decides from the records alone, so that a night that was interrupted and one that was not
    come to the same choices.

    Args:
        runs: Makes the runs.
        arms: All arms, the reference first.
        cases: Problems and models.
        found: The records that there are; may grow.
    """

    runs: Runs
    arms: Sequence[Contestant]
    cases: Sequence[Case]
    found: Found

    def first(self) -> list[Trial]:
        """The trials of the first settings, seed by seed: of all arms on all cases."""
        return [
            self.runs.trial(case, arm, setting, seed)
            for seed in TRIAL_SEEDS
            for case, arm in self._each()
            for setting in self.runs.search(case, arm).first()
        ]

    def trials(self) -> list[Trial]:
        """All trials as far as is known: those of further settings where the first have ended."""
        return [trial for case, arm in self._each() for trial in self.of(case, arm)]

    def of(self, case: Case, arm: Contestant) -> list[Trial]:
        """The trials of one arm on one case, as of `trials`."""
        search = self.runs.search(case, arm)
        found: list[Trial] = []
        settings = search.first()
        while settings:
            found += [
                self.runs.trial(case, arm, setting, seed)
                for setting in settings
                for seed in TRIAL_SEEDS
            ]
            scored = scores(found, self.found)
            settings = [] if scored is None else search.further(scored)
        return found

    def choices(self) -> list[Choice]:
        """The choice of each arm on each case where its trials have ended."""
        each = (self.choice(case, arm) for case, arm in self._each())
        return [choice for choice in each if choice is not None]

    def choice(self, case: Case, arm: Contestant) -> Choice | None:
        """The choice of one arm on one case; ``None`` while its trials have not ended."""
        scored = scores(self.of(case, arm), self.found)
        if scored is None:
            return None
        search = self.runs.search(case, arm)
        best = search.best(scored)
        problem, model = case
        return Choice(
            problem=problem,
            model=model,
            arm=arm.arm,
            setting=best,
            untuned=search.untuned,
            at_edge=search.at_edge(best, scored),
        )

    def _each(self) -> Iterator[tuple[Case, Contestant]]:
        for case in self.cases:
            for arm in self.arms:
                yield case, arm
