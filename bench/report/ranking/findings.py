"""What a ranking found: where each arm stands, and by what it got there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.report.convergence import learned_nothing
from bench.report.ranking.costs import Cost, costs
from bench.report.ranking.equal_seconds import AtEqualSeconds, at_equal_seconds
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.sensitivity import Criterion, changes, criteria
from bench.report.ranking.targets import ToTarget, ratio_of, to_targets
from bench.report.ranking.untuned import Untuned, untuned
from bench.report.results import Case, Comparison
from bench.statistics.claims import Outcome
from bench.statistics.improvement import Improvement, improvement
from bench.statistics.ranks import Rank, ranks
from bench.statistics.targets import TimeRatio


@dataclass(frozen=True)
class Standing:
    """Where an arm stands.

    Attributes:
        arm: Its short name.
        candidate: Whether the ranking was asked for it.
        rank: Its rank and the interval of it; ``None`` as long as it has no result.
        comparison: It against the reference; ``None``: it is the reference.
        steps: By factor of the target, its steps to it over the reference's.
        seconds: The same of seconds.
        equal_seconds: Its error after the reference's seconds.
        improvement: The probability that its error is smaller than the reference's.
        cost: Time, memory, tuning.
        nothing: The cases on which the reference has learned nothing, and how that shows.
    """

    arm: str
    candidate: bool
    rank: Rank | None
    comparison: Comparison | None
    steps: Mapping[float, TimeRatio]
    seconds: Mapping[float, TimeRatio]
    equal_seconds: AtEqualSeconds
    improvement: Improvement
    cost: Cost
    nothing: Sequence[str]

    @property
    def verdict(self) -> str:
        """Against the reference, first of all."""
        return "reference" if self.comparison is None else self.comparison.outcome

    def on(self, outcome: Outcome) -> int | None:
        """Number of problems with an outcome; ``None`` for the reference, and without pairs."""
        if self.comparison is None or not self.comparison.effect.pairs:
            return None
        return self.comparison.claim.outcomes.count(outcome)


@dataclass(frozen=True)
class Findings:
    """What the records of a ranking say.

    Args:
        ranked: The ranking with its records.
    """

    ranked: Ranked

    @property
    def decided(self) -> bool:
        """Whether some arm can be compared with the reference."""
        return any(one.effect.pairs for one in self.ranked.scored.comparisons)

    @cached_property
    def ranks(self) -> Mapping[str, Rank]:
        """Ranks of the arms that have a result, by their final errors."""
        ranked = self.ranked
        arms, cases = ranked.arms, ranked.scored.cases
        if not cases:
            return {}
        logs = [ranked.log_errors(case) for case in cases]
        ran = [k for k in range(len(arms)) if any((~np.isnan(of[k])).any() for of in logs)]
        chances = [[ranked.scored.chance(case, arms[k]) for k in ran] for case in cases]
        found = ranks([of_case[ran] for of_case in logs], chances)
        return {arms[k]: rank for k, rank in zip(ran, found, strict=True)}

    @cached_property
    def targets(self) -> Mapping[float, Mapping[str, ToTarget]]:
        """Times to each target, by its factor and by arm."""
        return to_targets(self.ranked)

    @cached_property
    def equal_seconds(self) -> Mapping[str, AtEqualSeconds]:
        """Errors after the reference's seconds, by arm."""
        return at_equal_seconds(self.ranked)

    @cached_property
    def costs(self) -> Mapping[str, Cost]:
        """Cost by arm."""
        return {cost.arm: cost for cost in costs(self.ranked)}

    @cached_property
    def untuned(self) -> Mapping[str, Untuned]:
        """Ratios without tuning by arm, from two seeds: no claim."""
        return {one.arm: one for one in untuned(self.ranked)}

    @cached_property
    def criteria(self) -> list[Criterion]:
        """Ranks by each criterion."""
        return criteria(self.ranked, self.equal_seconds, self.targets)

    @property
    def changes(self) -> str:
        """How the first places depend on the criterion, in a sentence; empty if they do not."""
        return changes(self.criteria)

    @cached_property
    def standings(self) -> list[Standing]:
        """Every arm in the order of its rank; those without a result last."""
        made = [self._standing(arm) for arm in self.ranked.arms]

        def place(one: Standing) -> tuple[float, float]:
            if one.rank is None:
                return math.inf, 0.0
            return one.rank.rank, float(np.nan_to_num(one.rank.estimate))

        return sorted(made, key=place)

    def _standing(self, arm: str) -> Standing:
        ranked = self.ranked
        compared = {one.variant: one for one in ranked.scored.comparisons}
        comparison = compared.get(arm)
        by_factor = {f: (of[arm], of[ranked.reference]) for f, of in self.targets.items()}
        return Standing(
            arm,
            ranked.contestants[arm].candidate,
            self.ranks.get(arm),
            comparison,
            {f: ratio_of(*pair) for f, pair in by_factor.items()},
            {f: ratio_of(*pair, seconds=True) for f, pair in by_factor.items()},
            self.equal_seconds[arm],
            self._improvement(arm),
            self.costs[arm],
            [] if comparison is None else learned_nothing(ranked.scored, comparison),
        )

    def _improvement(self, arm: str) -> Improvement:
        """Over the cases on which the two are not the same run."""
        ranked = self.ranked
        ours, theirs = [], []
        for case in ranked.scored.cases:
            if arm == ranked.reference or ranked.scored.is_noop(case, arm, ranked.reference):
                continue
            ours.append(self._row(case, arm))
            theirs.append(self._row(case, ranked.reference))
        return improvement(ours, theirs)

    def _row(self, case: Case, arm: str) -> np.ndarray:
        """(seeds,) of all arms: the errors of one."""
        errors = self.ranked.errors(case)
        seeds = sorted({seed for of_arm in errors.values() for seed in of_arm})
        return np.array([errors[arm].get(seed, math.nan) for seed in seeds], dtype=float)
