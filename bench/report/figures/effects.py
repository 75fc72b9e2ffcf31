"""Forest plot: the effect of each comparison and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.scale import finite_positive, log_axis
from bench.report.figures.style import Canvas, render, text_width, wrap
from bench.text.formatting import ratio_text, times_text

_COLOURS = {"better": style.BETTER, "worse": style.WORSE}
_MARKERS = {"better": "o", "worse": "s"}
_WIDEST_LABEL, _WIDEST_NOTE, _AXIS = 300.0, 150.0, 340.0
_TOP, _BOTTOM, _PADDING = 26.0, 44.0, 12.0


@dataclass(frozen=True)
class EffectRow:
    """A comparison.

    Attributes:
        label: The arm.
        reference: What it is compared with.
        ratio: The arm's error over the reference's; may be infinite.
        low: Lower end of the ratio's interval; NaN for none.
        high: Upper end.
        verdict: ``better``, ``worse`` or ``undecided``.
        note: Shown beside the numbers.
        lost: Shown instead of the numbers, where diverged runs leave no ratio.
    """

    label: str
    reference: str
    ratio: float
    low: float
    high: float
    verdict: str
    note: str = ""
    lost: str = ""


def _names(row: EffectRow) -> list[str]:
    whole = f"{row.label} vs {row.reference}"
    if text_width(whole) <= _WIDEST_LABEL:
        return [whole]
    return [*wrap(row.label, _WIDEST_LABEL), *wrap(f"vs {row.reference}", _WIDEST_LABEL)]


@style.drawn
def effects(rows: Sequence[EffectRow], metric: str, slug: str) -> str:
    """Draw comparisons, one a row.

    Args:
        rows: The comparisons, from top to bottom.
        metric: The error that the ratios are of.
        slug: The beginning of every id in the figure.
    """
    names = [_names(row) for row in rows]
    numbers = [_numbers(row) for row in rows]
    notes = [wrap(row.note, _WIDEST_NOTE, style.SMALL) for row in rows]
    heights = [
        _PADDING + style.LINE * max(len(a), len(b)) for a, b in zip(names, notes, strict=True)
    ]
    left = 12 + max((text_width(line) for lines in names for line in lines), default=0)
    width_numbers = 16 + max(map(text_width, numbers), default=0)
    width_notes = max((text_width(n, style.SMALL) for lines in notes for n in lines), default=0)
    width = left + _AXIS + width_numbers + (12 + width_notes if width_notes else 0) + 4
    canvas = Canvas(width, _TOP + sum(heights) + _BOTTOM)
    axes = canvas.axes(left, _TOP, _AXIS, max(sum(heights), 1.0))
    low, high = _limits(rows)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(max(sum(heights), 1.0), 0)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    log_axis(axes.xaxis, low, high, 7, "×")
    axes.grid(True, axis="x")
    axes.axvline(1, color=style.INK, linewidth=1)
    one = left + _AXIS * math.log(1 / low) / math.log(high / low)
    canvas.text(one - 8, 12, "← better", colour=style.MUTED, align="right")
    canvas.text(one + 8, 12, "worse →", colour=style.MUTED)
    canvas.text(
        left + _AXIS / 2,
        canvas.height - 10,
        f"error ratio, {metric}",
        colour=style.MUTED,
        align="center",
    )
    top = 0.0
    for row, lines, text, note, height in zip(rows, names, numbers, notes, heights, strict=True):
        middle = top + height / 2
        _mark(axes, row, middle, low, high)
        start = _TOP + middle - style.LINE * (len(lines) - 1) / 2
        canvas.lines(left - 12, start, lines, align="right")
        right = left + _AXIS + 16
        canvas.text(right, _TOP + middle, text)
        start = _TOP + middle - style.LINE * (len(note) - 1) / 2
        canvas.lines(right + width_numbers - 4, start, note, size=style.SMALL, colour=style.MUTED)
        top += height
    title = f"Error ratio ({metric}) of {len(rows)} comparisons"
    return render(canvas.figure, title, slug)


def _limits(rows: Sequence[EffectRow]) -> tuple[float, float]:
    """Limits of the axis: all estimates, and the intervals as far as the estimates stay apart."""
    ratios = np.clip(finite_positive(np.array([row.ratio for row in rows])), 1e-3, 1e3)
    ends = finite_positive(np.array([end for row in rows for end in (row.low, row.high)]))
    least, most = min([0.5, *ratios]), max([2.0, *ratios])
    ends = np.clip(ends, least / 3, most * 3)
    low, high = float(min([least, *ends])), float(max([most, *ends]))
    margin = max(1.25, (high / low) ** 0.05)
    return low / margin, high * margin


def _numbers(row: EffectRow) -> str:
    if row.lost:
        return row.lost
    if math.isnan(row.ratio):
        return "–"
    text = times_text(row.ratio)
    if math.isnan(row.low) or math.isnan(row.high):
        return text
    return f"{text} [{ratio_text(row.low)}, {ratio_text(row.high)}]"


def _mark(axes: Axes, row: EffectRow, y: float, low: float, high: float) -> None:
    """Interval and estimate; what lies outside the axis as an arrow or a cross at its border."""
    colour = _COLOURS.get(row.verdict, style.MUTED)
    # Short of the border: the marks are whole.
    inset = (high / low) ** 0.012
    first, last = low * inset, high / inset

    def put(x: float, marker: str, size: float, filled: bool = True) -> None:
        axes.plot(
            [x],
            [y],
            marker=marker,
            markersize=size,
            color=colour,
            markerfacecolor=colour if filled else style.SURFACE,
            markeredgecolor=colour,
            markeredgewidth=1.6,
            clip_on=False,
        )

    if not (math.isnan(row.low) or math.isnan(row.high)):
        ends = [min(max(end, first), last) for end in (row.low, row.high)]
        axes.plot(ends, [y, y], color=colour, linewidth=1.8, clip_on=False)
        if row.low < first:
            put(first, "<", 5)
        if row.high > last:
            put(last, ">", 5)
    if math.isnan(row.ratio):
        return
    if row.ratio == math.inf:
        put(last, "x", 8)
    elif row.ratio > last:
        put(last, ">", 8)
    elif row.ratio < first:
        put(first, "<", 8)
    else:
        marker = _MARKERS.get(row.verdict, "o")
        put(row.ratio, marker, 7, filled=row.verdict in _COLOURS)
