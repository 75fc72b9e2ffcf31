"""What may be claimed of effects: verdicts of a comparison, or of a family of them.

The rules keep the share of wrong claims small by construction, however many arms are compared and
however often a study is extended and looked at again: see ``docs/science/statistics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from bench.statistics.effects import Effect, OnProblem

#: The level of every claim, at any number of seeds. A study that is looked at after every seed from
#: the third to the twentieth so errs in about 5 %.
ALPHA = 0.01
#: An arm is not inferior on a problem up to this ratio, and equivalent within it and its inverse.
MARGIN = 1.1
#: For a claim each problem has so many seeds: where there are at least three problems, and else. A
#: family of comparisons has the latter.
LEAST_SEEDS, LEAST_SEEDS_ALONE = 3, 5
_FEW_PROBLEMS = 3
#: Seeds per problem that are worth naming.
MOST_SEEDS = 1000
_POWER = 0.8

Verdict = Literal["better", "worse", "equivalent", "mixed", "undecided"]
Outcome = Literal["better", "worse", "diverges", "undecided"]


class Claim(NamedTuple):
    """What is claimed of an effect.

    Attributes:
        verdict: ``better``: the interval over the problems excludes 1, and on no problem is the
            arm inferior (its estimate above `MARGIN`, significantly worse, or diverging); or the
            reference diverges on every problem. ``worse``: the interval excludes 1, or the arm
            diverges on every problem, and on none is it better. ``equivalent``: the interval, and
            each problem's estimate, is within `MARGIN`. ``mixed``: better on some problems or as a
            whole, and worse, inferior or diverging on others.
        outcomes: The verdict on each problem of the effect. ``diverges``: at least half of the
            arm's seeds do, and not of the reference's.
        p: p value over the problems, adjusted for the family.
        enough: Whether there are enough seeds for a claim.
        exploratory: Whether it is one of several comparisons that have too few seeds for a family,
            so that nothing can be claimed of it.
        seeds_needed: Seeds per problem at which about 80 % of such studies would decide, if the
            estimate were true. ``None`` if it is decided, unknown, or more than `MOST_SEEDS`.
    """

    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    p: float
    enough: bool
    exploratory: bool
    seeds_needed: int | None


def claims(effects: Sequence[Effect]) -> list[Claim]:
    """Claims of comparisons that are made together.

    With enough seeds for a family all may claim, at p values adjusted by S. Holm (Scand. J. Stat.
    6, 1979). With fewer the first one, which the study declares, may claim alone.

    Args:
        effects: Of each comparison, the declared one first.
    """
    compared = [found for found in effects if found.pairs]
    family = len(compared) > 1 and all(_fewest(e) >= LEAST_SEEDS_ALONE for e in compared)
    adjusted = holm([found.p for found in effects]) if family else [e.p for e in effects]
    size = len(compared) if family else 1
    said, declared = [], True
    for found, p in zip(effects, adjusted, strict=True):
        exploratory = len(compared) > 1 and not family and not declared
        declared = declared and not found.pairs
        said.append(_claim(found, p, size, exploratory))
    return said


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number by Holm's method, in their order."""
    order = np.argsort(p_values, kind="stable")
    count, highest = len(p_values), 0.0
    adjusted = [1.0] * count
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _fewest(found: Effect) -> int:
    """Of the problems, the smallest number of pairs that carry it."""
    return min((one.pairs if one.counts else one.seeds for one in found.on), default=0)


def _enough(found: Effect) -> bool:
    """Whether there are enough seeds for a claim of a single comparison."""
    several = len(found.on) >= _FEW_PROBLEMS
    return _fewest(found) >= (LEAST_SEEDS if several else LEAST_SEEDS_ALONE)


def _claim(found: Effect, p: float, size: int, exploratory: bool) -> Claim:
    enough = _enough(found)
    if not enough or exploratory:
        outcomes: tuple[Outcome, ...] = tuple("undecided" for _ in found.on)
        needed = None if exploratory else _seeds_needed(found)
        return Claim("undecided", outcomes, p, enough, exploratory, needed)
    outcomes = _outcomes(found.on, size)
    verdict = _verdict(found, p, outcomes)
    needed = _seeds_needed(found) if verdict == "undecided" else None
    return Claim(verdict, outcomes, p, enough, False, needed)


def _outcomes(problems: Sequence[OnProblem], size: int) -> tuple[Outcome, ...]:
    """The verdict on each problem, with p values adjusted for the number of problems and for the
    size of the family."""
    adjusted = holm([min(1.0, size * one.p) if one.counts else 1.0 for one in problems])
    return tuple(_outcome(one, p) for one, p in zip(problems, adjusted, strict=True))


def _outcome(problem: OnProblem, p: float) -> Outcome:
    if problem.diverges != problem.reference_diverges:
        return "diverges" if problem.diverges else "better"
    if not problem.counts or p >= ALPHA:
        return "undecided"
    return "better" if problem.estimate < 0 else "worse"


def _verdict(found: Effect, p: float, outcomes: Sequence[Outcome]) -> Verdict:
    margin = math.log(MARGIN)
    decided = p < ALPHA
    inferior = any(
        outcome in ("worse", "diverges") or (one.counts and one.estimate > margin)
        for one, outcome in zip(found.on, outcomes, strict=True)
    )
    if "diverges" in outcomes:
        return "worse" if set(outcomes) == {"diverges"} else "mixed"
    if _equivalent(found):
        return "equivalent"
    if decided and found.estimate < 0:
        return "mixed" if inferior else "better"
    if decided and found.estimate > 0:
        return "mixed" if "better" in outcomes else "worse"
    if {"better", "worse"} <= set(outcomes):
        return "mixed"
    rescued = all(one.reference_diverges and not one.diverges for one in found.on)
    return "better" if rescued else "undecided"


def _equivalent(found: Effect) -> bool:
    """Whether the interval, and the estimate on each problem, is within `MARGIN`."""
    margin = math.log(MARGIN)
    low, high = found.interval(1 - ALPHA)
    return (
        -margin <= low
        and high <= margin
        and all(one.counts and abs(one.estimate) <= margin for one in found.on)
    )


def _seeds_needed(found: Effect) -> int | None:
    """Seeds per problem, more than there are, at which 80 % of such studies would decide, if the
    log ratios were normal with the spread that they have within problems."""
    problems = [one for one in found.on if one.counts]
    if len(problems) < len(found.on) or not found.variance > 0 or found.estimate == 0:
        return None
    spread = sum(one.variance * one.pairs for one in problems) / len(problems) ** 2
    several = len(problems) >= _FEW_PROBLEMS
    least = LEAST_SEEDS if several else LEAST_SEEDS_ALONE
    seeds = np.arange(max(least, 1 + max(one.pairs for one in problems)), MOST_SEEDS + 1)
    freedom = (seeds - 1) * (len(problems) + 1) / 2
    needed = stats.t.ppf(1 - ALPHA / 2, freedom) + stats.t.ppf(_POWER, freedom)
    enough = seeds[needed * np.sqrt(spread / seeds) <= abs(found.estimate)]
    return int(enough[0]) if len(enough) else None
