"""How all figures look: colours, fonts, and a canvas measured in pixels from the top left."""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from bench.report.figures import svg
from bench.report.figures.readings import Readable, encoded

#: Colours that stand for a variable of the page: `render` puts the variable in their place.
INK, MUTED, GRID, SURFACE = "#010203", "#020304", "#030405", "#040506"
BETTER, WORSE = "#050607", "#060708"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    SURFACE: "var(--surface)",
    BETTER: "var(--better, #2f8fd0)",
    WORSE: "var(--worse, #d55e00)",
}

#: Font sizes and the height of a line of text, in px at natural size.
SIZE, SMALL, LINE = 11.0, 10.0, 14.0
#: After these a name may be broken.
_JOINTS = " +=:·,;/_-"
#: No figure is wider.
WIDEST = 1000.0

#: Okabe and Ito's without black and yellow, the light ones darkened for white pages.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c4699a", "#45a8e2", "#bf8600")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", "h", ">", "*")
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))

#: A pixel is a point: figures have 72 of both in an inch.
_PIXELS = 72.0
_RC: dict[Any, Any] = {
    "figure.dpi": _PIXELS,
    "savefig.dpi": _PIXELS,
    "font.size": SIZE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "image.composite_image": False,
    # What SVG has where nothing is said.
    "lines.solid_capstyle": "butt",
    # Of a pixel: lines keep the points without which they would be off by more.
    "path.simplify_threshold": 0.25,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


@dataclass(frozen=True)
class Look:
    """How an arm is drawn.

    Attributes:
        number: Position of the arm's label.
        colour: Of lines and marks.
        line: Matplotlib's line style.
        marker: Matplotlib's marker.
    """

    number: int
    colour: str
    line: Any
    marker: str

    @property
    def gid(self) -> str:
        """What an arm's lines, bands and points are marked with, so that a page can hide them."""
        return f"{svg.ARM}{self.number}"


class Palette:
    """One look for each label, by its position.

    Colours repeat after six labels, with another line and marker.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._looks = {label: _look(k) for k, label in enumerate(dict.fromkeys(labels))}

    def of(self, label: str) -> Look:
        """The look of a label; an unknown one gets the next."""
        return self._looks.setdefault(label, _look(len(self._looks)))


def _look(position: int) -> Look:
    return Look(
        position,
        _COLOURS[position % len(_COLOURS)],
        _LINES[position // len(_COLOURS) % len(_LINES)],
        _MARKERS[position % len(_MARKERS)],
    )


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with the figures' style, whatever the user's own."""
    with mpl.rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        # The page's fonts show it: here text is only measured.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


class Canvas:
    """A figure whose parts are placed in px from the top left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _PIXELS, height / _PIXELS), dpi=_PIXELS)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose frame has its top left corner at x, y."""
        return self.figure.add_axes(
            (
                x / self.width,
                1 - (y + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SIZE,
        colour: str = INK,
        align: Literal["left", "center", "right"] = "left",
        bold: bool = False,
        gid: str | None = None,
    ) -> None:
        """A line of text whose middle is at the height y."""
        self.figure.text(
            x / self.width,
            # Centred on capitals and digits: matplotlib's own centring depends on descenders.
            1 - (y + 0.36 * size) / self.height,
            text,
            fontsize=size,
            color=colour,
            ha=align,
            va="baseline",
            weight="bold" if bold else "normal",
            gid=gid,
        )

    def lines(self, x: float, y: float, lines: Sequence[str], **how: Any) -> None:
        """Lines of text, the first one's middle at the height y."""
        for k, line in enumerate(lines):
            self.text(x, y + k * LINE, line, **how)

    def slanted(self, x: float, y: float, lines: Sequence[str], angle: float) -> None:
        """Lines of text that rise from x, y."""
        across = LINE / math.sin(math.radians(angle))
        for k, line in enumerate(lines):
            self.figure.text(
                (x + (k - (len(lines) - 1) / 2) * across) / self.width,
                1 - y / self.height,
                line,
                fontsize=SIZE,
                color=INK,
                rotation=angle,
                rotation_mode="anchor",
            )

    def axis_names(self, axes: Axes, x: str, y: str) -> None:
        """What the axes are, below and left of them."""
        if x:
            axes.set_xlabel(x, color=MUTED, fontsize=SMALL, labelpad=3)
        if y:
            axes.set_ylabel(y, color=MUTED, fontsize=SMALL, labelpad=3)

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: str, edge: str = "none"
    ) -> None:
        """A rectangle whose top left corner is at x, y."""
        self.figure.add_artist(
            Rectangle(
                (x / self.width, 1 - (y + height) / self.height),
                width / self.width,
                height / self.height,
                facecolor=fill,
                edgecolor=edge,
                linewidth=1,
            )
        )

    def line(self, x: Sequence[float], y: Sequence[float], **how: Any) -> None:
        """A line through points."""
        across, down = np.divide(x, self.width), 1 - np.divide(y, self.height)
        line = Line2D(across, down, transform=self.figure.transFigure, **how)
        self.figure.add_artist(line)


@dataclass(frozen=True)
class Legend:
    """Labels beside samples of their look, in rows as wide as asked.

    Attributes:
        places: Left edge and row of each label.
        height: Height in px.
    """

    labels: Sequence[str]
    places: Sequence[tuple[float, int]]
    height: float

    _SAMPLE, _GAP, _ROW = 30.0, 18.0, 18.0

    @classmethod
    def of(cls, labels: Iterable[str], width: float) -> Legend:
        """Lay labels out, each once."""
        places: list[tuple[float, int]] = []
        x, row = 0.0, 0
        once = list(dict.fromkeys(labels))
        for label in once:
            needed = cls._SAMPLE + text_width(label)
            if x and x + needed > width:
                x, row = 0.0, row + 1
            places.append((x, row))
            x += needed + cls._GAP
        return cls(once, places, (row + 1) * cls._ROW + 8 if once else 0)

    def draw(self, canvas: Canvas, palette: Palette, x: float, *, lines: bool = True) -> None:
        """Draw at the canvas's top."""
        for label, (left, row) in zip(self.labels, self.places, strict=True):
            look, y = palette.of(label), 11 + row * self._ROW
            canvas.line(
                [x + left, x + left + 12, x + left + 24],
                [y] * 3,
                color=look.colour,
                linestyle=look.line if lines else "none",
                linewidth=1.6,
                marker=look.marker,
                markevery=[1],
                markersize=6,
                markeredgewidth=0,
                gid=f"{svg.SAMPLE}{look.number}",
            )
            canvas.text(x + left + self._SAMPLE, y, label, gid=f"{svg.LABEL}{look.number}")


@functools.cache
def text_width(text: str, size: float = SIZE) -> float:
    """Width of a line in px, in a font wider than most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        width, _, _ = text_to_path.get_text_width_height_descent(
            text, FontProperties(size=size), ismath=False
        )
    return float(width)


def wrap(text: str, width: float, size: float = SIZE) -> list[str]:
    """Lines no wider than asked, broken after a blank or a joint of an arm's name."""
    lines, line = [], ""
    for piece in _pieces(text, width, size):
        if line and text_width((line + piece).rstrip(), size) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()]


def at_joints(text: str, lines: Sequence[str]) -> bool:
    """Whether `wrap` has broken no word of a text into its lines."""
    end = 0
    for line in lines[:-1]:
        end = text.index(line, end) + len(line)
        if line[-1:] not in _JOINTS and text[end] not in _JOINTS:
            return False
    return True


def _pieces(text: str, width: float, size: float) -> Iterator[str]:
    piece = ""
    for character in text:
        if piece and text_width(piece + character, size) > width:
            yield piece
            piece = ""
        piece += character
        if character in _JOINTS:
            yield piece
            piece = ""
    if piece:
        yield piece


def render(figure: Figure, title: str, slug: str, readable: Sequence[Readable] = ()) -> str:
    """A figure as SVG text to be put inline in HTML.

    Args:
        figure: A figure drawn with this module's colours.
        title: Title that screen readers read out.
        slug: The beginning of every id, so that the figures of a page do not clash.
        readable: The axes whose values the page shows beside the pointer.
    """
    data = {"data-panels": encoded(readable)} if readable else {}
    buffer = io.StringIO()
    with drawing(), mpl.rc_context({"svg.hashsalt": slug}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return svg.inline(buffer.getvalue(), title, slug, _VARIABLES, data)


def drawn[**P](function: Callable[P, str]) -> Callable[P, str]:
    """Run a figure's function in the figures' style."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> str:
        with drawing():
            return function(*args, **kwargs)

    return run
