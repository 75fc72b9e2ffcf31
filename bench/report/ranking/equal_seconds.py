"""The error of an arm after as many seconds as the reference's whole length takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.report.ranking.lengths import lengths_of
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.seconds import step_ratio
from bench.report.results import Case, log_error
from bench.statistics.choices import Chance
from bench.statistics.effects import Effect, effect
from bench.statistics.targets import errors_at


@dataclass(frozen=True)
class AtEqualSeconds:
    """An arm's errors at the length that takes the reference's seconds.

    Attributes:
        arm: Name of the arm.
        share: By case, that length in shares of the budget's steps; cases without step times of
            both that compare are left out.
        log_errors: By case, natural logs of the errors there by seed, interpolated between the
            lengths that were run; +inf where one of the two diverged. A case is left out where the
            length is outside what was tried: nothing is extrapolated.
        by_case: Log ratios to the reference's error at its whole length, one for each seed, on the
            cases where the two are not the same run.
        chances: By the same cases, the chance in how the two settings were chosen.
    """

    arm: str
    share: Mapping[Case, float]
    log_errors: Mapping[Case, Mapping[int, float]]
    by_case: Mapping[Case, np.ndarray]
    chances: Mapping[Case, Chance]

    @property
    def effect(self) -> Effect:
        """Over the cases that have it."""
        chances = [self.chances[case] for case in self.by_case]
        names = [case.problem for case in self.by_case]
        return effect(list(self.by_case.values()), names, choices=chances)

    @property
    def outside(self) -> dict[Case, float]:
        """The cases where the length that takes as long was not tried, with its share."""
        return {case: share for case, share in self.share.items() if case not in self.log_errors}


def at_equal_seconds(ranked: Ranked) -> dict[str, AtEqualSeconds]:
    """Of all arms. The reference's own errors are those at its whole length."""
    return {arm: _of(ranked, arm) for arm in ranked.arms}


def _of(ranked: Ranked, arm: str) -> AtEqualSeconds:
    shares: dict[Case, float] = {}
    errors: dict[Case, Mapping[int, float]] = {}
    by_case: dict[Case, np.ndarray] = {}
    for case in ranked.scored.cases:
        ours, theirs = (lengths_of(ranked, case, name) for name in (arm, ranked.reference))
        if ours.whole is None or theirs.whole is None:
            continue
        length = theirs.whole / step_ratio(ranked, case, arm)
        if math.isnan(length):
            continue
        shares[case] = length / ours.whole
        found = dict(zip(ours.seeds, errors_at(ours.steps, ours.errors, length), strict=True))
        known = {s: log_error(float(e)) for s, e in found.items() if not math.isnan(e)}
        if not known:
            continue
        errors[case] = known
        if not ranked.scored.is_noop(case, arm, ranked.reference):
            by_case[case] = _log_ratios(known, ranked.errors(case)[ranked.reference])
    by_case = {case: ratios for case, ratios in by_case.items() if len(ratios)}
    chances = {case: ranked.scored.chance(case, arm, ranked.reference) for case in by_case}
    return AtEqualSeconds(arm, shares, errors, by_case, chances)


def _log_ratios(ours: Mapping[int, float], reference: Mapping[int, float]) -> np.ndarray:
    """(seeds,) that have both; nan where both diverged."""
    both = sorted(ours.keys() & reference.keys())
    theirs = np.array([log_error(reference[seed]) for seed in both], dtype=float)
    with np.errstate(invalid="ignore"):
        return np.array([ours[seed] for seed in both], dtype=float) - theirs
