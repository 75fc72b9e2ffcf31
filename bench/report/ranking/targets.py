"""Steps and seconds that an arm takes to the error of the tuned reference, and to multiples of it.

Each length is a run with its own decay of the learning rate, so what is found is how long a
schedule has to be, and not where the curve of one run crosses the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.ranking.ranking import TARGETS
from bench.report.ranking.lengths import Lengths, lengths_of
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.seconds import milliseconds
from bench.report.results import Case
from bench.statistics.effects import effect
from bench.statistics.targets import (
    UNKNOWN,
    Time,
    TimeRatio,
    median_time,
    time_ratio,
    times_to_target,
)


@dataclass(frozen=True)
class ToTarget:
    """How long an arm takes to a target.

    Attributes:
        arm: Name of the arm.
        factor: The target, in medians of the reference's final errors at the whole length.
        steps: By case that has a target, of each seed.
        seconds: The same in seconds: steps times `bench.report.ranking.seconds.milliseconds`.
        seeds: The seeds of each case, in the order of its times.
    """

    arm: str
    factor: float
    steps: Mapping[Case, list[Time]]
    seconds: Mapping[Case, list[Time]]
    seeds: Mapping[Case, list[int]]

    def median_steps(self, case: Case) -> Time:
        """Over the seeds; see `bench.statistics.targets.median_time`."""
        return median_time(self.steps[case])

    def median_seconds(self, case: Case) -> Time:
        """Over the seeds."""
        return median_time(self.seconds[case])


def target(ranked: Ranked, case: Case, factor: float) -> float | None:
    """A multiple of the reference's median error at the whole length.

    ``None`` where there is none: it has no result, or half of its runs diverged.
    """
    middle = ranked.scored.median(case, ranked.reference, ranked.metric(case))
    if middle is None or not math.isfinite(middle) or middle <= 0:
        return None
    return factor * middle


def to_targets(ranked: Ranked) -> dict[float, dict[str, ToTarget]]:
    """Of all arms, by factor and arm."""
    every = {
        arm: {case: lengths_of(ranked, case, arm) for case in ranked.scored.cases}
        for arm in ranked.arms
    }
    return {
        factor: {arm: _of(ranked, arm, factor, every[arm]) for arm in ranked.arms}
        for factor in TARGETS
    }


@dataclass(frozen=True)
class RelativeTime:
    """Time of an arm over the reference's.

    Attributes:
        ratio: Over the cases that have a target.
        low: Lower end of the 95 % interval of its estimate for other seeds; nan without one.
        high: Upper end.
        cases: Number of cases of the ranking.
    """

    ratio: TimeRatio
    low: float
    high: float
    cases: int

    @property
    def tells(self) -> bool:
        """Whether anything is known of the ratio over all cases, if only a bound."""
        return bool(self.ratio.exact) or self.ratio.low > 0 or math.isfinite(self.ratio.high)

    @property
    def at_the_shortest(self) -> bool:
        """Whether both reach the target at the shortest length already, on every case."""
        found = self.ratio
        return found.both == self.cases > 0 and all(time.kind == "unknown" for time in found.on)

    @property
    def whole(self) -> bool:
        """Whether both times are exact on every case."""
        return 0 < self.ratio.exact == self.cases


def relative_time(
    arm: ToTarget, reference: ToTarget, cases: int, seconds: bool = False
) -> RelativeTime:
    """Time of an arm over the reference's.

    The interval is as wide as that of the mean log ratio of the seeds' times, over the cases on
    which both medians are exact and the seeds on which both times are (Student's t, as of
    `bench.statistics.effects.effect`). With two or three seeds at each length it covers 94 to 98 %
    of equal arms (errors that fall as a power of the steps, with log-normal noise). What a step's
    time varies is no part of it.

    Args:
        arm: The arm's times.
        reference: The reference's, to the same target.
        cases: Number of cases of the ranking.
        seconds: Whether to compare seconds.
    """
    if seconds:
        medians = [
            (arm.median_seconds(case), reference.median_seconds(case)) for case in arm.seconds
        ]
    else:
        medians = [(arm.median_steps(case), reference.median_steps(case)) for case in arm.steps]
    found = time_ratio([one for one, _ in medians], [other for _, other in medians])
    exact = [
        case
        for case, pair in zip(arm.steps, medians, strict=True)
        if all(time.kind == "exact" for time in pair)
    ]
    spread = effect([_log_ratios(arm, reference, case) for case in exact])
    half = (spread.high - spread.low) / 2
    return RelativeTime(
        found, found.estimate * math.exp(-half), found.estimate * math.exp(half), cases
    )


def _log_ratios(arm: ToTarget, reference: ToTarget, case: Case) -> np.ndarray:
    """(seeds,) on which both times are exact: log ratios of the steps."""
    ours, theirs = (
        {
            seed: time.low
            for seed, time in zip(of.seeds[case], of.steps[case], strict=True)
            if time.kind == "exact"
        }
        for of in (arm, reference)
    )
    both = sorted(ours.keys() & theirs.keys())
    return np.array([math.log(ours[seed] / theirs[seed]) for seed in both], dtype=float)


def _of(ranked: Ranked, arm: str, factor: float, every: Mapping[Case, Lengths]) -> ToTarget:
    steps: dict[Case, list[Time]] = {}
    seconds: dict[Case, list[Time]] = {}
    seeds: dict[Case, list[int]] = {}
    for case, found in every.items():
        wanted = target(ranked, case, factor)
        if wanted is None:
            continue
        times = times_to_target(found.steps, found.errors, wanted) if found.seeds else []
        steps[case], seeds[case] = times, found.seeds
        ms = milliseconds(ranked, case, arm)
        seconds[case] = [
            UNKNOWN if math.isnan(ms) else Time(time.low * ms / 1000, time.high * ms / 1000)
            for time in times
        ]
    return ToTarget(arm, factor, steps, seconds, seeds)
