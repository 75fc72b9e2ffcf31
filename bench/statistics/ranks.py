"""Ranks of arms with intervals that hold for all arms at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bench.statistics.choices import NO_CHANCE, Chance, together
from bench.statistics.claims import (
    ALPHA,
    LEAST_SEEDS,
    directions,
    divergence_p,
    holm,
    may_claim,
    p_value,
)
from bench.statistics.effects import Effect, OnProblem, effect

#: Log ratios that differ by less are a tie; sums in another order do.
_DECIMALS = 9


class Rank(NamedTuple):
    """Where an arm stands among others.

    Attributes:
        rank: 1 plus the number of arms that stand before it; arms that tie share it.
        low: Best rank that the arm may truly have: 1 plus the number of significantly better arms.
        high: Worst such rank: the number of arms less that of the significantly worse ones.
        estimate: Mean over the cases of the mean log error relative to the pivot, as of `effect`;
            nan for an arm that has no case in common with it on which neither diverges.
        diverges: Number of cases on which at least half of the arm's seeds diverge.
    """

    rank: int
    low: int
    high: int
    estimate: float
    diverges: int


def ranks(
    log_errors: Sequence[np.ndarray], choices: Sequence[Sequence[Chance]] | None = None
) -> list[Rank]:
    """The rank of each arm over all cases, with a simultaneous confidence interval.

    *Order.* First the number of cases on which at least half of an arm's seeds diverge, fewer
    before more. Then the mean over the cases of the arm's mean log error relative to that of the
    pivot, as `effect` forms it: over the pairs in which neither run diverged, on the cases on which
    neither side diverges. The pivot is the first arm among those that diverge on the fewest cases,
    so it is the reference unless that diverges where others do not. An arm without an estimate
    stands behind those that diverge on as many cases, and one without a result last.

    *Interval.* All pairs of arms are compared by the tests that make claims (`claims.p_value`, with
    Holm's adjustment for the number of pairs, at the level `ALPHA`). An arm is significantly better
    than another if the test finds so and it also stands before it: so the rank is within its
    interval. The chance that any true rank is outside its interval is at most that of a wrong claim
    among all pairs: D. Al Mohamad, J. Goeman and E. van Zwet, "Simultaneous confidence intervals
    for ranks", Biometrics 78 (2022); simulated in ``docs/science/statistics.md``. Arms that do not
    share all cases are not compared, nor are those that share fewer seeds than one of so many
    comparisons may claim with; neither changes what is said of other pairs.

    A case on which a side diverges is no part of the errors that are tested. If that side diverges
    on some seeds and not on all, it may be by chance, and the errors on the other cases say nothing
    sure about all cases: then only how often runs diverge is tested. So it is if a case is left
    with fewer than `LEAST_SEEDS` pairs in which neither run diverged. (Simulated without that rule:
    where one run in ten diverges and 12 arms are equal on average but differ from case to case, up
    to 21 % of rankings had a wrong interval.)

    A case whose errors are all multiplied by one factor, other seeds' order and another order of
    the arms behind the pivot change nothing.

    Args:
        log_errors: For each case (arms, seeds), the reference first, with the same arms in every
            case; natural logs, +inf where a run diverged, nan where there is none. A column has the
            runs of one seed.
        choices: For each case, each arm's chance in how its setting was chosen, which is part of
            the variance of all comparisons but those of two arms that are the same run; ``None``:
            nothing was chosen.

    Raises:
        ValueError: The cases have different numbers of arms, or an error's log is −inf.
    """
    cases = [np.asarray(values, dtype=float) for values in log_errors]
    count = _arms(cases)
    chances = [[NO_CHANCE] * count for _ in cases] if choices is None else choices
    there = [k for k, values in enumerate(cases) if not np.isnan(values).all()]
    cases, chances = [cases[k] for k in there], [chances[k] for k in there]
    compared = {
        (one, other): _effect(cases, chances, one, other)
        for one, other in combinations(range(count), 2)
    }
    diverges = [_diverges(cases, arm) for arm in range(count)]
    ran = [not all(np.isnan(values[arm]).all() for values in cases) for arm in range(count)]
    present = [arm for arm in range(count) if ran[arm]]
    pivot = min(present, key=lambda arm: diverges[arm], default=0)
    estimates = [_estimate(compared, arm, pivot) if ran[arm] else math.nan for arm in range(count)]
    # nan is no order: the arms without an estimate are told apart by a flag.
    keys = [
        (
            not ran[arm],
            diverges[arm],
            math.isnan(estimate),
            0.0 if math.isnan(estimate) else round(estimate, _DECIMALS),
        )
        for arm, estimate in enumerate(estimates)
    ]
    better = _better(compared, keys, len(cases))
    return [
        Rank(
            1 + [other < key for other in keys].count(True),
            1 + int(better[:, arm].sum()),
            count - int(better[arm].sum()),
            estimates[arm],
            diverges[arm],
        )
        for arm, key in enumerate(keys)
    ]


def _arms(cases: Sequence[np.ndarray]) -> int:
    counts = {len(values) for values in cases}
    if len(counts) > 1:
        raise ValueError(f"cases with different numbers of arms: {sorted(counts)}")
    if any(np.isneginf(values).any() for values in cases):
        raise ValueError("a log error is -inf: an error is above 0")
    return counts.pop() if counts else 0


def _effect(
    cases: Sequence[np.ndarray], chances: Sequence[Sequence[Chance]], one: int, other: int
) -> Effect:
    """The effect of one arm with another as its reference."""
    log_ratios, of_pair = [], []
    for values, chance in zip(cases, chances, strict=True):
        pairs = values[[one, other]]
        pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
        with np.errstate(invalid="ignore"):  # nan where both diverged, as `effect` has it
            log_ratios.append(pairs[0] - pairs[1])
        same = np.array_equal(pairs[0], pairs[1])
        of_pair.append(NO_CHANCE if same else together([chance[one], chance[other]]))
    return effect(log_ratios, choices=of_pair)


def _diverges(cases: Sequence[np.ndarray], arm: int) -> int:
    """Number of cases on which at least half of an arm's seeds diverge."""
    runs = [values[arm][~np.isnan(values[arm])] for values in cases]
    return sum(len(one) > 0 and 2 * int(np.isinf(one).sum()) >= len(one) for one in runs)


def _estimate(compared: dict[tuple[int, int], Effect], arm: int, pivot: int) -> float:
    if arm == pivot:
        return 0.0
    if arm > pivot:
        return -compared[pivot, arm].estimate
    return compared[arm, pivot].estimate


def _better(
    compared: dict[tuple[int, int], Effect],
    keys: Sequence[tuple[bool, int, bool, float]],
    cases: int,
) -> np.ndarray:
    """(arms, arms) of whether the first is significantly better than the second."""
    better = np.zeros((len(keys), len(keys)), dtype=bool)
    family = {
        pair: found
        for pair, found in compared.items()
        if found.problems == cases and may_claim(found, len(compared))
    }
    adjusted = holm([_p(found) for found in family.values()], len(compared))
    for ((one, other), found), p in zip(family.items(), adjusted, strict=True):
        if p < ALPHA:
            said_better, said_worse = directions(found)
            better[one, other] = said_better and not said_worse and keys[one] < keys[other]
            better[other, one] = said_worse and not said_better and keys[other] < keys[one]
    return better


def _p(found: Effect) -> float:
    """p value of a pair: of how often runs diverge alone where too few errors are left.

    Doubled as in `p_value`, so that `directions` sees the difference.
    """
    if all(map(_sure, found.on)):
        return p_value(found)
    return min(1.0, 2 * divergence_p(found))


def _sure(problem: OnProblem) -> bool:
    """Whether a case is surely part of the effect, or surely not since a side always diverges."""
    of_arm = problem.diverged + problem.both_diverged
    of_reference = problem.reference_diverged + problem.both_diverged
    if problem.counts:
        return problem.pairs >= LEAST_SEEDS
    return all(2 * lost < problem.seeds or lost == problem.seeds for lost in (of_arm, of_reference))
