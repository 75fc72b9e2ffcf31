"""Errors of one arm on one problem over seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

#: Of every interval that is shown.
CONFIDENCE = 0.95
#: Resamples of a bootstrap, and how many values they may have in all before there are fewer.
_RESAMPLES, _MOST_DRAWN, _LEAST_RESAMPLES = 5000, 5_000_000, 1000


class Summary(NamedTuple):
    """Errors of one arm on one problem over seeds.

    Attributes:
        seeds: Number of seeds.
        diverged: Number of seeds with an infinite error.
        mean: Mean error; infinite if one seed's is.
        median: Median error; infinite if half of the seeds' are.
        low: Lower end of the median's bootstrap interval; nan for a single seed.
        high: Upper end of that interval.
    """

    seeds: int
    diverged: int
    mean: float
    median: float
    low: float
    high: float


def summarize(errors: np.ndarray, rng_seed: int = 0) -> Summary:
    """Errors of one arm on one problem.

    Args:
        errors: (seeds,), infinite where a run has diverged.
        rng_seed: Seed of the bootstrap.
    """
    low, high = math.nan, math.nan
    if len(errors) > 1:
        low, high = _interval(errors, rng_seed)
    return Summary(
        len(errors),
        int(np.isinf(errors).sum()),
        float(np.mean(errors)) if len(errors) else math.nan,
        float(np.median(errors)) if len(errors) else math.nan,
        low,
        high,
    )


def expanded_tail(seeds: int, freedom: int) -> float:
    """Probability of either tail of an expanded percentile interval: Φ(−t·√(n/(n−1))).

    The plain percentile interval is too narrow for few seeds: the bootstrap's variance of a mean of
    n values is (n−1)/n of the unbiased one, and it uses normal quantiles instead of Student's: T.
    Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
    (2015).

    Args:
        seeds: Number n of values that are resampled together, at least two.
        freedom: Degrees of freedom: n − 1, or the sum of that over several such sets.
    """
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)
    return float(stats.norm.sf(quantile * math.sqrt(seeds / (seeds - 1))))


def _interval(values: np.ndarray, rng_seed: int) -> tuple[float, float]:
    """The expanded percentile interval of the median of at least two values."""
    tail = expanded_tail(len(values), len(values) - 1)
    found = _medians(values, rng_seed)
    # No interpolation, which would make nan of infinite neighbours.
    low = np.quantile(np.where(np.isnan(found), -math.inf, found), tail, method="lower")
    high = np.quantile(np.where(np.isnan(found), math.inf, found), 1 - tail, method="higher")
    return float(low), float(high)


def _medians(values: np.ndarray, rng_seed: int) -> np.ndarray:
    """(resamples,) medians of resamples of the values."""
    count = len(values)
    resamples = max(_LEAST_RESAMPLES, min(_RESAMPLES, _MOST_DRAWN // count))
    drawn = np.random.default_rng(rng_seed).integers(0, count, (resamples, count))
    with np.errstate(invalid="ignore"):  # infinite samples are results here
        return np.asarray(np.median(values[drawn], axis=1))
