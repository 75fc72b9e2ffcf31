"""The table with which a ranking's answer opens."""

from __future__ import annotations

import math

from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.tables import time_ratio_cell
from bench.report.ratios import Lost, interval, main_ratio
from bench.report.tabulation import Cell, Table
from bench.text.formatting import ratio_text, times_text


def short_table(findings: Findings) -> Table | None:
    """Every arm in the order of its rank; ``None`` as long as no arm can be compared."""
    if not findings.decided:
        return None
    rows = [_row(one) for one in findings.standings if one.rank is not None]
    return Table(
        "ranking",
        "Ranking",
        [
            "arm",
            "verdict",
            "rank",
            findings.ranked.scored.main_metric,
            "95 %",
            "steps to target",
            "seconds",
            "better",
            "worse",
            "diverges",
            "ms/step",
        ],
        rows,
        "Rank: by final error, with an interval that holds for all arms at once. Error, with its"
        " 95 % interval for other seeds on these problems, and other trials by which the settings"
        " are chosen, and ms/step: over those of"
        f" {findings.ranked.reference}. Steps and seconds to its median error, over its own: > and"
        " < are bounds. better, worse, diverges: problems on which the arm does.",
    )


def _row(one: Standing) -> list[Cell]:
    assert one.rank is not None
    rank = f"{one.rank.rank} ({one.rank.low}–{one.rank.high})"
    compared = one.comparison
    if compared is None:
        return [one.arm, one.verdict, rank, "×1", *[""] * 7]
    if not compared.effect.pairs:
        return [one.arm, one.verdict, rank, *[""] * 8]
    middle = main_ratio(compared)
    low, high = interval(compared)
    return [
        one.arm,
        one.verdict,
        rank,
        middle if isinstance(middle, Lost) else times_text(middle),
        "" if low is None or high is None else f"{ratio_text(low)} … {ratio_text(high)}",
        _times(time_ratio_cell(one.steps[1.0])),
        _times(time_ratio_cell(one.seconds[1.0])),
        one.on("better"),
        one.on("worse"),
        one.on("diverges"),
        "" if one.cost.step_ratio is None else times_text(one.cost.step_ratio),
    ]


def _times(cell: Cell) -> str:
    """A ratio as a factor; what is no number as it is."""
    if isinstance(cell, float) and math.isfinite(cell):
        return times_text(cell)
    return "" if cell is None else str(cell)
