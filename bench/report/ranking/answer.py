"""A ranking's answer on the terminal: sentences, a table, and what limits them."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

from bench.ranking.ranking import Ranking
from bench.report.ranking.document import report_command, write_ranking
from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.headline import headline
from bench.report.ranking.limits import limits
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.tables import time_ratio_cell
from bench.report.ratios import Lost, interval, main_ratio
from bench.report.tables import print_table, render_console
from bench.report.tabulation import Cell, Table
from bench.report.terminal import WIDEST
from bench.store.store import Store
from bench.text.formatting import ratio_text, times_text


def print_ranking(ranking: Ranking, store: Store) -> Path:
    """Print the answer of a ranking and write its page.

    Args:
        ranking: The ranking.
        store: The store that has its records.

    Returns:
        The page.

    Raises:
        BadInput: The page cannot be written.
    """
    findings = Findings(Ranked.read(ranking, store))
    page = write_ranking(findings, store, None)
    console = render_console()
    width = min(console.width, WIDEST)
    print()
    for text in headline(findings):
        print(textwrap.fill(text, width))
    print()
    if table := answer_table(findings):
        print_table(table, console)
    arms = [f"{one.name} is {one.arm}" for one in ranking.arms if one.name]
    for text in [*arms, *limits(findings)]:
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
    print(f"\nreport: {page}\nmake it again: {report_command(ranking, store)}")
    return page


def answer_table(findings: Findings) -> Table | None:
    """The table of the answer; ``None`` as long as no arm can be compared."""
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
            "seconds to target",
            "better",
            "worse",
            "diverges",
            "ms/step",
        ],
        rows,
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
