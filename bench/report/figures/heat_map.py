"""Heat map: the error ratio of each problem and arm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.report.figures import colour_map, style
from bench.report.figures.style import Canvas, at_joints, render, text_width, wrap

_CELL_HEIGHT, _WIDEST_CELL, _WIDEST_ROW = 28.0, 92.0, 300.0
_ANGLE, _SLANTED = 35.0, 150.0
_KEY = 44.0


@style.drawn
def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    ratios: np.ndarray,
    texts: Sequence[Sequence[str]],
    slug: str,
) -> str:
    """Draw ratios as coloured cells.

    Args:
        rows: Problems, and models where there are several.
        columns: Arms.
        ratios: The arm's error over the reference's, one row for each problem; NaN for none.
        texts: The text in each cell, in lines.
        slug: The beginning of every id in the figure.
    """
    names = [wrap(row, _WIDEST_ROW) for row in rows]
    left = 12 + max((text_width(line) for lines in names for line in lines), default=0)
    cells = [[text.splitlines() for text in row] for row in texts]
    every = [lines for row in cells for lines in row]
    widest_text = max((text_width(line) for lines in every for line in lines), default=0)
    tallest_text = max(map(len, every), default=1)
    sine, cosine = math.sin(math.radians(_ANGLE)), math.cos(math.radians(_ANGLE))
    # Of two lines at most, which a cell's width has room for.
    slanted = [_in_two(column) for column in columns]
    longest = max((text_width(line) for lines in slanted for line in lines), default=0)
    # The last column's slanted name ends right of its cell.
    # The second line begins further right, and letters stand above their line.
    beside = longest * cosine + style.LINE / sine
    fits = (style.WIDEST - left - beside) / max(len(columns), 1)
    cell = max(min(_WIDEST_CELL, fits), widest_text + 6, 30.0)
    wrapped = [wrap(column, cell - 8) for column in columns]
    upright = all(
        len(lines) <= 2 and at_joints(column, lines)
        for column, lines in zip(columns, wrapped, strict=True)
    )
    top = 12 + style.LINE * 2 if upright else 8 + style.SIZE + longest * sine
    heights = [max(_CELL_HEIGHT, style.LINE * max(len(lines), tallest_text) + 6) for lines in names]
    width = left + cell * len(columns) + (4 if upright else max(beside - cell / 2, 4))
    canvas = Canvas(max(width, left + 240), top + sum(heights) + _KEY)

    for k, lines in enumerate(wrapped):
        x = left + (k + 0.5) * cell
        if upright:
            first = top - 12 - style.LINE * (len(lines) - 1)
            canvas.lines(x, first, lines, align="center")
        else:
            canvas.slanted(x, top - 6, slanted[k], _ANGLE)
    y = top
    for row, (lines, height) in enumerate(zip(names, heights, strict=True)):
        first = y + height / 2 - style.LINE * (len(lines) - 1) / 2
        canvas.lines(left - 10, first, lines, align="right")
        for k in range(len(columns)):
            _cell(canvas, left + k * cell, y, cell, height, float(ratios[row][k]), cells[row][k])
        y += height
    _key(canvas, left, y + 16)
    return render(canvas.figure, f"Error ratios of {len(columns)} arms on {len(rows)} cases", slug)


def _in_two(text: str) -> list[str]:
    """One line, or two that are as short as the joints of an arm's name allow."""
    width = text_width(text)
    for share in (0.5, 0.6, 0.7, 0.8, 0.9) if width > _SLANTED else ():
        lines = wrap(text, max(_SLANTED, share * width))
        if len(lines) <= 2:
            return lines
    return [text]


def _cell(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    ratio: float,
    lines: Sequence[str],
) -> None:
    if math.isnan(ratio):
        fill, ink = "none", style.MUTED
        lines = lines or ["–"]
    else:
        fill = _colour(ratio)
        ink = colour_map.text_on(fill)
    canvas.rectangle(x + 1, y + 1, width - 2, height - 2, fill)
    if math.isnan(ratio):
        canvas.rectangle(x + 1.5, y + 1.5, width - 3, height - 3, "none", style.GRID)
    first = y + height / 2 - style.LINE * (len(lines) - 1) / 2
    canvas.lines(x + width / 2, first, lines, colour=ink, align="center")


def _colour(ratio: float) -> str:
    if ratio == math.inf:
        return colour_map.BEYOND
    return colour_map.diverging(math.log10(ratio) if ratio > 0 else -1.0)


def _key(canvas: Canvas, x: float, y: float) -> None:
    """Samples of the colours."""
    for k, ratio in enumerate((0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)):
        canvas.rectangle(x + 32 * k, y, 32, 8, _colour(ratio))
        end = {0.1: "≤", 10.0: "≥"}.get(ratio, "")
        canvas.text(
            x + 32 * k + 16,
            y + 18,
            f"{end}×{ratio:g}",
            size=style.SMALL,
            colour=style.MUTED,
            align="center",
        )
