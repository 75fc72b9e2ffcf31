"""Probability that an arm's error is smaller than a reference's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.statistics.resampling import band, resampled_seeds


class Improvement(NamedTuple):
    """The probability of improvement.

    Attributes:
        probability: That a run of the arm has a smaller error than one of the reference, averaged
            over the cases; nan without a case.
        low: Lower end of the 95 % interval for other seeds; nan if a case has a single one.
        high: Upper end of that interval.
        cases: Number of cases.
    """

    probability: float
    low: float
    high: float
    cases: int


def improvement(
    arm: Sequence[np.ndarray], reference: Sequence[np.ndarray], rng_seed: int = 0
) -> Improvement:
    """The probability of improvement over a reference, R. Agarwal et al. (arXiv 2108.13264, eq. 4).

    On a case it is the share of all pairs of a run of the arm and one of the reference, of any
    seeds, in which the arm's error is smaller: the Mann–Whitney statistic U / n². Ties count ½. A
    run that diverged is worse than any that did not, and ties with another one. It says how often
    the arm is better and not by how much.

    The interval is a stratified bootstrap: seeds are drawn within cases, for both arms together
    since they are paired; its ends are those of `resampling.band`. With few seeds it covers less
    than 95 %: how much is simulated in ``docs/science/statistics.md``.

    Args:
        arm: For each case (seeds,) errors; infinite where a run diverged, nan where there is none.
        reference: Those of the reference in the same order. Seeds that one side lacks, and cases
            without another one, are left out.
        rng_seed: Seed of the bootstrap.
    """
    wins = [_wins(ours, theirs) for ours, theirs in zip(arm, reference, strict=True)]
    wins = [of_case for of_case in wins if len(of_case)]
    if not wins:
        return Improvement(math.nan, math.nan, math.nan, 0)
    seeds = [len(of_case) for of_case in wins]
    resampled = [
        np.einsum("ri,ij,rj->r", drawn, of_case, drawn, optimize=True)
        for drawn, of_case in zip(resampled_seeds(seeds, rng_seed), wins, strict=True)
    ]
    probability = float(np.mean([of_case.mean() for of_case in wins]))
    variances = np.var(resampled, axis=1)[:, None]
    low, high = band(np.array([probability]), np.mean(resampled, axis=0)[:, None], variances, seeds)
    return Improvement(probability, float(low[0]), float(high[0]), len(wins))


def _wins(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(seeds, seeds) of 1 where our error of the row is smaller than theirs of the column, ½ where
    they tie."""
    both = ~(np.isnan(ours) | np.isnan(theirs))
    one, other = ours[both, None], theirs[None, both]
    return np.asarray((one < other) + 0.5 * (one == other), dtype=float)
