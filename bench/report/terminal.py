"""A study's findings on the terminal."""

from __future__ import annotations

import textwrap

from bench.report.findings import headline, limits
from bench.report.results import Comparison, Results
from bench.report.tables import print_table, render_console
from bench.report.tabulation import Cell, Table
from bench.text.formatting import ratio_text

#: Of text: longer lines are hard to read, however wide the terminal is.
_WIDEST = 100


def print_findings(results: Results) -> None:
    """Print the question, the answer, the comparisons and what limits them."""
    console = render_console()
    width = min(console.width, _WIDEST)
    print("\n" + textwrap.fill(results.plan.question, width))
    print("\n" + textwrap.fill(headline(results), width) + "\n")
    if results.comparisons:
        header = ["comparison", results.main_metric, "95 %", "wins/ties/losses", "verdict"]
        rows = [_row(comparison) for comparison in results.comparisons]
        print_table(Table("comparisons", "Comparisons", header, rows), console)
    for text in limits(results):
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
    print()


def _row(comparison: Comparison) -> list[Cell]:
    found = comparison.effect
    estimate, low, high = map(ratio_text, found.ratios)
    figures = [f"×{estimate}", f"{low} … {high}", f"{found.wins}/{found.ties}/{found.losses}"]
    name = f"{comparison.variant} vs {comparison.reference}"
    return [name, *(figures if found.pairs else [""] * len(figures)), comparison.outcome]
