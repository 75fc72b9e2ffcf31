"""A field, what trained networks predict of it, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from bench.report.figures import colour_map, style
from bench.report.figures.scale import linear_axis, linear_limits, tame
from bench.report.figures.style import Canvas, render, wrap
from bench.text.formatting import number

_LEFT, _GAP, _BAR, _BOTTOM = 52.0, 12.0, 78.0, 40.0
_WIDEST_IMAGE = 170.0
#: Colours of an image.
_COLOURS = 64


@style.drawn
def fields(
    name: str,
    reference: np.ndarray,
    predictions: Sequence[tuple[str, np.ndarray]],
    axes: tuple[str, str],
    extent: tuple[float, float, float, float],
    at: str,
    slug: str,
    most_pixels: int = 128,
) -> str:
    """Draw the reference, and each prediction above its error.

    Args:
        name: Name of the field.
        reference: Its values, rows from the bottom to the top.
        predictions: Label and values.
        axes: Labels of the horizontal and the vertical axis.
        extent: Left, right, bottom, top.
        at: The place of the cut, for people; may be empty.
        slug: The beginning of every id in the figure.
        most_pixels: Of an image along each axis.
    """
    size = min(
        _WIDEST_IMAGE,
        (style.WIDEST - _LEFT - _BAR) / (len(predictions) + 1) - _GAP,
    )
    titles = [wrap(label, size) for label, _ in predictions]
    what = f"{name}, {at}" if at else name
    first = ["reference", *wrap(what, size)]
    top = 8 + style.LINE * max(map(len, [first, *titles])) + 2
    columns = len(predictions) + 1
    second = top + size + 26
    height = second + size + _BOTTOM if predictions else top + size + _BOTTOM
    canvas = Canvas(_LEFT + columns * (size + _GAP) + _BAR, height)
    truth = tame(reference)
    values = linear_limits(truth)
    errors = [tame(p) - truth for _, p in predictions]
    most = _error_scale(errors)
    cividis = mpl.colormaps["cividis"].resampled(_COLOURS)

    def place(column: int, y: float) -> Axes:
        return canvas.axes(_LEFT + column * (size + _GAP), y, size, size)

    def frame(where: Axes, bottom: bool, left: bool) -> None:
        _frame(where, extent, bottom, left)
        canvas.axis_names(where, axes[0] if bottom else "", axes[1] if left else "")

    canvas.lines(_LEFT, top - 9 - style.LINE * (len(first) - 1), first)
    where = place(0, top)
    _image(where, truth, values, cividis, extent, most_pixels)
    frame(where, True, True)
    for k, ((_, predicted), title, error) in enumerate(
        zip(predictions, titles, errors, strict=True), start=1
    ):
        x = _LEFT + k * (size + _GAP)
        canvas.lines(x, top - 9 - style.LINE * (len(title) - 1), title)
        where = place(k, top)
        _image(where, tame(predicted), values, cividis, extent, most_pixels)
        frame(where, False, False)
        where = place(k, second)
        _image(where, error, (-most, most), colour_map.DIVERGING, extent, most_pixels)
        frame(where, True, k == 1)
        canvas.text(x, second - 10, _worst(error), size=style.SMALL, colour=style.MUTED)
    right = _LEFT + columns * (size + _GAP)
    _bar(canvas, right, top, size, values, cividis)
    if predictions:
        _bar(canvas, right, second, size, (-most, most), colour_map.DIVERGING)
        said = wrap("error: predicted − reference", size - 30, style.SMALL)
        canvas.lines(_LEFT, second + 24, said, size=style.SMALL, colour=style.MUTED)
    return render(canvas.figure, f"{what}: reference, predictions and errors", slug)


def _worst(error: np.ndarray) -> str:
    lost = 1 - float(np.isfinite(error).mean())
    if lost:
        return f"{100 * lost:.2g} % not finite"
    return f"max |error| {number(float(np.abs(error).max()))}"


def _error_scale(errors: Sequence[np.ndarray]) -> float:
    """The median over the arms of their 98 % quantiles: one bad arm leaves the others visible."""
    each = [
        float(np.quantile(np.abs(e[np.isfinite(e)]), 0.98)) for e in errors if np.isfinite(e).any()
    ]
    return (float(np.median(each)) if each else 0.0) or 1.0


def _image(
    axes: Axes,
    values: np.ndarray,
    limits: tuple[float, float],
    colours: Colormap,
    extent: Any,
    most: int,
) -> None:
    """Draw values as pixels; values that are not finite stay blank."""
    rows, columns = (np.linspace(0, n - 1, min(n, most)).round().astype(int) for n in values.shape)
    fewer = values[np.ix_(rows, columns)]
    low, high = limits
    pixels = colours(np.clip((fewer - low) / (high - low), 0, 1), bytes=True)
    pixels[~np.isfinite(fewer)] = 0
    axes.imshow(pixels, origin="lower", extent=extent, aspect="auto", interpolation="none")


def _frame(axes: Axes, extent: tuple[float, float, float, float], bottom: bool, left: bool) -> None:
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    linear_axis(axes.xaxis, 3)
    linear_axis(axes.yaxis, 4)
    axes.tick_params(labelbottom=bottom, labelleft=left, bottom=bottom, left=left)


def _bar(
    canvas: Canvas,
    x: float,
    y: float,
    height: float,
    limits: tuple[float, float],
    colours: Colormap,
) -> None:
    axes = canvas.axes(x + 4, y, 12, height)
    low, high = limits
    ramp = colours(np.linspace(0, 1, _COLOURS), bytes=True)[:, None]
    axes.imshow(ramp, origin="lower", extent=(0, 1, low, high), aspect="auto", interpolation="none")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    linear_axis(axes.yaxis, 5)
    for side in axes.spines.values():
        side.set_visible(False)
