"""What a ranking would have said without tuning, from the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.report.ranking.ranked import Ranked
from bench.report.ranking.tuning import tuning
from bench.report.results import Case, log_ratio
from bench.statistics.effects import Effect, effect


@dataclass(frozen=True)
class Untuned:
    """What an arm's error ratio is on the seeds of the trials, without tuning and with it.

    Attributes:
        arm: Name of the arm.
        untuned: By case, log ratios (seeds,) of the arm to the reference, each at its untuned
            setting; ±inf where one diverged, nan where both did.
        tuned: The same, each at its chosen setting.
    """

    arm: str
    untuned: Mapping[Case, np.ndarray]
    tuned: Mapping[Case, np.ndarray]

    @property
    def effect(self) -> Effect:
        """Over the cases, untuned. It makes no claim: it has the few seeds of the trials."""
        return effect(list(self.untuned.values()), names=[case.problem for case in self.untuned])

    @property
    def tuned_effect(self) -> Effect:
        """Over the cases, tuned, on the same seeds."""
        return effect(list(self.tuned.values()), names=[case.problem for case in self.tuned])

    def on(self, case: Case) -> tuple[Effect, Effect]:
        """On one case: untuned, and tuned."""
        return effect([self.untuned[case]]), effect([self.tuned[case]])


def untuned(ranked: Ranked) -> list[Untuned]:
    """For each arm but the reference, on the cases where both have trials at both settings."""
    without: dict[str, dict[Case, np.ndarray]] = {arm: {} for arm in ranked.arms[1:]}
    with_it: dict[str, dict[Case, np.ndarray]] = {arm: {} for arm in ranked.arms[1:]}
    for case in ranked.cases:
        tried = tuning(ranked, case)
        untuned_ones = {one.arm: _known(one.errors) for one in tried if one.untuned}
        chosen_ones = {one.arm: _known(one.errors) for one in tried if one.chosen}
        for arm in without:
            pairs = [
                _log_ratios(of.get(arm, {}), of.get(ranked.reference, {}))
                for of in (untuned_ones, chosen_ones)
            ]
            if all(map(len, pairs)):
                without[arm][case], with_it[arm][case] = pairs
    return [Untuned(arm, without[arm], with_it[arm]) for arm in without]


def untuned_errors(ranked: Ranked, case: Case) -> dict[str, Mapping[int, float]]:
    """Test errors of the trials at each arm's untuned setting, by arm and seed."""
    return {one.arm: _known(one.errors) for one in tuning(ranked, case) if one.untuned}


def _known(errors: Mapping[int, float]) -> dict[int, float]:
    return {seed: error for seed, error in errors.items() if not math.isnan(error)}


def _log_ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> np.ndarray:
    seeds = sorted(ours.keys() & theirs.keys())
    return np.array([log_ratio(ours[seed], theirs[seed]) for seed in seeds], dtype=float)
