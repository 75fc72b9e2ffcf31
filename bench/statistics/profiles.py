"""Performance profiles: on which share of the runs an arm is nearly the best.

E. Dolan and J. Moré, "Benchmarking optimization software with performance profiles", Math. Program.
91 (2002), as used for training algorithms in AlgoPerf (arXiv 2306.07179).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.statistics.resampling import band, resampled_seeds


class Profile(NamedTuple):
    """The profile of one arm: a step function, constant between its steps and after the last.

    Attributes:
        taus: (T,) where it steps, increasing: 1, and each ratio of the arm's cost to the least that
            it has in a run.
        shares: (T,) shares from each τ on: of cases and seeds, each case with weight 1/K, on which
            the cost is at most τ times the least of all arms'.
        low: (T,) lower ends of the pointwise 95 % band for other seeds; nan if a case has a single
            one.
        high: (T,) upper ends of the band.
    """

    taus: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, tau: float) -> float:
        """The share at a τ; 0 below 1."""
        step = int(np.searchsorted(self.taus, tau, side="right")) - 1
        return float(self.shares[step]) if step >= 0 else 0.0


def profiles(costs: Sequence[np.ndarray], rng_seed: int = 0) -> list[Profile]:
    """The performance profile of each arm.

    A cost is an error, or a time to a target. It is compared with the least cost among all arms of
    the same case and seed. Where all costs are infinite no arm is within any τ, so that no profile
    reaches 1. A profile depends on which arms it is made of: one that is far better on a case is
    the measure of all others there.

    The band is a bootstrap over the seeds of each case, drawn for all arms together since seeds are
    paired; its ends are those of `resampling.band`. It is for other seeds on these cases and not
    for other cases. How much it covers is simulated in ``docs/science/statistics.md``.

    Args:
        costs: For each case (arms, seeds), with the same arms in every case; infinite where a run
            diverged or does not reach the target, nan where there is none: such seeds are left out
            for all arms, and a case without another one too.
        rng_seed: Seed of the bootstrap.

    Returns:
        A profile for each arm; without steps if there is no seed that all arms have.

    Raises:
        ValueError: The cases have different numbers of arms, or a cost is below 0.
    """
    arms = {len(of_case) for of_case in costs}
    if len(arms) > 1:
        raise ValueError(f"cases with different numbers of arms: {sorted(arms)}")
    if any((of_case < 0).any() for of_case in costs):
        raise ValueError("a cost is below 0")
    complete = [of_case[:, ~np.isnan(of_case).any(axis=0)] for of_case in costs]
    cases = [_ratios(of_case) for of_case in complete if of_case.shape[1]]
    if not cases:
        nothing = np.empty(0)
        return [Profile(nothing, nothing, nothing, nothing)] * (arms.pop() if arms else 0)
    seeds = [ratios.shape[1] for ratios in cases]
    weights = np.concatenate([np.full(n, 1 / n / len(cases)) for n in seeds])
    drawn = np.concatenate(resampled_seeds(seeds, rng_seed), axis=1) / len(cases)
    return [_profile(ratios, weights, drawn, seeds) for ratios in np.concatenate(cases, axis=1)]


def _ratios(costs: np.ndarray) -> np.ndarray:
    """(arms, seeds) costs over the least of the seed."""
    least = costs.min(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = costs / least
    # Neither 0 / 0 nor inf / inf is a number: the former is the least cost, the latter is none.
    ratios[costs == least] = 1.0
    return np.where(np.isinf(costs), np.inf, ratios)


def _profile(
    ratios: np.ndarray, weights: np.ndarray, drawn: np.ndarray, seeds: Sequence[int]
) -> Profile:
    """Of (runs,) ratios with (runs,) weights, and (resamples, runs) weights of the bootstrap."""
    order = np.argsort(ratios, kind="stable")
    taus = np.unique(np.append(ratios[np.isfinite(ratios)], 1.0))
    within = np.searchsorted(ratios[order], taus, side="right")  # number of runs within each τ
    shares = _cumulated(weights[None, order])[0, within]
    # (cases, runs) of which run is whose: its cumulated mean is the share of the case.
    whose = np.repeat(np.eye(len(seeds)) / seeds, seeds, axis=0).T
    of_cases = _cumulated(whose[:, order])[:, within]
    variances = of_cases * (1 - of_cases) / np.array(seeds)[:, None]
    low, high = band(shares, _cumulated(drawn[:, order])[:, within], variances, seeds)
    # A share only grows with τ, and so do the ends of its band: widened where a step reaches 1.
    low, high = np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)
    return Profile(taus, shares, low, high)


def _cumulated(weights: np.ndarray) -> np.ndarray:
    """(…, runs + 1) sums of the first weights, without their rounding errors."""
    return np.round(np.pad(np.cumsum(weights, axis=1), [(0, 0), (1, 0)]), 12)
