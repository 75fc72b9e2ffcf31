"""What a page leaves out of a large study so that a browser opens it, and how to get the rest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from bench.report.tabulation import Table
from bench.store.store import Store, out_option
from bench.studies.catalogue import EVERYTHING
from bench.studies.plan import Plan

#: Cells of a table: of the runs, some eight hundred.
MOST_CELLS = 12_000
#: Comparisons in a figure, problems (with their models) that are drawn, and arms of each.
MOST_COMPARISONS, MOST_CASES, MOST_ARMS = 200, 40, 24
#: Of a page of 12 arms, 12 problems and 10 seeds; see `bench.report.room`.
MOST_BYTES = 3_000_000

#: Points of the curves of a page, counted once for all panels of a figure.
_ALL_POINTS = 2_304
#: Of one curve.
_LEAST_POINTS, MOST_POINTS = 12, 60
#: With more problems than so many, one output of each is drawn, at half the resolution.
_FEW_CASES = 6


def curve_points(cases: int, arms: int) -> int:
    """Points of a curve at most, on a page that draws so many problems with so many arms each."""
    each = _ALL_POINTS // max(cases * arms, 1)
    return min(max(each, _LEAST_POINTS), MOST_POINTS)


def field_pixels(cases: int) -> int:
    """Pixels of a predicted field along each axis at most, on a page of so many problems."""
    return 128 if cases <= _FEW_CASES else 64


def outputs_drawn(cases: int) -> int:
    """Outputs of a problem whose predictions are drawn at most, on a page of so many problems."""
    return 2 if cases <= _FEW_CASES else 1


def words_of(plan: Plan) -> list[str]:
    """Options of ``report`` that ask for the report of a plan."""
    if plan.study == EVERYTHING:
        return ["--suite", plan.suite, "--budget", plan.budget]
    return ["--study", plan.key]


def shortened(table: Table, asked: Sequence[str], store: Store, cells: int | None = None) -> Table:
    """The table's first rows, with a note if it has more.

    Args:
        table: The table.
        asked: Options of ``report`` that ask for the report of the table.
        store: The store that has its runs.
        cells: The most that it may have; ``None``: `MOST_CELLS`.
    """
    most = (MOST_CELLS if cells is None else cells) // max(len(table.header), 1)
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
