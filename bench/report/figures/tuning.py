"""Tuning: error and selection against what is tuned, with the setting that was chosen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform, ScaledTranslation

from bench.report.figures import style
from bench.report.figures.curves import Panel, Series, draw
from bench.report.figures.panels import Panels
from bench.report.figures.scale import tame
from bench.report.figures.style import Look, Palette, render

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 34.0, 44.0
_WIDEST_PANEL = 500.0
#: Width of the marks of all arms at a setting where they diverged, and of one, in px.
_TOGETHER, _APART = 56.0, 7.0


@dataclass(frozen=True)
class Tried:
    """A setting of an arm.

    Attributes:
        value: What is tuned, such as the learning rate.
        scores: One for each seed; infinite where it diverged.
        chosen: Whether the arm is scored at it.
    """

    value: float
    scores: Sequence[float]
    chosen: bool = False


@dataclass(frozen=True)
class TuningPanel:
    """The settings of all arms on a case, by one score.

    Attributes:
        title: Text above the axes.
        x_label: What is tuned.
        y_label: The score, with its unit.
        arms: Label and settings of each arm.
    """

    title: str
    x_label: str
    y_label: str
    arms: Sequence[tuple[str, Sequence[Tried]]]


@style.drawn
def tuning(panels: Sequence[TuningPanel], palette: Palette, columns: int, slug: str) -> str:
    """Draw panels with one legend above; a case's test error and its selection are two panels.

    Args:
        panels: The panels, row by row.
        palette: Gives each label its look.
        columns: Panels in a row.
        slug: The beginning of every id in the figure.
    """
    titles = [panel.title for panel in panels]
    labels = [label for panel in panels for label, _ in panel.arms]
    placed = Panels(titles, labels, columns, _WIDEST_PANEL, _LEFT, _RIGHT, _TOP)
    canvas = placed.place(min(max(0.6 * placed.inner_width, 130.0), 230.0), _BOTTOM, palette)
    readable = []
    for k, panel in enumerate(panels):
        axes, _, _ = placed.axes(k)
        values = tame(np.array([one.value for _, tried in panel.arms for one in tried]))
        settings = np.unique(values[np.isfinite(values)]).tolist()
        series = [_series(label, tried) for label, tried in panel.arms]
        curves = Panel(
            panel.title,
            panel.x_label,
            panel.y_label,
            series,
            x_log=bool(settings) and settings[0] > 0,
            # A tick at each setting, where there is room.
            x_ticks=settings if len(settings) <= 6 else (),
            # The seeds are points.
            bands=False,
        )
        readable.append(draw(axes, curves, palette))
        apart = min(_APART, _TOGETHER / max(len(panel.arms), 1))
        for number, (label, tried) in enumerate(panel.arms):
            shift = (number - (len(panel.arms) - 1) / 2) * apart
            _seeds(axes, label, tried, palette, shift)
        canvas.axis_names(axes, panel.x_label, panel.y_label)
    return render(canvas.figure, "; ".join(titles), slug, readable)


def _series(label: str, tried: Sequence[Tried]) -> Series:
    """Medians over the seeds; NaN, a gap, where half of them or more diverged."""
    ordered = sorted((t for t in tried if t.scores), key=lambda t: t.value)
    medians = [statistics.median(_numbers(t)) for t in ordered]
    return Series(
        label,
        np.array([t.value for t in ordered], dtype=float),
        np.array([m if math.isfinite(m) else math.nan for m in medians]),
        np.array([min(_numbers(t)) for t in ordered], dtype=float),
        np.array([max(_numbers(t)) for t in ordered], dtype=float),
    )


def _numbers(tried: Tried) -> list[float]:
    """The scores; one that is no number is as good as infinite."""
    return [math.inf if math.isnan(score) else float(score) for score in tried.scores]


def _seeds(axes: Axes, label: str, tried: Sequence[Tried], palette: Palette, shift: float) -> None:
    """Each seed as a point and the chosen setting in a ring; at the top edge a cross for a seed
    that diverged, an arrow for one that is beyond the axis."""
    look, (bottom, top) = palette.of(label), axes.get_ylim()
    edge = axes.get_xaxis_transform() + ScaledTranslation(shift, 0, IdentityTransform())

    def put(points: Sequence[tuple[float, float]], marker: str, size: float, **how: Any) -> None:
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=look.colour,
                linestyle="none",
                marker=marker,
                markersize=size,
                clip_on=False,
                gid=look.gid,
                **how,
            )

    left, right = axes.get_xlim()
    tried = [one for one in tried if left <= one.value <= right]
    seeds = [(one.value, score) for one in tried for score in _numbers(one)]
    _dots(axes, [(x, score) for x, score in seeds if bottom <= score <= top], look)
    diverged = {x for x, score in seeds if score == math.inf}
    beyond = {x for x, score in seeds if top < score < math.inf} - diverged
    put([(x, 1) for x in sorted(diverged)], "x", 6, transform=edge)
    put([(x, 1) for x in sorted(beyond)], "^", 6, transform=edge)
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.4}
    for one in tried:
        if one.chosen and one.scores:
            middle = statistics.median(_numbers(one))
            if bottom <= middle <= top:
                put([(one.value, middle)], "o", 12, **ring)
            else:
                put([(one.value, 1)], "o", 12, transform=edge, **ring)


def _dots(axes: Axes, points: Sequence[tuple[float, float]], look: Look) -> None:
    """Round dots as one path, which is far smaller than a mark each."""
    if not points:
        return
    starts = axes.transData.transform(points)
    # Strokes of a tenth of a pixel with round ends.
    ends = starts + np.array([0.1, 0.0])
    vertices = np.stack([starts, ends], axis=1).reshape(-1, 2)
    path = Path(vertices, [Path.MOVETO, Path.LINETO] * len(points))
    axes.add_patch(
        PathPatch(
            path,
            transform=IdentityTransform(),
            fill=False,
            edgecolor=look.colour,
            linewidth=3.5,
            capstyle="round",
            clip_on=False,
            gid=look.gid,
        )
    )
