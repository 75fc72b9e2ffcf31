"""Panels with titles in rows below a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from bench.report.figures import style
from bench.report.figures.style import Canvas, Legend, Palette, wrap


class Panels:
    """Where panels stand, once `place` has said how high they are.

    Args:
        titles: Titles of the panels, row by row.
        labels: Labels in the legend.
        columns: Most panels in a row.
        widest: Largest width of a panel, in px.
        left: Distance from a panel's left edge to its axes, in px.
        right: Distance from a panel's axes to its right edge, in px.
        top: Distance from a title of one line to the axes, in px.
    """

    def __init__(
        self,
        titles: Sequence[str],
        labels: Iterable[str],
        columns: int,
        widest: float,
        left: float,
        right: float,
        top: float,
    ) -> None:
        self._columns = max(1, min(columns, len(titles)))
        self._rows = -(-len(titles) // self._columns)
        self.width = min(widest, style.WIDEST / self._columns)
        self.inner_width = self.width - left - right
        self._titles = [wrap(title, self.width - 8) for title in titles]
        self._above = top + style.LINE * (max(map(len, self._titles), default=1) - 1)
        self._left = left
        self._legend = Legend.of(labels, self._columns * self.width - 16)

    def place(
        self, inner_height: float, below: float, palette: Palette, lines: bool = True
    ) -> Canvas:
        """The canvas, with its legend.

        Args:
            inner_height: Height of the axes, in px.
            below: Height under the axes, in px.
            palette: Gives each label its look.
            lines: Whether the legend's samples are lines.
        """
        self._inner_height = inner_height
        self._height = self._above + inner_height + below
        height = self._legend.height + max(self._rows * self._height, 20)
        self.canvas = Canvas(self._columns * self.width, height)
        self._legend.draw(self.canvas, palette, 8, lines=lines)
        return self.canvas

    def axes(self, number: int) -> tuple[Axes, float, float]:
        """Axes of a panel under its title; the left edge of the panel, and where its axes end."""
        x = number % self._columns * self.width
        y = self._legend.height + number // self._columns * self._height
        self.canvas.lines(x + 8, y + 10, self._titles[number], bold=True)
        size = (self.inner_width, self._inner_height)
        axes = self.canvas.axes(x + self._left, y + self._above, *size)
        return axes, x, y + self._above + self._inner_height
