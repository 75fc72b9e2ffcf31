"""The runs of a page as a table, and the environments in which they were made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.report.results import Results
from bench.report.shortening import MOST_CELLS
from bench.report.tabulation import Cell, Table
from bench.store.record import Record

#: What of a record's environment makes two runs comparable.
_ENVIRONMENT = ("cpu", "gpu", "cores", "platform", "python", "versions", "commit", "dirty", "jobs")


def run_table(results: Results) -> Table:
    """The run table: what fits in a row; the command is in the last cell.

    Where there are more runs than the page shows, it shows those of the first seeds.
    """
    metrics = list(dict.fromkeys(results.metric(case) for case in results.cases))
    metrics += [name for name in results.metrics if name not in metrics][:2]
    places = _places(results)
    names = _names(places)
    header = ["run", "problem", "model", "arm", "seed", "status", *metrics]
    header += ["train s", "ms/step", "peak MB", "made in", "command"]
    runs = results.plan.runs
    if len(runs) > MOST_CELLS // len(header):
        runs = sorted(runs, key=lambda run: run.spec.seed)
    rows: list[list[Cell]] = []
    for run in runs:
        spec, record = run.spec, results.records.get(run.spec.hash)
        row: list[Cell] = [spec.hash[:8], spec.problem, spec.model, spec.arm, spec.seed]
        if record is None:
            row += ["waiting", *[None] * (len(metrics) + 4)]
        else:
            finals = [record.metrics.get(name) for name in metrics]
            row += [
                record.status + (f": {record.reason}" if record.reason else ""),
                *(None if value is None else value.final for value in finals),
                record.timing.train_s,
                record.timing.step_ms_median,
                record.peak_memory_mb,
                names[places[spec.hash]],
            ]
        rows.append([*row, run.command])
    return Table("runs", "Runs", header, rows)


def _places(results: Results) -> dict[str, str]:
    """The environment of each record."""
    return {name: _place(record) for name, record in results.records.items()}


def _place(record: Record) -> str:
    found = {name: record.environment.get(name) for name in _ENVIRONMENT}
    return json.dumps(found, sort_keys=True)


def _names(places: Mapping[str, str]) -> dict[str, str]:
    """A short name for each environment."""
    return {place: f"E{k + 1}" for k, place in enumerate(sorted(set(places.values())))}


def environments(results: Results) -> list[dict[str, Any]]:
    """Each environment, with its short name and how many runs were made in it."""
    places = _places(results)
    counts = Counter(places.values())
    return [
        {"name": name, "runs": counts[place], "values": _readable(json.loads(place))}
        for place, name in _names(places).items()
    ]


def _readable(values: Mapping[str, Any]) -> dict[str, str]:
    readable = {}
    for name, value in values.items():
        if isinstance(value, dict):
            readable[name] = ", ".join(f"{k} {v}" for k, v in value.items())
        elif value is not None:
            readable[name] = str(value)
    return readable
