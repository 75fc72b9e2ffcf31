"""A ranking's answer on the terminal: sentences, a table, and what limits them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from bench.ranking.ranking import Ranking
from bench.report.ranking.document import report_command, write_ranking
from bench.report.ranking.findings import Findings
from bench.report.ranking.headline import headline
from bench.report.ranking.limits import limits
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.rates import rates_text
from bench.report.ranking.short_table import short_table
from bench.report.tables import print_table, render_console
from bench.report.terminal import WIDEST
from bench.store.store import Store


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
    if table := short_table(findings):
        print_table(table, console)
    if rates := rates_text(findings.ranked):
        print(textwrap.fill(rates, width, initial_indent="  ", subsequent_indent="    "))
    arms = [f"{one.name} is {one.arm}" for one in ranking.arms if one.name]
    for text in [*arms, *limits(findings)]:
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
    print(f"\nreport: {page}\nagain:  {report_command(ranking, store)}")
    return page
