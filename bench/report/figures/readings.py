"""The values of a figure's curves, for the page's script: it shows the one beside the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

#: Floats below it are exact where they are whole.
_COUNTED = 1e15


@dataclass(frozen=True)
class Reading:
    """The points of a curve that can be read.

    Attributes:
        arm: Number of the curve's label in the palette.
        x: (points,) places on the horizontal axis.
        y: (points,) values.
    """

    arm: int
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Readable:
    """Axes and what can be read from them.

    Attributes:
        axes: They have their scales and limits.
        x_name: What the horizontal axis is.
        y_name: What the vertical axis is.
        curves: The curves of the axes.
    """

    axes: Axes
    x_name: str
    y_name: str
    curves: Sequence[Reading]


def encoded(panels: Sequence[Readable]) -> str:
    """JSON of rounded numbers: for each panel its box in px, its axes and its curves.

    Whole numbers along the horizontal axis, as steps are, have all their digits.

    Points outside of the axes are left out. Values that another curve has are said once: a curve
    without ``x`` has that of the one before in its panel, and ``y`` may be the number of an earlier
    curve, counted through all panels, that has the same.
    """
    said: list[tuple[float, ...]] = []
    found = [_panel(one, said) for one in panels]
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def _panel(panel: Readable, said: list[tuple[float, ...]]) -> dict[str, object]:
    axes = panel.axes
    box, height = axes.bbox, axes.figure.bbox.height
    curves: list[dict[str, object]] = []
    before: list[float | int] | None = None
    for reading in panel.curves:
        seen = _inside(reading.x, axes.get_xlim()) & _inside(reading.y, axes.get_ylim())
        if not seen.any():
            continue
        x = [_place(value) for value in reading.x[seen]]
        y = tuple(_rounded(value, 4) for value in reading.y[seen])
        curve: dict[str, object] = {"arm": reading.arm}
        if x != before:
            curve["x"] = before = x
        curve["y"] = said.index(y) if y in said else y
        said.append(y)
        curves.append(curve)
    return {
        # Matplotlib's pixels are counted from the bottom.
        "box": [_rounded(v, 4) for v in (box.x0, height - box.y1, box.width, box.height)],
        "x": _axis(panel.x_name, axes.get_xscale(), axes.get_xlim()),
        "y": _axis(panel.y_name, axes.get_yscale(), axes.get_ylim()),
        "curves": curves,
    }


def _axis(name: str, scale: str, limits: tuple[float, float]) -> dict[str, object]:
    ends = [_rounded(value, 6) for value in limits]
    return {"name": name, "log": scale == "log", "ends": ends}


def _inside(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = sorted(limits)
    return np.isfinite(values) & (values >= low) & (values <= high)


def _place(value: float) -> float | int:
    """A value of the horizontal axis."""
    whole = abs(value) < _COUNTED and value == int(value)
    return int(value) if whole else _rounded(value, 6)


def _rounded(value: float, digits: int) -> float | int:
    found = float(f"{value:.{digits}g}")
    return int(found) if math.fabs(found) < _COUNTED and found == int(found) else found
