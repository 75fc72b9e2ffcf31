"""What a ranking found: where each arm stands, and by what it got there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bench.report.convergence import learned_nothing
from bench.report.ranking.costs import Cost, costs
from bench.report.ranking.equal_seconds import AtEqualSeconds, at_equal_seconds
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.sensitivity import Criterion, changes, criteria
from bench.report.ranking.targets import RelativeTime, ToTarget, relative_time, to_targets
from bench.report.ranking.untuned import Untuned, untuned
from bench.report.ranking.whole import over_every_case
from bench.report.results import Case, Comparison
from bench.statistics.claims import Outcome
from bench.statistics.improvement import Improvement, improvement
from bench.statistics.ranks import Rank, ranks

#: What a case can show of an arm beside the reference.
Shown = Literal[Outcome, "both diverge", "the same run", "no result"]
#: Verdicts of all problems, which one with no result on some cannot have.
_OF_ALL = ("better", "worse", "equivalent", "mixed")


@dataclass(frozen=True)
class Standing:
    """Where an arm stands.

    Attributes:
        arm: Its short name.
        candidate: Whether the ranking was asked for it.
        rank: Its rank and the interval of it; ``None`` as long as it has no result.
        comparison: It against the reference, over every case, those of equal runs included;
            ``None``: it is the reference.
        cases: Number of the ranking's cases.
        ran: Number of those on which it has a result.
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
    cases: int
    ran: int
    steps: Mapping[float, RelativeTime]
    seconds: Mapping[float, RelativeTime]
    equal_seconds: AtEqualSeconds
    improvement: Improvement
    cost: Cost
    nothing: Sequence[str]

    @property
    def verdict(self) -> str:
        """Against the reference, first of all.

        ``no claim`` of all cases where there is none for some: an arm that runs out of memory on
        two problems of three is not better.
        """
        if self.comparison is None:
            return "reference"
        missing = self.comparison.effect.pairs and self.outcomes["no result"]
        found = self.comparison.outcome
        return "no claim" if missing and found in _OF_ALL else found

    @property
    def same_run(self) -> bool:
        """Whether it is the same run as the reference on every case."""
        return self.comparison is not None and 0 < self.cases == len(self.comparison.noops)

    @property
    def may_claim(self) -> bool:
        """Whether something could be claimed of it: it has seeds enough, and saw its equation."""
        compared = self.comparison
        if compared is None or not compared.effect.pairs or compared.unseen:
            return False
        return compared.claim.enough and not compared.claim.exploratory

    @cached_property
    def outcomes(self) -> Counter[Shown]:
        """Number of the ranking's cases that show what; empty for the reference.

        Divergence is a count and no test, so it is there too where nothing may be claimed.
        """
        found: Counter[Shown] = Counter()
        if self.comparison is None:
            return found
        compared = self.comparison
        differing = [case for case in compared.by_case if case not in compared.noops]
        said = dict(zip(differing, compared.claim.outcomes, strict=False))
        for case, one in compared.on.items():
            if case in compared.noops:
                found["the same run"] += 1
            elif one.diverges or one.reference_diverges:
                alone: Shown = "diverges" if one.diverges else "reference diverges"
                found["both diverge" if one.diverges and one.reference_diverges else alone] += 1
            else:
                found[said[case] if self.may_claim else "undecided"] += 1
        found["no result"] = self.cases - len(compared.by_case)
        return found

    def on(self, outcome: Shown) -> int | None:
        """Number of cases that show what; ``None`` where nothing may be said of it."""
        compared = self.comparison
        if compared is None or not compared.effect.pairs:
            return None
        if outcome in ("better", "worse") and not self.may_claim:
            return None
        if outcome == "undecided" and compared.unseen:
            return None
        return self.outcomes[outcome]

    @property
    def diverges(self) -> int | None:
        """Number of cases on which at least half of its own runs diverge."""
        return None if self.rank is None else self.rank.diverges


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
        if comparison is not None:
            comparison = over_every_case(ranked.scored, comparison)
        cases = ranked.scored.cases
        by_factor = {f: (of[arm], of[ranked.reference]) for f, of in self.targets.items()}
        return Standing(
            arm,
            ranked.contestants[arm].candidate,
            self.ranks.get(arm),
            comparison,
            len(cases),
            sum(bool(ranked.errors(case)[arm]) for case in cases),
            {f: relative_time(*pair, len(cases)) for f, pair in by_factor.items()},
            {f: relative_time(*pair, len(cases), seconds=True) for f, pair in by_factor.items()},
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
