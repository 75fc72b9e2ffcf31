"""What may be claimed of effects: verdicts of a comparison, or of a family of them.

The rules keep the share of wrong claims small by construction, however many arms are compared and
however often a study is extended and looked at again: see ``docs/science/statistics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

from bench.statistics.effects import Effect, OnProblem

#: The level of every claim, at any number of seeds. A study that is looked at after every seed from
#: the third to the twentieth so errs in about 5 %.
ALPHA = 0.01
#: An arm is not inferior on a problem up to this ratio, and equivalent within it and its inverse.
MARGIN = 1.1
#: For a claim each problem has so many seeds: where there are at least three different problems,
#: and else. A family of comparisons has the latter.
LEAST_SEEDS, LEAST_SEEDS_ALONE = 3, 5
_FEW_PROBLEMS = 3
#: Seeds per problem that are worth naming.
MOST_SEEDS = 1000
_POWER = 0.8

Verdict = Literal["better", "worse", "equivalent", "mixed", "undecided"]
Outcome = Literal["better", "worse", "diverges", "reference diverges", "undecided"]


class Claim(NamedTuple):
    """What is claimed of an effect.

    Attributes:
        verdict: ``better``: the ratio over the problems is significantly below 1, or significantly
            fewer runs diverge, and on no problem is the arm inferior (its estimate above `MARGIN`,
            significantly worse, or diverging). ``worse``: the reverse of the former, and on no
            problem is it significantly better or does the reference alone diverge. ``equivalent``:
            the interval, and each problem's estimate, is within `MARGIN`, on no problem does one
            side alone diverge, and no more runs do than `MARGIN` stands for. ``mixed``: better on
            some problems or as a whole, and worse, inferior or diverging on others, or the reverse.
        outcomes: What is found on each problem of the effect. ``diverges``: at least half of the
            arm's seeds do, and not of the reference's; a count and not a test, since no few seeds
            could pass one, so that it is found where nothing may be claimed, too.
        p: p value over the problems, adjusted for the family.
        family: Number of comparisons that it is adjusted for.
        enough: Whether there are enough seeds for a claim, in a family for one of a family.
        exploratory: Whether it is one of several comparisons that have too few seeds for a family,
            so that nothing can be claimed of it.
        seeds_needed: Seeds per problem at which about 80 % of such studies would decide, if the
            estimate were true. ``None`` if it is decided, unknown, or more than `MOST_SEEDS`, as
            where no number of seeds decides what the choice of settings leaves open.
    """

    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    p: float
    family: int
    enough: bool
    exploratory: bool
    seeds_needed: int | None


def claims(
    effects: Sequence[Effect], size: int | None = None, seeds: int | None = None
) -> list[Claim]:
    """Claims of comparisons that are made together.

    If they were planned with enough seeds for a family all may claim, at p values adjusted by S.
    Holm (Scand. J. Stat. 6, 1979) for the number that was planned. One that lacks seeds, since runs
    failed or have not ended, makes no claim; for the others that changes nothing. If they were
    planned with fewer seeds the first one, which the study declares, may claim alone.

    Args:
        effects: Of each comparison, the declared one first.
        size: Number of comparisons that were planned; ``None``: those that have a pair.
        seeds: Per problem that were planned; ``None``: the most that a comparison has on all its
            problems.
    """
    compared = [k for k, found in enumerate(effects) if found.pairs]
    planned = max(len(compared), size or 0)
    most = max((_seeds(found) for found in effects), default=0) if seeds is None else seeds
    family = planned > 1 and most >= LEAST_SEEDS_ALONE
    size = planned if family else 1
    p_values = [p_value(found) for found in effects]
    if family:
        # A comparison without enough seeds makes no claim, so that it has no p value to be tested.
        tested = [k for k in compared if may_claim(effects[k], size)]
        adjusted = holm([p_values[k] for k in tested], size)
        p_values = [min(1.0, size * p) for p in p_values]
        for k, p in zip(tested, adjusted, strict=True):
            p_values[k] = p
    return [
        _claim(found, p, size, exploratory=not (family or planned <= 1 or k == 0))
        for k, (found, p) in enumerate(zip(effects, p_values, strict=True))
    ]


def may_claim(found: Effect, size: int) -> bool:
    """Whether there are enough seeds for a claim of one of so many comparisons.

    By the seeds that were run: a run that diverged is a result.
    """
    counted = found.different(counting=True)
    few = 0 < counted < _FEW_PROBLEMS or found.different() < _FEW_PROBLEMS
    return _seeds(found) >= (LEAST_SEEDS_ALONE if few or size > 1 else LEAST_SEEDS)


def p_value(found: Effect) -> float:
    """Two-sided p value of no difference, neither in the errors nor in how often runs diverge.

    Where in some pair one run alone diverged there are two tests, of which the smaller p value is
    doubled.
    """
    if not _discordant(found):
        return found.p
    return min(1.0, 2 * min(found.p, divergence_p(found)))


def divergence_p(found: Effect) -> float:
    """Two-sided p value of equally frequent divergence: the exact sign test over the pairs in which
    one run alone diverged; 1 if there is none."""
    fewer = min(found.diverged, found.reference_diverged)
    return min(1.0, 2 * float(special.bdtr(fewer, _discordant(found), 0.5)))


def holm(p_values: Sequence[float], size: int | None = None) -> list[float]:
    """p values adjusted by Holm's method, in their order.

    Args:
        p_values: Those that are known.
        size: Number of all, at least as many: the others are as if they were 1. ``None``: as many.
    """
    order = np.argsort(p_values, kind="stable")
    count, highest = len(p_values) if size is None else size, 0.0
    adjusted = [1.0] * len(p_values)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _discordant(found: Effect) -> int:
    return found.diverged + found.reference_diverged


def _seeds(found: Effect) -> int:
    """Of the problems, the smallest number of seeds."""
    return min((one.seeds for one in found.on), default=0)


def _claim(found: Effect, p: float, size: int, exploratory: bool) -> Claim:
    enough = may_claim(found, size)
    if not enough or exploratory:
        needed = None if exploratory else _seeds_needed(found, size)
        return Claim("undecided", counts(found), p, size, enough, exploratory, needed)
    outcomes = _outcomes(found.on, size)
    verdict = _verdict(found, p, outcomes)
    needed = _seeds_needed(found, size) if verdict == "undecided" else None
    return Claim(verdict, outcomes, p, size, enough, False, needed)


def counts(found: Effect) -> tuple[Outcome, ...]:
    """What is found on each problem without a test: on which one side alone diverges."""
    return tuple(_outcome(one, 1.0) for one in found.on)


def _outcomes(problems: Sequence[OnProblem], size: int) -> tuple[Outcome, ...]:
    """What is found on each problem, with p values adjusted for the number of problems and for the
    size of the family."""
    adjusted = holm([min(1.0, size * one.p) if one.counts else 1.0 for one in problems])
    return tuple(_outcome(one, p) for one, p in zip(problems, adjusted, strict=True))


def _outcome(problem: OnProblem, p: float) -> Outcome:
    if problem.diverges != problem.reference_diverges:
        return "diverges" if problem.diverges else "reference diverges"
    if not problem.counts or p >= ALPHA:
        return "undecided"
    return "better" if problem.estimate < 0 else "worse"


def _verdict(found: Effect, p: float, outcomes: Sequence[Outcome]) -> Verdict:
    better, worse = directions(found) if p < ALPHA else (False, False)
    inferior = any(
        outcome in ("worse", "diverges") or (one.counts and one.estimate > math.log(MARGIN))
        for one, outcome in zip(found.on, outcomes, strict=True)
    )
    superior = not {"better", "reference diverges"}.isdisjoint(outcomes)
    if better and worse:
        return "mixed"
    if _equivalent(found, outcomes):
        return "equivalent"
    if better:
        return "mixed" if inferior else "better"
    if worse:
        return "mixed" if superior else "worse"
    # Two counts without a test are no finding: by chance alone the one and the other diverges.
    tested = not {"better", "worse"}.isdisjoint(outcomes)
    if tested and superior and not {"worse", "diverges"}.isdisjoint(outcomes):
        return "mixed"
    return "undecided"


def directions(found: Effect) -> tuple[bool, bool]:
    """Of a difference that is significant: whether it is for the better, and for the worse.

    It is the direction of the test with the smaller p value, and that of the other one if it would
    pass alone.
    """
    of_errors, of_divergence = found.p, divergence_p(found)
    least = min(of_errors, of_divergence)
    signs = set()
    if of_errors == least or of_errors < ALPHA / 2:
        signs.add(found.estimate < 0)
    if of_divergence == least or of_divergence < ALPHA / 2:
        signs.add(found.diverged < found.reference_diverged)
    return True in signs, False in signs


def _equivalent(found: Effect, outcomes: Sequence[Outcome]) -> bool:
    """Whether errors and how often runs diverge are surely alike.

    The interval, and the estimate on each problem, is within `MARGIN`. On no problem does one side
    alone diverge, there is no significant difference in how often, and no more runs diverge alone
    than a tenth of the pairs, as `MARGIN` is a tenth: a count, since the few pairs of a study
    cannot show by a test that two shares are equal.
    """
    margin = math.log(MARGIN)
    low, high = found.interval(1 - ALPHA)
    return (
        -margin <= low
        and high <= margin
        and all(one.counts and abs(one.estimate) <= margin for one in found.on)
        and {"diverges", "reference diverges"}.isdisjoint(outcomes)
        and divergence_p(found) >= ALPHA
        and _discordant(found) <= round(MARGIN - 1, 9) * found.pairs
    )


def _seeds_needed(found: Effect, size: int) -> int | None:
    """Seeds per problem, more than there are, at which 80 % of such studies would decide, if the
    log ratios were normal with the spread that they have within problems, and with settings that
    are chosen as here."""
    problems = [one for one in found.on if one.counts]
    if len(problems) < len(found.on) or not found.variance > 0 or found.estimate == 0:
        return None
    choice = np.array([one.choice for one in problems])
    spread = np.array([one.variance for one in problems]) - choice
    spread *= [one.pairs for one in problems]
    several = found.different(counting=True) >= _FEW_PROBLEMS and size == 1
    least = LEAST_SEEDS if several else LEAST_SEEDS_ALONE
    seeds = np.arange(max(least, 1 + max(one.seeds for one in problems)), MOST_SEEDS + 1)
    variance = (spread.sum() / seeds + choice.sum()) / len(problems) ** 2
    freedom = (seeds - 1) * (len(problems) + 1) / 2
    if choice.any():
        # With ever more seeds nothing is left but the choice, which is as unsure as it is now.
        freedom = np.minimum(freedom, found.freedom)
    needed = stats.t.ppf(1 - ALPHA / size / 2, freedom) + stats.t.ppf(_POWER, freedom)
    enough = seeds[needed * np.sqrt(variance) <= abs(found.estimate)]
    return int(enough[0]) if len(enough) else None
