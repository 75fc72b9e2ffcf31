"""A study's findings on the terminal."""

from __future__ import annotations

import textwrap

from bench.report.answer import headline
from bench.report.findings import limits
from bench.report.ratios import Lost, interval, main_ratio
from bench.report.results import Comparison, Results
from bench.report.tables import print_table, render_console
from bench.report.tabulation import Cell, Table
from bench.text.formatting import ratio_text, times_text

#: Of text: longer lines are hard to read, however wide the terminal is.
WIDEST = 100


def print_findings(results: Results) -> None:
    """Print the question, the answer, the comparisons and what limits them."""
    console = render_console()
    width = min(console.width, WIDEST)
    print("\n" + textwrap.fill(results.plan.question, width))
    print("\n" + textwrap.fill(headline(results), width) + "\n")
    if results.comparisons:
        header = ["comparison", "verdict", results.main_metric, "95 %", "wins/ties/losses"]
        rows = [_row(comparison) for comparison in results.comparisons]
        print_table(Table("comparisons", "Comparisons", header, rows), console)
    for name, arm in results.plan.names.items():
        print(
            textwrap.fill(f"{name} is {arm}", width, initial_indent="  ", subsequent_indent="    ")
        )
    for text in limits(results):
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
    print()


def _row(comparison: Comparison) -> list[Cell]:
    found = comparison.effect
    if not found.pairs:
        return [comparison.name, comparison.outcome, "", "", ""]
    middle = main_ratio(comparison)
    low, high = interval(comparison)
    return [
        comparison.name,
        comparison.outcome,
        middle if isinstance(middle, Lost) else times_text(middle),
        "" if low is None or high is None else f"{ratio_text(low)} … {ratio_text(high)}",
        f"{found.wins}/{found.ties}/{found.losses}",
    ]
