"""A study's report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.files.atomic import write_atomically
from bench.plugins import load_suite
from bench.report.answer import MOST_LISTED, headline, ranking
from bench.report.figures.style import Palette
from bench.report.findings import limits
from bench.report.pictures import (
    Picture,
    curve_pictures,
    effects_picture,
    factorial_picture,
    heat_map_picture,
    pareto_picture,
    prediction_pictures,
)
from bench.report.ratios import Lost
from bench.report.results import Results
from bench.report.shortening import MOST_CASES, MOST_CELLS, shortened, shown_of
from bench.report.study_tables import SUMMARIES, study_tables
from bench.report.tabulation import Cell, Table, is_numeric, shown
from bench.store.gc_pause import uncollected
from bench.store.record import Record
from bench.store.store import Store
from bench.text.errors import BadInput

#: What of a record's environment makes two runs comparable.
_ENVIRONMENT = ("cpu", "gpu", "cores", "platform", "python", "versions", "commit", "dirty", "jobs")
#: With which a script begins.
_STRICT = '"use strict";\n'
_VERDICTS = ("better", "worse", "undecided", "no claim", "help each other", "hinder each other")


def write_html(results: Results, store: Store, path: Path | None) -> Path:
    """Write the report.

    Args:
        results: The results of the study.
        store: The store that has the trained networks' weights, for the predictions.
        path: The file; ``None``: ``reports/<plan>.html`` in the store.

    Returns:
        The file.

    Raises:
        BadInput: It cannot be written.
    """
    path = path or store.root / "reports" / f"{results.plan.key}.html"
    page = html(results, store)
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


@uncollected()
def html(results: Results, store: Store) -> str:
    """The report's text."""
    suite = load_suite(results.plan.suite)
    whole = study_tables(results, suite, SUMMARIES)
    tables = {name: shortened(table, results.plan, store) for name, table in whole.items()}
    drawn = shown_of("problems in figures", min(len(results.cases), MOST_CASES), len(results.cases))
    palette = Palette(results.variants)
    ranked = ranking(results)
    places = {name: _place(record) for name, record in results.records.items()}
    script = _resource("page.js") + _resource("save.js").removeprefix(_STRICT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        plan=results.plan,
        headline=headline(results),
        ranking=ranked[:MOST_LISTED],
        unlisted=len(ranked) - MOST_LISTED,
        limits=[*limits(results), *filter(None, [drawn.strip()])],
        first=effects_picture(results),
        factorial=factorial_picture(results),
        heat_map=heat_map_picture(results),
        curves=list(curve_pictures(results, palette)),
        pareto=pareto_picture(results, palette),
        predictions=list(prediction_pictures(results, store, palette)),
        tables=tables,
        runs=shortened(_runs(results, places), results.plan, store),
        statuses=results.statuses,
        environments=_environments(places),
        style=Markup(_resource("page.css")),
        script=Markup(script),
        script_digest=digest,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        svg=_svg,
        shown=shown,
        sort_key=_sort_key,
        is_number=lambda cell: isinstance(cell, float | int),
        is_numeric=is_numeric,
        verdict=_verdict_class,
    )


def _svg(picture: Picture) -> Markup:
    """A figure as it is: what comes from outside was escaped when it was drawn."""
    return Markup(picture.svg)


def _verdict_class(cell: Cell) -> str:
    if isinstance(cell, Lost):
        return "lost"
    return str(cell).split()[0] if cell in _VERDICTS else ""


def _sort_key(cell: Cell) -> str:
    """The key that sorts a column: numbers by value, missing cells last."""
    number = cell.rank if isinstance(cell, Lost) else cell
    if isinstance(number, float | int):
        return "" if math.isnan(number) else repr(number).replace("inf", "1e999")
    return "" if cell is None else str(cell)


def _runs(results: Results, places: Mapping[str, str]) -> Table:
    """The run table: what fits in a row; the command is in the last cell.

    Where there are more runs than the page shows, it shows those of the first seeds.
    """
    metrics = list(dict.fromkeys(results.metric(case) for case in results.cases))
    metrics += [name for name in results.metrics if name not in metrics][:2]
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


def _place(record: Record) -> str:
    found = {name: record.environment.get(name) for name in _ENVIRONMENT}
    return json.dumps(found, sort_keys=True)


def _names(places: Mapping[str, str]) -> dict[str, str]:
    """A short name for each environment."""
    return {place: f"E{k + 1}" for k, place in enumerate(sorted(set(places.values())))}


def _environments(places: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each environment, with its short name and how many runs were made in it."""
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


def _resource(name: str) -> str:
    return files("bench.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("bench.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
