"""How the order of the arms depends on the criterion by which they are ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.report.ranking.equal_seconds import AtEqualSeconds
from bench.report.ranking.ranked import Ranked, log_array
from bench.report.ranking.targets import ToTarget
from bench.report.ranking.untuned import untuned_errors
from bench.statistics.ranks import ranks
from bench.statistics.targets import Time
from bench.text.formatting import ended

#: The criterion of the ranking itself.
FINAL_ERROR = "final error"


@dataclass(frozen=True)
class Criterion:
    """The order of the arms by one criterion.

    Attributes:
        name: In words.
        ranks: By arm; an arm that has no value on some case of the others is not there.
        spans: The interval of each rank, which holds for all arms at once.
    """

    name: str
    ranks: Mapping[str, int]
    spans: Mapping[str, tuple[int, int]]

    def tells_apart(self, one: str, other: str) -> bool:
        """Whether it is sure by this criterion which of two arms is before the other."""
        if one not in self.spans or other not in self.spans:
            return False
        (low, high), (other_low, other_high) = self.spans[one], self.spans[other]
        return high < other_low or other_high < low

    @property
    def first_two(self) -> tuple[list[str], list[str]]:
        """The arms of rank 1, and those that follow them."""
        order = sorted(set(self.ranks.values()))
        groups = [[arm for arm, rank in self.ranks.items() if rank == one] for one in order[:2]]
        return groups[0] if groups else [], groups[1] if len(groups) > 1 else []


def criteria(
    ranked: Ranked,
    seconds: Mapping[str, AtEqualSeconds],
    targets: Mapping[float, Mapping[str, ToTarget]],
) -> list[Criterion]:
    """The order by every criterion that two arms at least have values of.

    A time to a target that is only known to be less than a length enters as that length, and one
    that is not reached stands behind all that are.
    """
    cases = ranked.scored.cases
    every = {FINAL_ERROR: [ranked.log_errors(case) for case in cases]}
    every["error at equal seconds"] = [
        _filled({arm: of.log_errors.get(case, {}) for arm, of in seconds.items()}, ranked.arms)
        for case in cases
    ]
    for share in sorted(set(ranked.by_length) - {1.0}):
        every[f"error at {share:g} × the steps"] = [
            ranked.log_errors(case, share) for case in cases
        ]
    for factor, by_arm in targets.items():
        every[f"steps to {factor:g} × the reference's error"] = [
            _log_steps([by_arm[arm].steps[case] for arm in ranked.arms])
            for case in cases
            if case in by_arm[ranked.reference].steps
        ]
    every["final error without tuning"] = [
        log_array({arm: {} for arm in ranked.arms} | untuned_errors(ranked, case), ranked.arms)
        for case in ranked.cases
    ]
    found = [_criterion(name, ranked.arms, logs) for name, logs in every.items()]
    return [one for one in found if len(one.ranks) > 1]


def changes(found: Sequence[Criterion]) -> str:
    """A sentence on criteria by which an arm overtakes one of the first two; empty if none is.

    Equal arms overtake each other in every ranking, so it is said only of two arms that one of the
    two criteria tells apart.
    """
    if not found or found[0].name != FINAL_ERROR:
        return ""
    final, *others = found
    overtaking = {one.name: _overtaking(final, one) for one in others}
    sure = [
        one
        for one in others
        if any(of.tells_apart(*pair) for of in (final, one) for pair in overtaking[one.name])
    ]
    if sure:
        each = "; ".join(f"by {one.name} {_said(one)}" for one in sure)
        return ended(
            f"The first places depend on the criterion: by {FINAL_ERROR} {_said(final)}; {each}"
        )
    first, second = final.first_two
    known = any(one.tells_apart(*pair) for one in found for pair in product(first, second))
    if known or not any(overtaking.values()):
        return ""
    return "No order of the first places is sure by any criterion."


def _overtaking(one: Criterion, other: Criterion) -> list[tuple[str, str]]:
    """The arms that by another criterion overtake one of the first two places, with that one."""
    first, second = ([arm for arm in group if arm in other.ranks] for group in one.first_two)
    behind = [arm for arm in one.ranks if arm in other.ranks and arm not in first]
    last = [arm for arm in behind if arm not in second]
    pairs = [*product(behind, first), *product(last, second)]
    return [pair for pair in pairs if other.ranks[pair[0]] < other.ranks[pair[1]]]


def _said(one: Criterion) -> str:
    first, second = one.first_two
    return f"{' and '.join(first)} before {' and '.join(second)}" if second else " and ".join(first)


def _criterion(name: str, arms: Sequence[str], logs: Sequence[np.ndarray]) -> Criterion:
    """Of the arms that have a value on each case that some arm has values on."""
    logs = [of_case for of_case in logs if (~np.isnan(of_case)).any()]
    if not logs:
        return Criterion(name, {}, {})
    whole = [k for k in range(len(arms)) if all((~np.isnan(of_case[k])).any() for of_case in logs)]
    found = ranks([of_case[whole] for of_case in logs]) if whole else []
    by_arm = {arms[k]: rank for k, rank in zip(whole, found, strict=True)}
    return Criterion(
        name,
        {arm: rank.rank for arm, rank in by_arm.items()},
        {arm: (rank.low, rank.high) for arm, rank in by_arm.items()},
    )


def _filled(errors: Mapping[str, Mapping[int, float]], arms: Sequence[str]) -> np.ndarray:
    """(arms, seeds) of values by arm and seed; nan where there is none."""
    seeds = sorted({seed for of_arm in errors.values() for seed in of_arm})
    values = [[errors[arm].get(seed, math.nan) for seed in seeds] for arm in arms]
    return np.array(values, dtype=float).reshape(len(arms), len(seeds))


def _log_steps(times: Sequence[Sequence[Time]]) -> np.ndarray:
    """(arms, seeds) of logs of steps, from the times of each arm."""
    most = max(map(len, times), default=0)
    rows = [[*map(_log, of_arm), *[math.nan] * (most - len(of_arm))] for of_arm in times]
    return np.array(rows, dtype=float).reshape(len(times), most)


def _log(time: Time) -> float:
    if time.kind == "unknown":
        return math.nan
    return math.log(time.high) if time.reached else math.inf
