"""Runs of any kind, a row each."""

from __future__ import annotations

from collections.abc import Sequence

from bench.plugins import load_suite
from bench.report.tabulation import Cell, Table
from bench.store.record import Record
from bench.text.errors import BadInput

#: Digits of a run's name that tell it from others in any store that people look at.
_DIGITS = 8


def run_list(records: Sequence[Record], every_metric: bool) -> Table:
    """The runs, each with the error by which arms are compared, or with all metrics.

    Args:
        records: In the order of the rows.
        every_metric: All final values, and the runs' whole names, as programs want it.
    """
    header = ["run", "suite", "problem", "model", "arm", "seed", "budget", "status", "steps"]
    header += ["ms/step", "started"]
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows: list[list[Cell]] = []
    for record in records:
        name = record.spec_hash if every_metric else record.spec_hash[:_DIGITS]
        row: list[Cell] = [name, record.suite, record.problem, record.model, record.arm]
        row += [record.seed, record.budget, record.status, record.steps_done]
        row += [record.timing.step_ms_median]
        row += [record.started if every_metric else record.started[:16].replace("T", " ")]
        finals = {name: metric.final for name, metric in record.metrics.items()}
        if every_metric:
            row += [finals.get(name) for name in metrics]
        else:
            main = _main_metric(record)
            row.insert(8, finals.get(main))
            row.insert(8, main)
        rows.append(row)
    header = [*header, *metrics] if every_metric else [*header[:8], "metric", "value", *header[8:]]
    return Table("runs", "Runs", header, rows)


def _main_metric(record: Record) -> str:
    """The error by which arms are compared on its problem; empty if its suite does not say."""
    try:
        return load_suite(record.suite).columns(record.problem).main[0]
    except BadInput:  # a user's problem, or a suite, that is not here any more
        return ""
