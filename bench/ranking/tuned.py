"""The trials of all arms on all cases, and the choices that follow from their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.ranking.ranking import TRIAL_SEEDS, Choice, Contestant, Trial
from bench.ranking.runs import Place, Runs
from bench.ranking.trials import scores
from bench.store.record import Record


@dataclass(frozen=True)
class Tuned:
    """How far the arms have been tuned, by what records there are.

    It decides from the records alone, so that a night that was interrupted and one that was not
    come to the same choices.

    Args:
        runs: Makes the runs.
        arms: All arms, the reference first.
        places: Problems and models.
        records: The records that there are, by hash; may grow.
    """

    runs: Runs
    arms: Sequence[Contestant]
    places: Sequence[Place]
    records: Mapping[str, Record]

    def first(self, seed: int) -> list[Trial]:
        """The trials of the first settings on one seed: of all arms on all cases."""
        return [
            self.runs.trial(place, arm, setting, seed)
            for place, arm in self._each()
            for setting in self.runs.search(place, arm).first()
        ]

    def trials(self) -> list[Trial]:
        """All trials as far as is known: those of further settings where the first have ended."""
        return [trial for place, arm in self._each() for trial in self.of(place, arm)]

    def of(self, place: Place, arm: Contestant) -> list[Trial]:
        """The trials of one arm on one case, as of `trials`."""
        search = self.runs.search(place, arm)
        found: list[Trial] = []
        settings = search.first()
        while settings:
            found += [
                self.runs.trial(place, arm, setting, seed)
                for setting in settings
                for seed in TRIAL_SEEDS
            ]
            scored = scores(found, self.records)
            settings = [] if scored is None else search.further(scored)
        return found

    def choices(self) -> list[Choice]:
        """The choice of each arm on each case where its trials have ended."""
        each = (self.choice(place, arm) for place, arm in self._each())
        return [choice for choice in each if choice is not None]

    def choice(self, place: Place, arm: Contestant) -> Choice | None:
        """The choice of one arm on one case; ``None`` while its trials have not ended."""
        scored = scores(self.of(place, arm), self.records)
        if scored is None:
            return None
        search = self.runs.search(place, arm)
        best = search.best(scored)
        problem, model = place
        return Choice(
            problem=problem,
            model=model,
            arm=arm.arm,
            setting=best,
            untuned=search.untuned,
            at_edge=search.at_edge(best, scored),
        )

    def _each(self) -> Iterator[tuple[Place, Contestant]]:
        for place in self.places:
            for arm in self.arms:
                yield place, arm
