"""Statistics of paired comparisons over problems and seeds.

An effect is about log ratios of errors. A diverged run is infinitely wrong: it ranks last and is
never averaged away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
#: For a claim, each problem has so many seeds, and Σ(seeds − 1) over the problems is so much: six
#: seeds of one problem, or three of three. With fewer the resamples do not reach the tails that the
#: interval needs, and simulated studies without a difference claim one in 10 to 23 %.
LEAST_SEEDS, LEAST_FREEDOM = 3, 5
#: Seeds per problem that are worth naming.
MOST_SEEDS = 1000
_POWER = 0.8
#: Resamples of a bootstrap, and how many values they may have in all before there are fewer.
_RESAMPLES, _MOST_DRAWN, _LEAST_RESAMPLES = 5000, 5_000_000, 1000
#: Resampled values held at a time: 32 MB in float64.
_BATCH_VALUES = 4_000_000
#: Variance of the interquartile mean of many normal values, as a multiple of their mean's.
_IQM_VARIANCE = 1.195

Verdict = Literal["better", "worse", "undecided"]

#: Of how many values so many are left out at either end, before the mean is taken.
Trimmed = Callable[[int], int]


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


class Effect(NamedTuple):
    """A log ratio over problems and seeds.

    Attributes:
        estimate: Interquartile mean of the natural log ratios; below 0 the error is smaller.
        low: Lower end of the 95 % interval; nan if no problem has two seeds.
        high: Upper end of that interval.
        pairs: Number of pairs of equal problem and seed.
        problems: Number of problems that have pairs.
        wins: Number of pairs with a smaller error than the reference's.
        ties: Number of pairs with equal errors.
        losses: Number of pairs with a larger error.
        diverged: Number of pairs in which the arm diverged and the reference did not.
        verdict: ``better`` or ``worse`` only if the interval excludes 0 and there are at least
            `LEAST_SEEDS` seeds and `LEAST_FREEDOM` degrees of freedom.
        enough: Whether there are so many.
        seeds_needed: Seeds per problem at which about 80 % of such studies would decide, if the
            estimate were true. ``None`` if it is decided, unknown, or more than `MOST_SEEDS`.
    """

    estimate: float
    low: float
    high: float
    pairs: int
    problems: int
    wins: int
    ties: int
    losses: int
    diverged: int
    verdict: Verdict
    enough: bool
    seeds_needed: int | None

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Estimate, low and high as ratios."""
        return ratio(self.estimate), ratio(self.low), ratio(self.high)


class Term(NamedTuple):
    """A main effect (one factor) or an interaction (several).

    Attributes:
        factors: Names of the factors.
        effect: The effect; undecided if a run diverged.
        diverged: Number of runs that were entered with the worst error of their problem.
    """

    factors: tuple[str, ...]
    effect: Effect
    diverged: int


def ratio(log_ratio: float) -> float:
    """exp, infinite where it overflows."""
    return math.inf if log_ratio >= 700 else math.exp(log_ratio)


def iqm(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Interquartile mean: the mean without the lowest and the highest quarter of the values.

    It is that of `scipy.stats.trim_mean` and R. Agarwal et al., arXiv 2108.13264, except for
    infinite values: one that remains makes the mean infinite, two of different sign make it nan.

    Args:
        values: Array of any shape.
        axis: Axis along which the mean is taken.
    """
    ordered = np.sort(values, axis=axis)
    count = ordered.shape[axis]
    cut = _quarter(count)
    kept = np.take(ordered, np.arange(cut, count - cut), axis=axis)
    with np.errstate(invalid="ignore"):
        return np.asarray(kept.mean(axis=axis))


def _quarter(count: int) -> int:
    """Number of values that the interquartile mean leaves out at either end."""
    return count // 4


def _but_middle(count: int) -> int:
    """Number of values that the median, the mean of the middle one or two, drops at either end."""
    return (count - 1) // 2


def summarize(errors: np.ndarray, rng_seed: int = 0) -> Summary:
    """Errors of one arm on one problem.

    Args:
        errors: (seeds,), infinite where a run has diverged.
        rng_seed: Seed of the bootstrap.
    """
    low, high = math.nan, math.nan
    if len(errors) > 1:
        low, high = _interval([errors], _but_middle, rng_seed)
    return Summary(
        len(errors),
        int(np.isinf(errors).sum()),
        float(np.mean(errors)) if len(errors) else math.nan,
        float(np.median(errors)) if len(errors) else math.nan,
        low,
        high,
    )


def effect(log_ratios: Sequence[np.ndarray], rng_seed: int = 0) -> Effect:
    """The effect over all problems, with a stratified bootstrap over the seeds of each.

    The problems are taken as given: the interval is about other seeds on these.

    Args:
        log_ratios: For each problem (seeds,) of log(error / error of the reference); +inf where
            the arm diverged, −inf where the reference did, nan where both did. The last is a tie,
            which supports no claim.
        rng_seed: Seed of the bootstrap.
    """
    given = [np.asarray(values, dtype=float) for values in log_ratios if len(values)]
    strata = [np.where(np.isnan(values), 0.0, values) for values in given]
    if not strata:
        return Effect(math.nan, math.nan, math.nan, 0, 0, 0, 0, 0, 0, "undecided", False, None)
    every = np.concatenate(strata)
    estimate = float(iqm(every))
    low, high = math.nan, math.nan
    if any(len(values) > 1 for values in strata):
        low, high = _interval(strata, _quarter, rng_seed)
    verdict: Verdict = "undecided"
    enough = _enough([values[~np.isnan(values)] for values in given])
    if enough:
        verdict = "better" if high < 0 else "worse" if low > 0 else "undecided"
    return Effect(
        estimate,
        low,
        high,
        len(every),
        len(strata),
        int((every < 0).sum()),
        int((every == 0).sum()),
        int((every > 0).sum()),
        int(np.isposinf(every).sum()),
        verdict,
        enough,
        _seeds_needed(strata, estimate) if verdict == "undecided" else None,
    )


def _enough(strata: Sequence[np.ndarray]) -> bool:
    """Whether there are enough seeds for a claim."""
    sizes = [len(values) for values in strata if len(values)]
    return bool(sizes) and min(sizes) >= LEAST_SEEDS and sum(sizes) - len(sizes) >= LEAST_FREEDOM


def factorial(
    names: Sequence[str], log_errors: Sequence[np.ndarray], rng_seed: int = 0
) -> list[Term]:
    """Main effects and interactions of a full 2ᵏ factorial, of every order.

    A main effect is the log error with the factor minus that without, averaged over the levels of
    the other factors. An interaction is the effect of one factor with another on, minus its effect
    with the other off (a log ratio of ratios), and so on.

    Args:
        names: Names of the k factors.
        log_errors: For each problem (2, …, 2, seeds) natural logs, an axis for each factor, off
            and on. A diverged run (+inf) is entered with the largest finite value of its problem.
            That is a guess, so nothing is claimed then, least of all about an interaction. A
            problem without a finite value is left out.
        rng_seed: Seed of the bootstrap.
    """
    some = [values for values in log_errors if np.isfinite(values).any()]
    capped = [_capped(values) for values in some]
    diverged = sum(int(np.isposinf(values).sum()) for values in some)
    terms = []
    for order in range(1, len(names) + 1):
        for chosen in combinations(range(len(names)), order):
            contrasts = [_contrast(values, chosen) for values in capped]
            found = effect(contrasts, rng_seed)
            if diverged:
                found = found._replace(verdict="undecided", seeds_needed=None)
            terms.append(Term(tuple(names[k] for k in chosen), found, diverged))
    return terms


def _capped(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.clip(values, finite.min(), finite.max())


def _contrast(values: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """(seeds,) differences along the chosen axes, means along the others."""
    for axis in reversed(range(values.ndim - 1)):
        off, on = np.take(values, 0, axis=axis), np.take(values, 1, axis=axis)
        values = on - off if axis in chosen else (on + off) / 2
    return values


def _interval(strata: Sequence[np.ndarray], trimmed: Trimmed, rng_seed: int) -> tuple[float, float]:
    """The expanded percentile interval of a trimmed mean of the union of strata, of which at least
    one has two values.

    The plain percentile interval is too narrow for few seeds. The bootstrap's variance of a mean of
    n values is (n−1)/n of the unbiased one, and it uses normal quantiles instead of Student's.
    Hence the tails Φ(−t·√inflation): T. Hesterberg, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69 (2015). Over strata of one variance the inflation is
    Σn / Σ(n−1), which also makes up for strata of a single seed, which do not vary. The degrees of
    freedom are Σ(n−1).
    """
    freedom = sum(len(values) - 1 for values in strata)
    inflation = sum(map(len, strata)) / freedom
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)
    tail = float(stats.norm.sf(quantile * math.sqrt(inflation)))
    found = _resampled(strata, trimmed, rng_seed)
    # No interpolation, which would make nan of infinite neighbours.
    low = np.quantile(np.where(np.isnan(found), -math.inf, found), tail, method="lower")
    high = np.quantile(np.where(np.isnan(found), math.inf, found), 1 - tail, method="higher")
    return float(low), float(high)


def _resampled(strata: Sequence[np.ndarray], trimmed: Trimmed, rng_seed: int) -> np.ndarray:
    """(resamples,) trimmed means of resamples of the union, each stratum resampled by itself.

    This is the bootstrap of `scipy.stats`, with its draws, but several times faster: strata of
    equal sizes are drawn once, and ranks are sorted instead of values.
    """
    values = np.concatenate(strata)
    count = len(values)
    resamples = max(_LEAST_RESAMPLES, min(_RESAMPLES, _MOST_DRAWN // count))
    sizes = tuple(map(len, strata))
    batch = max(1, _BATCH_VALUES // sum(size for size in sizes if size > 1))
    drawn = _draws(sizes, resamples, batch, rng_seed)
    order = np.argsort(values)
    ordered = values[order]
    ranks = np.empty(count, drawn.dtype)
    ranks[order] = np.arange(count)
    cut = trimmed(count)
    means = np.empty(resamples)
    with np.errstate(all="ignore"):  # infinite samples are results here
        for start in range(0, resamples, batch):
            rows = slice(start, start + batch)
            # Of small integers the stable sort is a radix sort.
            kept = np.sort(ranks[drawn[rows]], axis=1, kind="stable")[:, cut : count - cut]
            means[rows] = ordered[kept].mean(axis=1)
    return means


@functools.lru_cache(maxsize=4)
def _draws(sizes: tuple[int, ...], resamples: int, batch: int, rng_seed: int) -> np.ndarray:
    """(resamples, Σ sizes) places in the union of strata that each resample takes.

    Args:
        sizes: Sizes of the strata; a stratum of a single value always gives that value.
        resamples: Number of resamples.
        batch: Number of resamples that are drawn from each stratum in turn.
        rng_seed: Seed of the draws.
    """
    rng = np.random.default_rng(rng_seed)
    first = np.cumsum([0, *sizes])
    drawn = np.empty((resamples, first[-1]), np.min_scalar_type(max(int(first[-1]) - 1, 0)))
    for start in range(0, resamples, batch):
        rows = slice(start, min(start + batch, resamples))
        for begin, size in zip(first, sizes, strict=False):
            shape = (rows.stop - start, size)
            places = rng.integers(0, size, shape) if size > 1 else np.zeros(shape, int)
            drawn[rows, begin : begin + size] = begin + places
    return drawn


def _seeds_needed(strata: Sequence[np.ndarray], estimate: float) -> int | None:
    """Seeds per problem, more than there are, at which 80 % of such studies would decide, if the
    log ratios were normal with the spread that they have within problems. ``None`` if a run
    diverged.
    """
    freedom = sum(len(values) - 1 for values in strata)
    if freedom == 0 or estimate == 0 or not np.isfinite(np.concatenate(strata)).all():
        return None
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in strata)
    variance = _IQM_VARIANCE * squares / freedom
    present = max(map(len, strata))
    least = max(LEAST_SEEDS, 1 + math.ceil(LEAST_FREEDOM / len(strata)), present + 1)
    seeds = np.arange(least, MOST_SEEDS + 1)
    df = (seeds - 1) * len(strata)
    needed = stats.t.ppf(0.5 + CONFIDENCE / 2, df) + stats.t.ppf(_POWER, df)
    enough = seeds[needed * np.sqrt(variance / (seeds * len(strata))) <= abs(estimate)]
    return int(enough[0]) if len(enough) else None
