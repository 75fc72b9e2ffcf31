"""The final error of runs of several lengths, each with its own decay of the rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.style import Palette


@dataclass(frozen=True)
class LengthPanel:
    """The arms on a case.

    Attributes:
        title: Text above the axes.
        metric: The error, with its unit.
        series: An arm's final error over the steps of its runs: median and range of the seeds.
        targets: Errors that are to be reached, with their names.
    """

    title: str
    metric: str
    series: Sequence[Series]
    targets: Sequence[tuple[float, str]] = ()


def lengths(panels: Sequence[LengthPanel], palette: Palette, columns: int, slug: str) -> str:
    """Draw a panel a case.

    Args:
        panels: The cases, row by row.
        palette: Gives each label its look.
        columns: Panels in a row.
        slug: The beginning of every id in the figure.
    """
    drawn = [
        Panel(
            panel.title,
            "steps of the run",
            panel.metric,
            panel.series,
            x_log=True,
            x_ticks=_lengths(panel.series),
            levels=panel.targets,
        )
        for panel in panels
    ]
    return curves(drawn, palette, columns, slug)


def _lengths(series: Sequence[Series]) -> list[float]:
    """The lengths that runs have: ticks, if there are few."""
    found = np.unique(np.concatenate([s.x for s in series])) if series else np.zeros(0)
    usable = found[np.isfinite(found) & (found > 0)]
    return usable.tolist() if len(usable) <= 6 else []
