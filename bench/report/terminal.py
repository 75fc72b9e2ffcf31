"""A study's findings on the terminal."""

from __future__ import annotations

import textwrap

from tabulate import tabulate

from bench.report.findings import headline, limits
from bench.report.results import Results
from bench.text.formatting import ratio_text

_WIDTH = 100


def print_findings(results: Results) -> None:
    """Print the question, the answer, the comparisons and what limits them."""
    print(f"\n{results.plan.question}\n")
    print(textwrap.fill(headline(results), _WIDTH))
    rows = []
    for comparison in results.comparisons:
        found = comparison.effect
        estimate, low, high = map(ratio_text, found.ratios)
        figures = [f"×{estimate}", f"{low} … {high}", f"{found.wins}/{found.ties}/{found.losses}"]
        shown = figures if found.pairs else [""] * len(figures)
        rows.append([comparison.variant, comparison.reference, *shown, comparison.outcome])
    header = ["arm", "reference", results.main_metric, "95 %", "wins/ties/losses", "verdict"]
    print(f"\n{tabulate(rows, header, tablefmt='simple', disable_numparse=True)}\n")
    for text in limits(results):
        print(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    "))
    print()
