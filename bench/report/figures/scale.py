"""Ticks and labels of axes, plain text as people read numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


#: Beyond it, or its inverse, a value is as good as infinite, or zero: axes could overflow.
_MOST = 1e100


def tame(values: np.ndarray) -> np.ndarray:
    """An array as floats; values beyond any axis become infinite or zero."""
    found = np.asarray(values, dtype=float)
    found = np.where(np.abs(found) > _MOST, np.copysign(np.inf, found), found)
    return np.where(np.abs(found) < 1 / _MOST, 0.0, found)


def linear_limits(values: np.ndarray, margin: float = 0.0) -> tuple[float, float]:
    """Limits of the finite values, apart even where these are not."""
    found = values[np.isfinite(values)]
    if not len(found):
        return 0.0, 1.0
    low, high = float(found.min()), float(found.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        apart = 0.05 * max(abs(low), abs(high)) or 0.5
        return low - apart, high + apart
    return low - margin * (high - low), high + margin * (high - low)


def finite_positive(values: np.ndarray) -> np.ndarray:
    """The values of an array that a logarithmic axis can show."""
    flat = np.ravel(tame(values))
    return flat[np.isfinite(flat) & (flat > 0)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers in a range: 1, 2, 5, or 1, 3, or powers of ten, whichever is not too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [
            d * 10.0**k
            for k in range(first, last + 1)
            for d in digits
            if low * 0.999 <= d * 10.0**k <= high * 1.001
        ]
        if len(found) <= most:
            break
    stride = math.ceil(len(found) / most)
    if stride == 1:
        return found
    # Powers that the stride divides, so that 1 is among them where it is in the range.
    return [10.0**k for k in range(first, last + 1) if k % stride == 0 and low <= 10.0**k <= high]


def log_label(value: float, powers: bool) -> str:
    """A number, or as a power of ten."""
    if not powers:
        return f"{value:.6g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**exponent)
    power = "10" + str(exponent).translate(_SUPERSCRIPTS)
    return power if digit == 1 else f"{digit}·{power}"


def log_axis(axis: Axis, low: float, high: float, most: int, prefix: str = "") -> None:
    """Ticks of a logarithmic axis."""
    places = log_ticks(low, high, most)
    powers = any(not 1e-3 <= tick < 1e5 for tick in places)
    labels = [prefix + log_label(tick, powers) for tick in places]
    ticks(axis, places, labels)


def linear_axis(axis: Axis, most: int) -> None:
    """Ticks of a linear axis that has its limits."""
    low, high = sorted(axis.get_view_interval())
    places = [
        float(t)
        for t in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low <= t <= high
    ]
    ticks(axis, places, linear_labels(places))


def linear_labels(ticks: Sequence[float]) -> list[str]:
    """Numbers with thousands and millions abbreviated, and a true minus."""
    largest = max((abs(t) for t in ticks), default=0)
    factor, unit = 1.0, ""
    for size, name in ((1e3, "k"), (1e6, "M")):
        whole = all(abs(t / size - round(t / size)) < 1e-9 for t in ticks)
        if largest >= 10 * size and whole:
            factor, unit = size, name
    if largest >= 1e10 or 0 < largest < 1e-3:
        return [f"{t:.4g}".replace("-", "−") for t in ticks]
    texts = [f"{t / factor:.7g}" for t in ticks]
    return [(f"{t}{unit}" if t != "0" else t).replace("-", "−") for t in texts]


def ticks(axis: Axis, places: Sequence[float], labels: Sequence[str]) -> None:
    """Set an axis's ticks and their labels."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FixedFormatter(list(labels)))


def log_limits(values: np.ndarray, least: float = 2.0) -> tuple[float, float]:
    """Limits with a margin around positive values, at least a factor apart."""
    found = finite_positive(values)
    if not len(found):
        return 0.1, 10.0
    low, high = float(found.min()), float(found.max())
    margin = max((high / low) ** 0.05, math.sqrt(max(1.0, least * low / high)), 1.05)
    return low / margin, high * margin
