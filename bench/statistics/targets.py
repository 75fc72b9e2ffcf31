"""How long an arm takes to a target, from runs of several lengths.

Each length is a run of its own with its own decay of the learning rate, so what is found is the
length of the shortest schedule that reaches the target, and not where the curve of one run crosses
it. Lengths are steps, seconds or shares of a budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["exact", "at most", "more than", "between", "unknown"]


class Time(NamedTuple):
    """A length that is known, or known to lie within bounds.

    Attributes:
        low: Lower bound; 0 where the shortest run reaches the target.
        high: Upper bound; infinite where no run reaches it.
    """

    low: float
    high: float

    @property
    def kind(self) -> Kind:
        """Kind of censoring.

        ``exact`` (interpolated between two runs), ``at most`` `high` (left-censored),
        ``more than`` `low` (right-censored), ``between`` both, or ``unknown``.
        """
        if self.low == self.high:
            return "exact"
        if self.low == 0:
            return "unknown" if math.isinf(self.high) else "at most"
        return "more than" if math.isinf(self.high) else "between"

    @property
    def reached(self) -> bool:
        """Whether the target is reached at a length that was tried."""
        return math.isfinite(self.high)

    @property
    def cost(self) -> float:
        """What a performance profile is made of: the upper bound, nan where nothing is known."""
        return math.nan if self.kind == "unknown" else self.high


#: Of a seed without a run.
UNKNOWN = Time(0.0, math.inf)


def times_to_target(lengths: Sequence[float], errors: np.ndarray, target: float) -> list[Time]:
    """Of each seed, the length at which the error first is at or below the target.

    It is interpolated, linearly in the logs of length and error, between the shortest run that
    reaches the target and the next shorter one. If the shortest run of all reaches it, the time is
    at most its length; if none does, it is more than the longest length. If the shorter run
    diverged, or the error is 0, nothing can be interpolated: the time is between the two lengths.

    Args:
        lengths: (L,) lengths, above 0 and increasing.
        errors: (seeds, L) final errors; infinite where a run diverged, so that it does not reach
            the target, and nan where there is no run, which is skipped.
        target: The error to reach, above 0.

    Raises:
        ValueError: The lengths do not increase from above 0, there is not one for each column, or
            the target is no number above 0 (that of a reference which diverged is none).
    """
    if not 0 < target < math.inf:
        raise ValueError(f"a target is a number above 0: {target}")
    grid = _grid(lengths, errors)
    return [_time(grid, row, target) for row in np.atleast_2d(errors)]


def median_time(times: Sequence[Time]) -> Time:
    """The median over seeds, within the bounds that censoring leaves.

    The bounds are the medians of the lower and of the upper bounds: whatever the censored times
    are, the median of all is between them. Of an even number it is the geometric mean of the middle
    two. Seeds of which nothing is known are left out; a target that is not reached is not.
    """
    known = [time for time in times if time.kind != "unknown"]
    if not known:
        return UNKNOWN
    return Time(_middle([time.low for time in known]), _middle([time.high for time in known]))


class TimeRatio(NamedTuple):
    """Time of an arm over that of a reference, on several cases.

    Attributes:
        estimate: Geometric mean of the ratios of medians over the cases on which both are exact;
            nan without one. It says nothing of the other cases: read it with their counts.
        low: Lower bound of the geometric mean over all cases on which a side reaches the target; 0
            if one of them has none, nan without such a case.
        high: Upper bound of it; infinite if one of the cases has none.
        exact: Number of cases on which both are exact.
        both: Number of cases on which both reach the target.
        alone: Number of cases on which the arm alone does.
        reference_alone: Number of cases on which the reference alone does.
        neither: Number of cases on which none does.
        unknown: Number of cases that are left out: a side has no run, or half of its seeds reach
            the target at the shortest length and half at none.
        on: The ratio on each other case, or its bounds.
    """

    estimate: float
    low: float
    high: float
    exact: int
    both: int
    alone: int
    reference_alone: int
    neither: int
    unknown: int
    on: tuple[Time, ...]


def time_ratio(arm: Sequence[Time], reference: Sequence[Time]) -> TimeRatio:
    """The ratio of two arms' times to a target, over cases.

    A censored time is only a bound, so the ratio is one too: a reference that takes more than 2 and
    an arm that takes 0.5 make a ratio below 0.25. No bound enters the estimate.

    Args:
        arm: Median time of the arm on each case.
        reference: That of the reference, in the same order.
    """
    pairs = [
        (one, other)
        for one, other in zip(arm, reference, strict=True)
        if "unknown" not in (one.kind, other.kind)
    ]
    on = tuple(Time(_over(a.low, b.high), _over(a.high, b.low)) for a, b in pairs)
    reached = [(a.reached, b.reached) for a, b in pairs]
    exact = [ratio.low for ratio in on if ratio.kind == "exact"]
    bounded = [ratio for ratio, sides in zip(on, reached, strict=True) if any(sides)]
    return TimeRatio(
        _geometric_mean(exact),
        _geometric_mean([ratio.low for ratio in bounded]),
        _geometric_mean([ratio.high for ratio in bounded]),
        len(exact),
        reached.count((True, True)),
        reached.count((True, False)),
        reached.count((False, True)),
        reached.count((False, False)),
        len(arm) - len(pairs),
        on,
    )


def errors_at(lengths: Sequence[float], errors: np.ndarray, length: float) -> np.ndarray:
    """(seeds,) errors at another length, interpolated between the two next to it.

    The interpolation is linear in the logs of length and error. Outside the lengths of a seed the
    error is nan: nothing is extrapolated. Between two runs of which one diverged it is infinite,
    since the arm is not known to converge there.

    Args:
        lengths: (L,) lengths, above 0 and increasing.
        errors: (seeds, L) final errors; infinite where a run diverged, nan where there is none.
        length: Where the error is wanted.

    Raises:
        ValueError: The lengths do not increase from above 0, or there is not one for each column.
    """
    grid = _grid(lengths, errors)
    return np.array([_error(grid, row, length) for row in np.atleast_2d(errors)], dtype=float)


def _grid(lengths: Sequence[float], errors: np.ndarray) -> np.ndarray:
    grid = np.asarray(lengths, dtype=float)
    if not (grid > 0).all() or not (np.diff(grid) > 0).all():
        raise ValueError(f"lengths must increase from above 0: {grid.tolist()}")
    if np.shape(errors)[-1] != len(grid):
        raise ValueError(f"{np.shape(errors)[-1]} errors of a seed at {len(grid)} lengths")
    return grid


def _time(lengths: np.ndarray, errors: np.ndarray, target: float) -> Time:
    tried = ~np.isnan(errors)
    lengths, errors = lengths[tried], errors[tried]
    if not len(errors):
        return UNKNOWN
    reaching = np.flatnonzero(errors <= target)
    if not len(reaching):
        return Time(float(lengths[-1]), math.inf)
    first = int(reaching[0])
    if first == 0:
        return Time(0.0, float(lengths[0]))
    (shorter, longer), (missing, reached) = (
        lengths[first - 1 : first + 1],
        errors[first - 1 : first + 1],
    )
    if math.isinf(missing) or reached <= 0:
        return Time(float(shorter), float(longer))
    share = math.log(missing / target) / math.log(missing / reached)
    found = float(shorter * (longer / shorter) ** share)
    return Time(found, found)


def _error(lengths: np.ndarray, errors: np.ndarray, length: float) -> float:
    tried = ~np.isnan(errors)
    lengths, errors = lengths[tried], errors[tried]
    same = np.flatnonzero(np.isclose(lengths, length, rtol=1e-9, atol=0))
    if len(same):
        return float(errors[same[0]])
    after = int(np.searchsorted(lengths, length))
    if after in (0, len(lengths)):
        return math.nan
    (shorter, longer), (first, second) = (
        lengths[after - 1 : after + 1],
        errors[after - 1 : after + 1],
    )
    if math.isinf(first) or math.isinf(second):
        return math.inf
    share = math.log(length / shorter) / math.log(longer / shorter)
    return float(first ** (1 - share) * second**share)


def _middle(values: Sequence[float]) -> float:
    """The median, of an even number the geometric mean of the middle two."""
    ordered = sorted(values)
    below, above = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return below if below == above else math.sqrt(below) * math.sqrt(above)


def _over(one: float, other: float) -> float:
    """A ratio of bounds; a lower one is never inf / inf, nor an upper one 0 / 0."""
    return math.inf if other == 0 else one / other


def _geometric_mean(values: Sequence[float]) -> float:
    if not values:
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(values))))
