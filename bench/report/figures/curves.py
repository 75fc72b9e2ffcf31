"""Small multiples of curves with bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.bands import band, whole_pixels
from bench.report.figures.panels import Panels
from bench.report.figures.readings import Readable, Reading
from bench.report.figures.scale import (
    finite_positive,
    linear_axis,
    linear_labels,
    linear_limits,
    log_axis,
    log_limits,
    tame,
    ticks,
)
from bench.report.figures.style import Palette, render, text_width

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 30.0, 44.0
_WIDEST_PANEL = 500.0
#: What an axis spans at most, in powers of ten: a diverging arm leaves room for the others.
_MOST_DECADES = 12
_MARKS = 4
#: Points of a curve that are drawn exactly where they are.
_FEW = 20


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
    """Curves that share axes.

    Attributes:
        title: Text above the axes.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        series: The curves.
        x_log: Whether the horizontal axis is logarithmic.
        x_ticks: Its ticks; empty: round numbers.
        y_ends: Ends of a linear vertical axis; ``None``: as the curves ask for.
        step: Whether a curve keeps each value until the next.
        levels: Horizontal lines, with their names.
        bands: Whether bands are drawn; without them they only say what the axis spans.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_log: bool = False
    x_ticks: Sequence[float] = ()
    y_ends: tuple[float, float] | None = None
    step: bool = False
    levels: Sequence[tuple[float, str]] = ()
    bands: bool = True


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
    names = [name for panel in panels for _, name in panel.levels]
    right = _RIGHT + max((text_width(name, style.SMALL) for name in names), default=0)
    placed = Panels(titles, labels, columns, _WIDEST_PANEL, _LEFT, right, _TOP)
    inner_height = min(max(0.6 * placed.inner_width, 130.0), 230.0)
    canvas = placed.place(inner_height, _BOTTOM, palette)
    readable = []
    for k, panel in enumerate(panels):
        axes, _, _ = placed.axes(k)
        readable.append(draw(axes, panel, palette))
        canvas.axis_names(axes, panel.x_label, panel.y_label)
    return render(canvas.figure, "; ".join(titles), slug, readable)


def draw(axes: Axes, panel: Panel, palette: Palette) -> Readable:
    """Draw a panel's curves; the axes have their scales and limits then."""
    axes.grid(True)
    shown = [_cleaned(series, panel.x_log) for series in panel.series]
    _x_axis(axes, panel, np.concatenate([s.x for s in shown]) if shown else np.zeros(0))
    middles = np.concatenate([s.middle for s in shown]) if shown else np.zeros(0)
    finite = middles[np.isfinite(middles)]
    logarithmic = panel.y_ends is None and bool((finite > 0).any()) and not (finite < 0).any()
    if logarithmic:
        low, high = _log_range(shown, finite, [level for level, _ in panel.levels])
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        log_axis(axes.yaxis, low, high, 5)
        _levels(axes, panel.levels)
    else:
        axes.set_ylim(*(panel.y_ends or linear_limits(finite, margin=0.05)))
        linear_axis(axes.yaxis, 5)
    readings = []
    for k, series in enumerate(shown):
        middle = _curve(axes, series, palette, logarithmic, panel, k / max(len(shown), 1))
        readings.append(Reading(palette.of(series.label).number, series.x, middle))
    return Readable(axes, panel.x_label, panel.y_label, readings)


def _cleaned(series: Series, positive: bool) -> Series:
    """The series where x is finite, and positive if it must be, as floats."""
    x, middle, low, high = (
        np.ravel(tame(v)) for v in (series.x, series.middle, series.low, series.high)
    )
    keep = np.isfinite(x) & ((x > 0) | (not positive))
    return Series(series.label, x[keep], middle[keep], low[keep], high[keep])


def _x_axis(axes: Axes, panel: Panel, x: np.ndarray) -> None:
    if not panel.x_log:
        axes.set_xlim(*linear_limits(x))
        linear_axis(axes.xaxis, 5)
        return
    low, high = log_limits(x)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    log_axis(axes.xaxis, low, high, 5)
    if panel.x_ticks:
        ticks(axes.xaxis, panel.x_ticks, linear_labels(panel.x_ticks))


def _levels(axes: Axes, levels: Sequence[tuple[float, str]]) -> None:
    """Horizontal lines; of those too close for both names the first one's stands."""
    bottom, top = axes.get_ylim()
    height = axes.bbox.height
    named: list[float] = []
    for level, name in levels:
        if not bottom < level < top:
            continue
        axes.axhline(level, color=style.INK, linewidth=0.8, linestyle=(0, (1, 2)))
        share = math.log(level / bottom) / math.log(top / bottom)
        if all(abs(share - other) * height >= style.LINE for other in named):
            named.append(share)
            axes.annotate(
                name,
                (1, share),
                (4, 0),
                xycoords="axes fraction",
                textcoords="offset pixels",
                fontsize=style.SMALL,
                color=style.MUTED,
                va="center",
            )


def _log_range(
    shown: Sequence[Series], middles: np.ndarray, levels: Sequence[float]
) -> tuple[float, float]:
    """Range that shows all middles, and bands and levels up to a factor of ten beyond them."""
    positive = finite_positive(middles)
    low, high = float(positive.min()), float(positive.max())
    high = min(high, low * 10.0**_MOST_DECADES)
    further = finite_positive(
        np.concatenate([levels, *(v for s in shown for v in (s.low, s.high))])
    )
    return log_limits(np.array([low, high, *np.clip(further, low / 10, high * 10)]))


def _curve(
    axes: Axes, series: Series, palette: Palette, logarithmic: bool, panel: Panel, offset: float
) -> np.ndarray:
    """Draw a curve; its values, NaN where there is nothing to see."""

    def visible(values: np.ndarray) -> np.ndarray:
        usable = np.isfinite(values) & ((values > 0) | (not logarithmic))
        return np.where(usable, values, np.nan)

    look, middle = palette.of(series.label), visible(series.middle)
    seen = np.flatnonzero(np.isfinite(middle))
    if not len(seen):
        return middle
    if panel.bands:
        band(axes, series.x, series.low, series.high, np.isfinite(middle), panel.step, look)
    # Staggered: marks of curves that coincide stay apart.
    places = (np.arange(_MARKS) + 0.15 + 0.7 * offset) / _MARKS * (len(seen) - 1)
    marks = sorted({int(seen[int(p)]) for p in places} | {int(seen[-1])})
    # Evaluations lie closer than a reader sees, and whole pixels are short.
    x = whole_pixels(axes, series.x, middle)[0] if len(series.x) > _FEW else series.x
    axes.plot(
        x,
        middle,
        drawstyle="steps-post" if panel.step else "default",
        color=look.colour,
        linestyle=look.line,
        linewidth=1.5,
        marker=look.marker,
        markevery=marks,
        markersize=5,
        markeredgewidth=0,
        gid=look.gid,
    )
    return middle
