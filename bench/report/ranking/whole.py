"""A comparison over every case of a ranking, those included on which both arms are the same run."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.report.results import Comparison, Results
from bench.statistics.choices import NO_CHANCE
from bench.statistics.effects import Effect, effect


def over_every_case(results: Results, compared: Comparison) -> Comparison:
    """The comparison with the cases on which both are the same run, where the ratio is 1.

    An arm's rank is over all cases, and so is then its ratio. What is claimed stays: it is of the
    cases on which the two differ. A comparison without such a case is returned as it is.

    Args:
        results: What it is of.
        compared: The comparison, as `Results.compare` makes it.
    """
    if not compared.effect.pairs:
        return compared
    pair = compared.variant, compared.reference
    same = {case: results.log_ratios(case, *pair, results.metric(case)) for case in compared.noops}
    same = {case: ratios for case, ratios in same.items() if len(ratios)}
    by_case = {**compared.by_case, **same}
    chances = [NO_CHANCE if case in same else results.chance(case, *pair) for case in by_case]
    names = [case.problem for case in by_case]
    diverged = {case: results.diverged(case, compared.variant) for case in same}
    return replace(
        compared,
        effect=_with(compared.effect, effect(list(by_case.values()), names, choices=chances)),
        by_case=by_case,
        lost={**compared.lost, **{case: (count, count) for case, count in diverged.items()}},
    )


def _with(found: Effect, whole: Effect) -> Effect:
    """The effect over all cases, its interval for other seeds made from that of `found`.

    A case of equal runs has no variance, so it only divides the sum by more cases: estimate and
    interval shrink by one factor.
    """
    ours, every = (_averaged(of) for of in (found, whole))
    share = ours / every if every else math.nan
    known = share if ours else math.nan
    return whole._replace(
        estimate=found.estimate * share if ours else whole.estimate,
        low=found.low * known,
        high=found.high * known,
        variance=found.variance * known**2,
        freedom=found.freedom,
    )


def _averaged(found: Effect) -> int:
    """The number of cases that the estimate is the mean of, as `effect` forms it."""
    counting = [one for one in found.on if one.counts]
    return len([one for one in counting if one.pairs > 1] or counting)
