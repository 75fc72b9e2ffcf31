"""Bootstrap over seeds within cases, for statistics that are means of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.statistics.summaries import expanded_tail

_RESAMPLES = 2000


def resampled_seeds(seeds: Sequence[int], rng_seed: int) -> list[np.ndarray]:
    """For each case (resamples, seeds) of how often each seed is drawn, over their number.

    Args:
        seeds: Number of seeds of each case, which are drawn with replacement case by case.
        rng_seed: Seed of the bootstrap.
    """
    rng = np.random.default_rng(rng_seed)
    return [rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES) / n for n in seeds]


def band(values: np.ndarray, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of each column: the expanded percentile interval.

    Its degrees of freedom are those of all cases together. nan where a case has a single seed,
    which says nothing about other seeds.

    Args:
        values: (resamples, columns).
        seeds: Number of seeds of each case.
    """
    if min(seeds) < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    tail = expanded_tail(min(seeds), sum(seeds) - len(seeds))
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high
