"""Performance profiles: the share of problems on which an arm is within a factor of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.style import Palette


@dataclass(frozen=True)
class Profile:
    """The profile of an arm: a step function of τ (E. Dolan and J. Moré 2002).

    Attributes:
        label: The arm.
        tau: (points,) factors of the best arm, from 1 on; where the function steps, and the last
            one that is drawn.
        share: (points,) the share of problems from each τ on.
        low: (points,) lower end of the band.
        high: (points,) upper end.
    """

    label: str
    tau: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def profiles(
    panels: Sequence[tuple[str, Sequence[Profile]]],
    palette: Palette,
    columns: int,
    slug: str,
    of: str = "the best error",
) -> str:
    """Draw a panel for each target or criterion.

    Args:
        panels: Title and profiles, row by row.
        palette: Gives each label its look.
        columns: Panels in a row.
        slug: The beginning of every id in the figure.
        of: Of what τ is a factor.
    """
    drawn = [
        Panel(
            title,
            f"τ: factor of {of}",
            "share of problems",
            [Series(p.label, p.tau, p.share, p.low, p.high) for p in found],
            x_log=True,
            # Lines at 0 and 1 are whole.
            y_ends=(-0.03, 1.03),
            step=True,
        )
        for title, found in panels
    ]
    return curves(drawn, palette, columns, slug)
