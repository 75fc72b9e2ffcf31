"""Times of a training step relative to the stock library's, one case a block of rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes

from bench.report.figures import intervals, style
from bench.report.figures.intervals import Mark
from bench.report.figures.style import Canvas, Legend, Palette, render, text_width
from bench.text.formatting import times_text
from bench.training.stock_speed import Speed

_AXIS = 420.0
_TOP, _BOTTOM, _PADDING = 8.0, 46.0, 10.0
_JAX = Mark("D", style.INK, False)
_FLOOR = Mark("|", style.MUTED, True)

#: A page's variables, for a file that stands alone.
_ALONE = (
    "<style>:root{--ink:#1b1f24;--muted:#5b6470;--grid:#d8dde3;--surface:#fff;background:#fff}"
    "text{font-family:system-ui,sans-serif}</style>"
)


@style.drawn
def speed_figure(speeds: Sequence[Speed]) -> str:
    """How many times faster than stock each path is, with quartiles, as an SVG file of its own.

    A case's hand-written peer and its floor, the step's matrix products alone, are marked in the
    first of its rows, where they are known.

    Args:
        speeds: The results; those of a case follow each other.
    """
    blocks = [(name, list(own)) for (_, name), own in groupby(speeds, lambda s: (s.suite, s.name))]
    paths = list(dict.fromkeys(speed.path for speed in speeds))
    palette = Palette(paths)
    left = 12 + max(text_width(name) for name, _ in blocks)
    numbers = 16 + max(text_width(times_text(speed.ratio)) for speed in speeds)
    legend = Legend.of(paths, left + _AXIS)
    top = _TOP + legend.height
    height = sum(_PADDING + style.LINE * len(own) for _, own in blocks)
    canvas = Canvas(left + _AXIS + numbers + 4, top + height + _BOTTOM)
    legend.draw(canvas, palette, 0, lines=False)
    axes = canvas.axes(left, top, _AXIS, height)
    marked = [ratio for s in speeds for ratio in (_of_peer(s), _of_floor(s)) if ratio is not None]
    ends = [end for s in speeds for end in (s.ratio_low, s.ratio_high)]
    low, high = intervals.limits([*(s.ratio for s in speeds), *marked], ends)
    intervals.ratio_axes(axes, low, high, height, 8)
    y = 0.0
    for name, own in blocks:
        y += _PADDING / 2
        canvas.text(left - 12, top + y + style.LINE / 2, name, align="right")
        _draw_others(axes, own[0], y + style.LINE / 2)
        for speed in own:
            middle = y + style.LINE / 2
            look = palette.of(speed.path)
            mark = Mark(look.marker, look.colour, True)
            intervals.draw(axes, speed.ratio, speed.ratio_low, speed.ratio_high, middle, mark)
            canvas.text(left + _AXIS + 12, top + middle, times_text(speed.ratio), size=style.SMALL)
            y += style.LINE
        y += _PADDING / 2
    canvas.text(
        left + _AXIS / 2,
        canvas.height - 10,
        _caption(speeds),
        size=style.SMALL,
        colour=style.MUTED,
        align="center",
    )
    found = render(canvas.figure, f"Training steps of {len(blocks)} cases against stock", "speed")
    return found.replace("</title>", f"</title>{_ALONE}", 1)


def _draw_others(axes: Axes, speed: Speed, y: float) -> None:
    for ratio, mark, size in ((_of_peer(speed), _JAX, 7), (_of_floor(speed), _FLOOR, 11)):
        if ratio is not None:
            how = intervals.marker_style(mark, mark.marker, mark.filled)
            axes.plot([ratio], [y], markersize=size, **how)


def _of_peer(speed: Speed) -> float | None:
    return speed.stock_ms / speed.peer_ms if speed.peer_ms else None


def _of_floor(speed: Speed) -> float | None:
    return speed.stock_ms / speed.floor_ms if speed.floor_ms else None


def _caption(speeds: Sequence[Speed]) -> str:
    parts = ["times faster than stock (1×), quartiles over the rounds"]
    if any(speed.peer_ms for speed in speeds):
        parts.append("◇ hand-written JAX")
    if any(speed.floor_ms for speed in speeds):
        parts.append("| matrix products alone")
    return "; ".join(parts)
