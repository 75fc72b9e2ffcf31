"""Bootstrap over seeds within cases, for statistics that are means of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from bench.statistics.summaries import CONFIDENCE, expanded_tail

_RESAMPLES = 2000


def resampled_seeds(seeds: Sequence[int], rng_seed: int) -> list[np.ndarray]:
    """For each case (resamples, seeds) of how often each seed is drawn, over their number.

    Args:
        seeds: Number of seeds of each case, which are drawn with replacement case by case.
        rng_seed: Seed of the bootstrap.
    """
    rng = np.random.default_rng(rng_seed)
    return [rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES) / n for n in seeds]


def band(
    shares: np.ndarray, resampled: np.ndarray, of_cases: np.ndarray, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of each share, for other seeds of the same cases.

    It is the wider one of two. One is the expanded percentile interval, with the degrees of freedom
    of all cases together. It has no width where a case has a share of 0 or 1, which is so in all
    resamples, though few seeds do not show that it is so: an interval over cases of which half have
    a share near 0 and half near 1 would be a point. So the other is Student's with the sum of the
    cases' variances, each at least that of H. Jeffreys' posterior where all of the case's runs
    agree: no case is surer than one of these.

    Where all runs of all cases agree, the far end is C. Clopper and E. Pearson's (Biometrika 26,
    1934), 0.025^(1/N) from the other side, for N seeds in all. It holds for cases whose shares
    differ, since the product of shares is at most their mean's power. All ends are nan where a case
    has a single seed.

    Args:
        shares: (columns,) the shares, means over the cases.
        resampled: (resamples, columns).
        of_cases: (cases, columns) variances of each case's share, as of resamples.
        seeds: Number of seeds of each case.
    """
    if min(seeds) < 2:
        return np.full(len(shares), np.nan), np.full(len(shares), np.nan)
    freedom = sum(seeds) - len(seeds)
    tail = expanded_tail(min(seeds), freedom)
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    counts = np.array(seeds, dtype=float)[:, None]
    unbiased = np.maximum(of_cases * counts / (counts - 1), _agreeing(counts))
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * np.sqrt(unbiased.sum(axis=0)) / len(seeds)
    low = np.minimum(low, np.maximum(shares - half, 0))
    high = np.maximum(high, np.minimum(shares + half, 1))
    least = ((1 - CONFIDENCE) / 2) ** (1 / sum(seeds))
    low, high = np.where(shares == 1, least, low), np.where(shares == 1, 1.0, high)
    return np.where(shares == 0, 0.0, low), np.where(shares == 0, 1 - least, high)


def _agreeing(counts: np.ndarray) -> np.ndarray:
    """Variance of Jeffreys' posterior, Beta(½, n + ½), of a share with none of n runs."""
    return 0.5 * (counts + 0.5) / ((counts + 1) ** 2 * (counts + 2))
