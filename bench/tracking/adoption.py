"""Values taken over from one folder of results into another."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.files.atomic import write_atomically
from bench.tracking.result_files import load, value_name

#: Columns of a result file that have an entry for each combination of parameters.
_PER_VALUE = (
    "result",
    "stats_ci_99_a",
    "stats_ci_99_b",
    "stats_q_25",
    "stats_q_75",
    "stats_number",
    "stats_repeat",
    "samples",
)


def adopt(results_dir: Path, others: Path, machine: str, commit: str, names: set[str]) -> None:
    """Take values of a commit from another folder of results, whole or not at all.

    Args:
        results_dir: The folder that is changed; it has results of the commit.
        others: The folder that they are taken from.
        machine: asv's name of the machine.
        commit: Full hash.
        names: Names of the values, see `bench.tracking.results.Value.name`.

    Raises:
        BadInput: A file is damaged.
    """
    for path in sorted((others / machine).glob(f"{commit[:8]}-*.json")):
        target = results_dir / machine / path.name
        taken, kept = load(_rows, path), load(_rows, target)
        for benchmark, new in taken["results"].items():
            if benchmark in kept["results"]:
                _adopt_row(benchmark, kept["results"][benchmark], new, names)
        columns = kept["result_columns"]
        rows = {name: [row.get(c) for c in columns] for name, row in kept["results"].items()}
        content = {**kept, "results": rows}
        write_atomically(target, json.dumps(content).encode())


def _adopt_row(
    benchmark: str, old: dict[str, Any], new: Mapping[str, Any], names: set[str]
) -> None:
    """Change the values of a row that both rows have, and that are named."""
    where = {name: k for k, name in enumerate(_entries(benchmark, old))}
    for k, name in enumerate(_entries(benchmark, new)):
        if name in names and name in where:
            for column in _PER_VALUE:
                of_new = (new.get(column) or {k: None})[k]
                of_old = old.get(column) or [None] * len(where)
                of_old[where[name]] = of_new
                old[column] = of_old


def _rows(path: Path) -> dict[str, Any]:
    """A result file, each of its rows by column."""
    content: dict[str, Any] = json.loads(path.read_bytes())
    columns = content["result_columns"]
    # asv leaves out what is empty at the end of a row.
    content["results"] = {
        name: dict(zip(columns, row, strict=False)) for name, row in content["results"].items()
    }
    return content


def _entries(benchmark: str, row: Mapping[str, Any]) -> list[str]:
    """Names of a row's values."""
    parameters = row.get("params") or []
    return [value_name(benchmark, combination) for combination in itertools.product(*parameters)]
