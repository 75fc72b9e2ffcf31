"""Steps and seconds that an arm takes to the error of the tuned reference, and to multiples of it.

Each length is a run with its own decay of the learning rate, so what is found is how long a
schedule has to be, and not where the curve of one run crosses the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.ranking.ranking import TARGETS
from bench.report.ranking.lengths import Lengths, lengths_of
from bench.report.ranking.ranked import Ranked
from bench.report.results import Case
from bench.statistics.targets import Time, TimeRatio, median_time, time_ratio, times_to_target


@dataclass(frozen=True)
class ToTarget:
    """How long an arm takes to a target.

    Attributes:
        arm: Name of the arm.
        factor: The target, in medians of the reference's final errors at the whole length.
        steps: By case that has a target, of each seed.
        seconds: The same in seconds: steps times the median time of a step of the seed's runs.
    """

    arm: str
    factor: float
    steps: Mapping[Case, list[Time]]
    seconds: Mapping[Case, list[Time]]

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


def ratio_of(arm: ToTarget, reference: ToTarget, seconds: bool = False) -> TimeRatio:
    """Time of an arm over the reference's, over the cases that have a target."""
    if seconds:
        medians = [
            (arm.median_seconds(case), reference.median_seconds(case)) for case in arm.seconds
        ]
    else:
        medians = [(arm.median_steps(case), reference.median_steps(case)) for case in arm.steps]
    return time_ratio([one for one, _ in medians], [other for _, other in medians])


def _of(ranked: Ranked, arm: str, factor: float, every: Mapping[Case, Lengths]) -> ToTarget:
    steps: dict[Case, list[Time]] = {}
    seconds: dict[Case, list[Time]] = {}
    for case, found in every.items():
        wanted = target(ranked, case, factor)
        if wanted is None:
            continue
        times = times_to_target(found.steps, found.errors, wanted) if found.seeds else []
        steps[case] = times
        seconds[case] = [
            Time(0.0, math.inf)
            if math.isnan(ms)
            else Time(time.low * ms / 1000, time.high * ms / 1000)
            for time, ms in zip(times, found.step_ms, strict=True)
        ]
    return ToTarget(arm, factor, steps, seconds)
