"""Bootstrap over seeds within cases, for statistics that are means of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
    shares: np.ndarray, resampled: np.ndarray, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of each share, for other seeds of the same cases.

    It is the expanded percentile interval, with the degrees of freedom of all cases together. A
    share of 0 or 1 is so in all resamples too, which says nothing: there the far end is C. Clopper
    and E. Pearson's (Biometrika 26, 1934), 0.025^(1/N) from the other side, for N seeds in all. It
    holds for cases whose shares differ, since the product of shares is at most their mean's power.
    All ends are nan where a case has a single seed.

    Args:
        shares: (columns,) the shares.
        resampled: (resamples, columns).
        seeds: Number of seeds of each case.
    """
    if min(seeds) < 2:
        return np.full(len(shares), np.nan), np.full(len(shares), np.nan)
    tail = expanded_tail(min(seeds), sum(seeds) - len(seeds))
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    least = ((1 - CONFIDENCE) / 2) ** (1 / sum(seeds))
    return np.where(shares == 1, least, low), np.where(shares == 0, 1 - least, high)
