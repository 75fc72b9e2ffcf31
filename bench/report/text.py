"""A study's findings on the terminal."""

from __future__ import annotations

import textwrap

from tabulate import tabulate

from bench.report.findings import headline, limits
from bench.report.format import ratio_text
from bench.report.results import Results
from bench.report.study_tables import ratio

_WIDTH = 100


def print_findings(results: Results) -> None:
    """Print the question, the answer, the comparisons and what limits them."""
    print(f"\n{results.plan.question}\n")
    print(textwrap.fill(headline(results), _WIDTH))
    rows = []
    for comparison in results.comparisons:
        found = comparison.effect
        if not found.pairs:
            why = "no-op" if comparison.noops else "no pairs yet"
            rows.append([comparison.variant, comparison.reference, "", "", "", why])
            continue
        rows.append(
            [
                comparison.variant,
                comparison.reference,
                f"×{ratio_text(ratio(found.estimate))}",
                f"{ratio_text(ratio(found.low))} … {ratio_text(ratio(found.high))}",
                f"{found.wins}/{found.ties}/{found.losses}",
                found.verdict,
            ]
        )
    header = ["arm", "reference", results.main_metric, "95 %", "wins/ties/losses", "verdict"]
    print(f"\n{tabulate(rows, header, tablefmt='simple', disable_numparse=True)}\n")
    for text in limits(results):
        print(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    "))
    print()
