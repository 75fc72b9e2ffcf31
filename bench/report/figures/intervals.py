"""Estimates with intervals, one a row, on a logarithmic axis of ratios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.scale import finite_positive, log_axis


@dataclass(frozen=True)
class Mark:
    """How a verdict is drawn: never by its colour alone."""

    marker: str
    colour: str
    filled: bool


#: Filled: a claim.
_MARKS = {
    "better": Mark("o", style.BETTER, True),
    "worse": Mark("s", style.WORSE, True),
    "equivalent": Mark("D", style.INK, True),
    "mixed": Mark("^", style.MUTED, False),
    "reference": Mark("d", style.MUTED, True),
}
_OTHER = Mark("o", style.MUTED, False)


def mark_of(verdict: str) -> Mark:
    """The mark of a verdict; one for all that claim nothing."""
    return _MARKS.get(verdict, _OTHER)


def limits(ratios: Sequence[float], ends: Iterable[float]) -> tuple[float, float]:
    """Limits of an axis: all estimates, and the intervals as far as the estimates stay apart."""
    shown = np.clip(finite_positive(np.array(ratios)), 1e-3, 1e3)
    reached = finite_positive(np.array(list(ends)))
    least, most = min([0.5, *shown]), max([2.0, *shown])
    reached = np.clip(reached, least / 3, most * 3)
    low, high = float(min([least, *reached])), float(max([most, *reached]))
    margin = max(1.25, (high / low) ** 0.05)
    return low / margin, high * margin


def ratio_axes(axes: Axes, low: float, high: float, height: float, ticks: int) -> None:
    """Make axes of ratios with a line at 1, whose y is in px from the top."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(height, 0)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    log_axis(axes.xaxis, low, high, ticks, "×")
    axes.grid(True, axis="x")
    axes.axvline(1, color=style.INK, linewidth=1)


def place(value: float, low: float, high: float) -> float:
    """Where on an axis a value is, as a share of its length."""
    return math.log(value / low) / math.log(high / low)


def draw(axes: Axes, ratio: float, low: float, high: float, y: float, mark: Mark) -> None:
    """Interval and estimate; what lies outside the axis as an arrow or a cross at its border.

    Args:
        axes: Made by `ratio_axes`.
        ratio: The estimate; NaN for none.
        low: Lower end of the interval; NaN for none.
        high: Upper end.
        y: The row's middle.
        mark: Of the verdict.
    """
    first, last = _borders(axes)

    def put(x: float, marker: str, size: float, filled: bool = True) -> None:
        axes.plot([x], [y], markersize=size, **marker_style(mark, marker, filled))

    if not (math.isnan(low) or math.isnan(high)):
        ends = [min(max(end, first), last) for end in (low, high)]
        axes.plot(ends, [y, y], color=mark.colour, linewidth=1.8, clip_on=False)
        if low < first:
            put(first, "<", 5)
        if high > last:
            put(last, ">", 5)
    if math.isnan(ratio):
        return
    if ratio == math.inf:
        put(last, "x", 8)
    elif ratio > last:
        put(last, ">", 8)
    elif ratio < first:
        put(first, "<", 8)
    else:
        put(ratio, mark.marker, 7, mark.filled)


def draw_bound(axes: Axes, bound: float, y: float, mark: Mark, more: bool) -> None:
    """A value of which only a bound is known: an arrow from the bound to the axis's end."""
    first, last = _borders(axes)
    start, end = min(max(bound, first), last), last if more else first
    line: dict[str, Any] = {"color": mark.colour, "linewidth": 1.4, "clip_on": False}
    axes.plot([start, end], [y, y], linestyle=(0, (3, 2)), **line)
    axes.plot([start], [y], marker="|", markersize=9, markeredgewidth=1.6, **line)
    axes.plot([end], [y], marker=">" if more else "<", markersize=6, **line)


def marker_style(mark: Mark, marker: str, filled: bool) -> dict[str, Any]:
    """Arguments with which a mark is drawn."""
    return {
        "marker": marker,
        "color": mark.colour,
        "markerfacecolor": mark.colour if filled else style.SURFACE,
        "markeredgecolor": mark.colour,
        "markeredgewidth": 1.6,
        "clip_on": False,
    }


def _borders(axes: Axes) -> tuple[float, float]:
    """Short of the axis's ends: marks at the border are whole."""
    low, high = axes.get_xlim()
    inset = (high / low) ** 0.012
    return low * inset, high / inset
