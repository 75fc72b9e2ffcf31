"""Small multiples of curves with bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.panels import Panels
from bench.report.figures.scale import (
    finite_positive,
    linear_axis,
    linear_limits,
    log_axis,
    log_limits,
    tame,
)
from bench.report.figures.style import Palette, render

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 30.0, 44.0
_WIDEST_PANEL = 500.0
#: What an axis spans at most, in powers of ten: a diverging arm leaves room for the others.
_MOST_DECADES = 12
_MARKS = 4


@dataclass(frozen=True)
class Series:
    """A curve and its band, over its own x."""

    label: str
    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Curves that share axes."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]


@style.drawn
def curves(panels: Sequence[Panel], palette: Palette, columns: int, slug: str) -> str:
    """Draw panels with one legend above.

    Args:
        panels: The panels, row by row.
        palette: Gives each label its look.
        columns: Panels in a row.
        slug: The beginning of every id in the figure.
    """
    titles = [panel.title for panel in panels]
    labels = [series.label for panel in panels for series in panel.series]
    placed = Panels(titles, labels, columns, _WIDEST_PANEL, _LEFT, _RIGHT, _TOP)
    inner_height = min(max(0.6 * placed.inner_width, 130.0), 230.0)
    canvas = placed.place(inner_height, _BOTTOM, palette)
    for k, panel in enumerate(panels):
        axes, _, _ = placed.axes(k)
        _draw(axes, panel, palette)
        canvas.axis_names(axes, panel.x_label, panel.y_label)
    return render(canvas.figure, "; ".join(titles), slug)


def _draw(axes: Axes, panel: Panel, palette: Palette) -> None:
    axes.grid(True)
    shown = [_cleaned(series) for series in panel.series]
    middles = np.concatenate([s.middle for s in shown]) if shown else np.zeros(0)
    finite = middles[np.isfinite(middles)]
    logarithmic = bool((finite > 0).any()) and not (finite < 0).any()
    if logarithmic:
        low, high = _log_range(shown, finite)
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        log_axis(axes.yaxis, low, high, 5)
    x = np.concatenate([s.x for s in shown]) if shown else np.zeros(0)
    axes.set_xlim(*linear_limits(x))
    linear_axis(axes.xaxis, 5)
    for k, series in enumerate(shown):
        _curve(axes, series, palette, logarithmic, k / max(len(shown), 1))
    if not logarithmic:
        axes.set_ylim(*linear_limits(finite, margin=0.05))
        linear_axis(axes.yaxis, 5)


def _cleaned(series: Series) -> Series:
    """The series where x is finite, as floats."""
    x, middle, low, high = (
        np.ravel(tame(v)) for v in (series.x, series.middle, series.low, series.high)
    )
    keep = np.isfinite(x)
    return Series(series.label, x[keep], middle[keep], low[keep], high[keep])


def _log_range(shown: Sequence[Series], middles: np.ndarray) -> tuple[float, float]:
    """Range that shows all middles, and the bands up to a factor of ten beyond them."""
    positive = finite_positive(middles)
    low, high = float(positive.min()), float(positive.max())
    high = min(high, low * 10.0**_MOST_DECADES)
    bands = finite_positive(np.concatenate([v for s in shown for v in (s.low, s.high)]))
    return log_limits(np.array([low, high, *np.clip(bands, low / 10, high * 10)]))


def _curve(axes: Axes, series: Series, palette: Palette, logarithmic: bool, offset: float) -> None:
    def visible(values: np.ndarray) -> np.ndarray:
        usable = np.isfinite(values) & ((values > 0) | (not logarithmic))
        return np.where(usable, values, np.nan)

    look, middle = palette.of(series.label), visible(series.middle)
    seen = np.flatnonzero(np.isfinite(middle))
    if not len(seen):
        return
    bottom, top = axes.get_ylim() if logarithmic else (-np.inf, np.inf)
    # A band that has no lower or upper end goes on to the border.
    low = np.where(series.low > bottom, series.low, bottom)
    high = np.where(np.isnan(series.high), np.nan, np.minimum(series.high, top))
    low = np.where(np.isnan(series.low), np.nan, low)
    band = np.isfinite(low) & np.isfinite(high) & np.isfinite(middle)
    if (band & (high > low)).any():
        axes.fill_between(
            series.x, low, high, where=band, color=look.colour, alpha=0.13, linewidth=0
        )
    # Staggered: marks of curves that coincide stay apart.
    places = (np.arange(_MARKS) + 0.15 + 0.7 * offset) / _MARKS * (len(seen) - 1)
    marks = sorted({int(seen[int(p)]) for p in places} | {int(seen[-1])})
    axes.plot(
        series.x,
        middle,
        color=look.colour,
        linestyle=look.line,
        linewidth=1.5,
        marker=look.marker,
        markevery=marks,
        markersize=5,
        markeredgewidth=0,
    )
