"""How much an arm's error differs from a reference's, over problems and seeds.

An effect is about log ratios of errors of pairs with equal problem, model and seed. Divergence is
no number: how often an arm diverges stands beside the effect among the pairs in which neither did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from bench.statistics.choices import NO_CHANCE, Chance, filled
from bench.statistics.summaries import CONFIDENCE


class OnProblem(NamedTuple):
    """The effect on one problem and model.

    Attributes:
        estimate: Mean of the natural log ratios of the pairs in which neither run diverged; below 0
            the error is smaller; nan without such a pair.
        variance: Of the estimate, for other seeds and other choices; nan for a single pair.
        freedom: Degrees of freedom of the variance.
        pairs: Number of pairs in which neither run diverged.
        seeds: Number of pairs.
        diverged: Number of pairs in which the arm alone diverged.
        reference_diverged: Number of pairs in which the reference alone diverged.
        choice: Part of the variance that is due to how settings were chosen, and that more seeds do
            not make smaller.
    """

    estimate: float
    variance: float
    freedom: float
    pairs: int
    seeds: int
    diverged: int
    reference_diverged: int
    choice: float

    @property
    def both_diverged(self) -> int:
        """Number of pairs in which both diverged."""
        return self.seeds - self.pairs - self.diverged - self.reference_diverged

    @property
    def diverges(self) -> bool:
        """Whether at least half of the arm's runs diverge."""
        return 2 * (self.diverged + self.both_diverged) >= self.seeds

    @property
    def reference_diverges(self) -> bool:
        """Whether at least half of the reference's runs diverge."""
        return 2 * (self.reference_diverged + self.both_diverged) >= self.seeds

    @property
    def counts(self) -> bool:
        """Whether it is part of the effect over problems: neither diverges."""
        return self.pairs > 0 and not (self.diverges or self.reference_diverges)

    @property
    def p(self) -> float:
        """Two-sided p value of no effect, by Student's t; 1 where it cannot be told."""
        return _p(self.estimate, self.variance, self.freedom)


class Effect(NamedTuple):
    """A log ratio over problems and seeds.

    Attributes:
        estimate: Mean over the problems on which neither side diverges of their mean log ratios;
            nan if there is none. A problem with a single pair is left out where others have more.
        low: Lower end of the 95 % interval for other seeds on these problems, and other trials by
            which settings are chosen, if any are; nan if no problem has two pairs.
        high: Upper end of that interval.
        like_low: Lower end of the 95 % interval for other problems like these; nan for fewer than
            three different problems.
        like_high: Upper end of that interval.
        variance: Of the estimate, likewise.
        freedom: Degrees of freedom of the interval for these problems.
        pairs: Number of pairs of equal problem and seed, those with a diverged run included.
        wins: Number of pairs with a smaller error than the reference's; a run that did not diverge
            beats one that did.
        ties: Number of pairs with equal errors, or in which both diverged.
        losses: Number of pairs with a larger error.
        on: The effect on each problem.
        names: The problem of each of them, where several are one problem with different models;
            empty: all are different problems.
    """

    estimate: float
    low: float
    high: float
    like_low: float
    like_high: float
    variance: float
    freedom: float
    pairs: int
    wins: int
    ties: int
    losses: int
    on: tuple[OnProblem, ...]
    names: tuple[str, ...] = ()

    def different(self, counting: bool = False) -> int:
        """Number of different problems.

        Args:
            counting: Only of those that are part of the effect over problems.
        """
        places = [k for k, one in enumerate(self.on) if one.counts or not counting]
        return len({self.names[k] for k in places}) if self.names else len(places)

    @property
    def problems(self) -> int:
        """Number of problems that have pairs."""
        return len(self.on)

    @property
    def diverged(self) -> int:
        """Number of pairs in which the arm diverged and the reference did not."""
        return sum(one.diverged for one in self.on)

    @property
    def reference_diverged(self) -> int:
        """Number of pairs in which the reference diverged and the arm did not."""
        return sum(one.reference_diverged for one in self.on)

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Estimate, low and high as ratios."""
        return ratio(self.estimate), ratio(self.low), ratio(self.high)

    @property
    def p(self) -> float:
        """Two-sided p value of no effect on these problems; 1 where it cannot be told."""
        return _p(self.estimate, self.variance, self.freedom)

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval for other seeds on these problems, and other choices."""
        half = _half(self.variance, self.freedom, confidence)
        return self.estimate - half, self.estimate + half


def ratio(log_ratio: float) -> float:
    """exp, infinite where it overflows."""
    return math.inf if log_ratio >= 700 else math.exp(log_ratio)


def effect(
    log_ratios: Sequence[np.ndarray],
    names: Sequence[str] = (),
    *,
    choices: Sequence[Chance] | None = None,
) -> Effect:
    """The effect over all problems.

    On these problems it is the mean of the problems' means, with the variance Σ (sₖ²/nₖ + cₖ) / K².
    cₖ is the chance in how settings were chosen, which is the same for all seeds. Its degrees of
    freedom are between Satterthwaite's and the fewest of a problem: the former are too many where
    one problem varies much more than the others, and the latter too few where none does. By the
    simulations in ``docs/science/statistics.md`` their mean keeps what it promises. For problems
    like these it is Student's t over the problems' means; models of one problem are no sample of
    problems, so their mean is one value.

    Args:
        log_ratios: For each problem (seeds,) of log(error / error of the reference); +inf where
            the arm diverged, −inf where the reference did, nan where both did.
        names: The problem of each, where several are one problem with different models; empty:
            all are different problems.
        choices: Of each problem, the chance in the choices of both sides; ``None``: nothing was
            chosen.
    """
    chances = [NO_CHANCE] * len(log_ratios) if choices is None else filled(choices)
    called = tuple(n for n, of in zip(names, log_ratios, strict=bool(names)) if len(of))
    given, on = [], []
    for of_problem, chance in zip(log_ratios, chances, strict=True):
        if len(of_problem):
            given.append(np.asarray(of_problem, dtype=float))
            on.append(_on_problem(given[-1], chance))
    every = np.concatenate(given) if given else np.empty(0)
    middle, variance, freedom = _over([one for one in on if one.counts])
    half = _half(variance, freedom, CONFIDENCE)
    means = _by_problem(on, called)
    like = _half(*_between(means), CONFIDENCE)
    middle_of_all = float(np.mean(means)) if means else math.nan
    return Effect(
        middle,
        middle - half,
        middle + half,
        middle_of_all - like,
        middle_of_all + like,
        variance,
        freedom,
        len(every),
        int((every < 0).sum()),
        int((every == 0).sum() + np.isnan(every).sum()),
        int((every > 0).sum()),
        tuple(on),
        called,
    )


def _on_problem(values: np.ndarray, chance: Chance) -> OnProblem:
    finite = values[np.isfinite(values)]
    count = len(finite)
    of_mean = float(finite.var(ddof=1)) / count if count > 1 else math.nan
    variance, freedom = of_mean + chance.variance, count - 1.0
    if variance > 0 and chance.variance > 0:
        freedom = variance**2 / (of_mean**2 / freedom + chance.variance**2 / chance.freedom)
    return OnProblem(
        float(finite.mean()) if count else math.nan,
        variance,
        freedom,
        count,
        len(values),
        int(np.isposinf(values).sum()),
        int(np.isneginf(values).sum()),
        chance.variance,
    )


def _by_problem(on: Sequence[OnProblem], names: Sequence[str]) -> list[float]:
    """The mean log ratio of each different problem, over its models that count."""
    found: dict[object, list[float]] = {}
    for k, one in enumerate(on):
        if one.counts:
            found.setdefault(names[k] if names else k, []).append(one.estimate)
    return [float(np.mean(of_one)) for of_one in found.values()]


def _over(problems: Sequence[OnProblem]) -> tuple[float, float, float]:
    """Mean, its variance and degrees of freedom over problems, as of `effect`.

    A problem with a single pair has no variance: where others have more, it is left out.
    """
    if not problems:
        return math.nan, math.nan, math.nan
    problems = [one for one in problems if one.pairs > 1] or problems
    estimate = float(np.mean([one.estimate for one in problems]))
    variances = np.array([one.variance for one in problems])
    freedoms = np.array([one.freedom for one in problems])
    total = float(variances.sum())
    least = float(freedoms.min())
    if not total > 0:  # every pair is like the others, or a problem has a single one
        return estimate, total, least
    satterthwaite = total**2 / float((variances**2 / freedoms).sum())
    return estimate, total / len(problems) ** 2, (satterthwaite + least) / 2


def _between(estimates: Sequence[float]) -> tuple[float, float]:
    """The variance of a mean of problems, and its degrees of freedom; nan for fewer than three."""
    count = len(estimates)
    if count < 3:
        return math.nan, math.nan
    return float(np.var(estimates, ddof=1)) / count, count - 1.0


def _half(variance: float, freedom: float, confidence: float) -> float:
    """Half the width of an interval; nan where it cannot be told."""
    if math.isnan(variance) or not freedom > 0:
        return math.nan
    return float(special.stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(variance)


def _p(estimate: float, variance: float, freedom: float) -> float:
    if math.isnan(estimate) or math.isnan(variance) or not freedom > 0:
        return 1.0
    if variance == 0:
        return 1.0 if estimate == 0 else 0.0
    return float(2 * special.stdtr(freedom, -abs(estimate) / math.sqrt(variance)))
