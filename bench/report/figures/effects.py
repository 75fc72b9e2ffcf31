"""Forest plot: the effect of each comparison and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.figures import intervals, style
from bench.report.figures.style import Canvas, render, text_width, wrap
from bench.text.formatting import ratio_text, times_text

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
        verdict: As `intervals.mark_of` knows them.
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
    ends = [end for row in rows for end in (row.low, row.high)]
    low, high = intervals.limits([row.ratio for row in rows], ends)
    intervals.ratio_axes(axes, low, high, max(sum(heights), 1.0), 7)
    one = left + _AXIS * intervals.place(1, low, high)
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
        mark = intervals.mark_of(row.verdict)
        intervals.draw(axes, row.ratio, row.low, row.high, middle, mark)
        start = _TOP + middle - style.LINE * (len(lines) - 1) / 2
        canvas.lines(left - 12, start, lines, align="right")
        right = left + _AXIS + 16
        canvas.text(right, _TOP + middle, text)
        start = _TOP + middle - style.LINE * (len(note) - 1) / 2
        canvas.lines(right + width_numbers - 4, start, note, size=style.SMALL, colour=style.MUTED)
        top += height
    title = f"Error ratio ({metric}) of {len(rows)} comparisons"
    return render(canvas.figure, title, slug)


def _numbers(row: EffectRow) -> str:
    if row.lost:
        return row.lost
    if math.isnan(row.ratio):
        return "–"
    text = times_text(row.ratio)
    if math.isnan(row.low) or math.isnan(row.high):
        return text
    return f"{text} [{ratio_text(row.low)}, {ratio_text(row.high)}]"
