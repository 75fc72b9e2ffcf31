"""Bands around curves, in whole pixels: a page has many of them, and their edges are pale."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from bench.report.figures.style import Look


def band(
    axes: Axes,
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    there: np.ndarray,
    step: bool,
    look: Look,
) -> None:
    """Fill between two curves; an end beyond the axes goes on to their border.

    Args:
        axes: They have their scales and limits.
        x: (points,) places.
        low: (points,) lower end; NaN for none.
        high: (points,) upper end.
        there: (points,) where the band's curve is.
        step: Whether each value holds until the next.
        look: Of the arm.
    """
    bottom, top = axes.get_ylim()
    low = np.where(np.isnan(low), np.nan, np.clip(low, bottom, top))
    high = np.where(np.isnan(high), np.nan, np.clip(high, bottom, top))
    seen = np.isfinite(low) & np.isfinite(high) & there
    if not (seen & (high > low)).any():
        return
    at, low = whole_pixels(axes, x, low)
    _, high = whole_pixels(axes, x, high)
    area = FillBetweenPolyCollection("x", at, low, high, where=seen, step="post" if step else None)
    if not area.get_paths():
        return  # Single points have no area.
    path = Path.make_compound_path(*area.get_paths())
    # A patch is a path in SVG; a collection would be a definition and its use.
    axes.add_patch(
        PathPatch(path, facecolor=look.colour, alpha=0.13, linewidth=0, zorder=1, gid=look.gid)
    )


def whole_pixels(axes: Axes, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points moved to the nearest pixels, as data."""
    found = axes.transData.transform(np.column_stack([x, y])).round()
    back = axes.transData.inverted().transform(found)
    return back[:, 0], back[:, 1]
