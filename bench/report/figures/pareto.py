"""Error against training time, and the arms that no other one dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.panels import Panels
from bench.report.figures.readings import Readable, Reading
from bench.report.figures.scale import log_axis, log_limits, tame
from bench.report.figures.style import Palette, render, wrap

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 18.0, 34.0, 44.0
_WIDEST_PANEL = 440.0


@dataclass(frozen=True)
class Point:
    """An arm on a problem.

    Attributes:
        label: The arm.
        seconds: Training time.
        error: Its error; infinite if the arm diverged.
        low: Lower end of the error's range.
        high: Upper end.
        diverged: A note on runs that diverged; may be empty.
    """

    label: str
    seconds: float
    error: float
    low: float
    high: float
    diverged: str = ""


@style.drawn
def pareto(
    panels: Sequence[tuple[str, Sequence[Point]]],
    metric: str,
    palette: Palette,
    columns: int,
    slug: str,
) -> str:
    """Draw a panel a problem.

    Args:
        panels: Title and points, row by row.
        metric: The error.
        palette: Gives each label its look.
        columns: Panels in a row.
        slug: The beginning of every id in the figure.
    """
    titles = [title for title, _ in panels]
    labels = [point.label for _, points in panels for point in points]
    placed = Panels(titles, labels, columns, _WIDEST_PANEL, _LEFT, _RIGHT, _TOP)
    notes = [_notes(points, placed.width - 16) for _, points in panels]
    below = _BOTTOM + style.LINE * max(map(len, notes), default=0) + 6
    canvas = placed.place(0.75 * placed.inner_width, below, palette, lines=False)
    readable = []
    for k, (_, points) in enumerate(panels):
        axes, x, end = placed.axes(k)
        _draw(axes, points, palette)
        readable.append(_readable(axes, points, metric, palette))
        canvas.axis_names(axes, "training seconds", metric)
        canvas.lines(
            x + 8,
            end + _BOTTOM,
            notes[k],
            size=style.SMALL,
            colour=style.MUTED,
        )
    return render(canvas.figure, f"{metric} against training seconds", slug, readable)


def _readable(axes: Axes, points: Sequence[Point], metric: str, palette: Palette) -> Readable:
    found = [
        Reading(palette.of(p.label).number, np.array([p.seconds]), np.array([p.error]))
        for p in points
    ]
    return Readable(axes, "training seconds", metric, found)


def _notes(points: Sequence[Point], width: float) -> list[str]:
    said = [f"{p.label}: {p.diverged}" for p in points if p.diverged]
    return [line for note in said for line in wrap(note, width, style.SMALL)]


def _tame(point: Point) -> Point:
    seconds, error, low, high = map(
        float, tame(np.array([point.seconds, point.error, point.low, point.high]))
    )
    return replace(point, seconds=seconds, error=error, low=low, high=high)


def _draw(axes: Axes, points: Sequence[Point], palette: Palette) -> None:
    points = [_tame(p) for p in points]
    timed = [p for p in points if math.isfinite(p.seconds) and p.seconds > 0]
    plain = [p for p in timed if math.isfinite(p.error) and p.error > 0]
    x_low, x_high = log_limits(np.array([p.seconds for p in timed]), least=4)
    errors = np.array([p.error for p in plain])
    ends = np.array([end for p in plain for end in (p.low, p.high)])
    if len(errors):
        ends = np.clip(np.nan_to_num(ends, nan=errors[0]), errors.min() / 10, errors.max() * 10)
    y_low, y_high = log_limits(np.array([*errors, *ends]), least=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(x_low, x_high)
    axes.set_ylim(y_low, y_high)
    log_axis(axes.xaxis, x_low, x_high, 5)
    log_axis(axes.yaxis, y_low, y_high, 5)
    axes.grid(True)
    _front(axes, plain, x_high)
    for point in timed:
        look = palette.of(point.label)
        if point.error == math.inf:
            axes.plot(
                [point.seconds],
                [y_high],
                marker="x",
                markersize=8,
                markeredgewidth=2,
                color=look.colour,
                clip_on=False,
                gid=look.gid,
            )
            continue
        if not (math.isfinite(point.error) and point.error > 0):
            continue
        if not (math.isnan(point.low) or math.isnan(point.high)):
            ends_of_bar = np.clip([point.low, point.high], y_low, y_high)
            bar = [point.seconds] * 2
            axes.plot(bar, ends_of_bar, color=look.colour, linewidth=1.3, gid=look.gid)
        axes.plot(
            [point.seconds],
            [point.error],
            marker=look.marker,
            markersize=8,
            color=look.colour,
            markeredgecolor=style.SURFACE,
            markeredgewidth=0.8,
            gid=look.gid,
        )


def _front(axes: Axes, points: Sequence[Point], right: float) -> None:
    """Draw the smallest error that any arm has reached by each time."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.seconds, p.error)):
        if not best or point.error < best[-1].error:
            best.append(point)
    if best:
        x, y = [p.seconds for p in best], [p.error for p in best]
        axes.step(
            [*x, right],
            [*y, y[-1]],
            where="post",
            color=style.MUTED,
            linewidth=1,
            linestyle=(0, (3, 2)),
        )
