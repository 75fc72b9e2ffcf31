"""What a page leaves out of a large study so that a browser opens it, and how to get the rest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from bench.report.tabulation import Table
from bench.store.store import Store, out_option
from bench.studies.catalogue import EVERYTHING
from bench.studies.plan import Plan

#: Cells of a table: of the runs, some two thousand.
MOST_CELLS = 30_000
#: Comparisons in a figure, problems (with their models) that are drawn, and arms of each.
MOST_COMPARISONS, MOST_CASES, MOST_ARMS = 200, 40, 24


def words_of(plan: Plan) -> list[str]:
    """Options of ``report`` that ask for the report of a plan."""
    if plan.study == EVERYTHING:
        return ["--suite", plan.suite, "--budget", plan.budget]
    return ["--study", plan.key]


def shortened(table: Table, asked: Sequence[str], store: Store, cells: int = MOST_CELLS) -> Table:
    """The table's first rows, with a note if it has more.

    Args:
        table: The table.
        asked: Options of ``report`` that ask for the report of the table.
        store: The store that has its runs.
        cells: The most that it may have.
    """
    most = cells // max(len(table.header), 1)
    if len(table.rows) <= most:
        return table
    words = ["python", "-m", "bench.suite", "report", *asked]
    words += ["--format", "csv", "--table", table.name]
    note = (
        f"The first {most} of {len(table.rows)} rows; all of them:"
        f" {shlex.join(words)}{out_option(store.root)}"
    )
    return replace(table, rows=table.rows[:most], note=" ".join(filter(None, [table.note, note])))


def shown_of(what: str, shown: int, there: int) -> str:
    """A sentence on what a figure leaves out, after a space; empty if it leaves nothing out."""
    return f" Shown are {shown} of {there} {what}." if shown < there else ""
