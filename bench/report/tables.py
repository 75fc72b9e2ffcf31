"""The final table: one per problem and model, a row per arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.arm import BASELINE
from bench.record import Record
from bench.report.format import number

_WIDTH = 200


def print_tables(
    records: Sequence[Record],
    columns: Callable[[str], Sequence[Sequence[str]]],
    console: Console,
) -> None:
    """Print the tables and what a reader must know beside them.

    Args:
        records: All records of a call.
        columns: The metrics to show for a problem: those of the first table, of which the first
            is what arms are compared by, and those of a second one, which may be empty.
        console: Where to.
    """
    for problem, model in dict.fromkeys((r.problem, r.model) for r in records):
        of_problem = [r for r in records if (r.problem, r.model) == (problem, model)]
        by_arm = {arm: [r for r in of_problem if r.arm == arm] for arm in _arms(of_problem)}
        main, further = columns(problem)
        console.print(_main_table(by_arm, main))
        if further:
            console.print(_further_table(by_arm, further))
        for note in _notes(by_arm):
            console.print(f"  {note}", soft_wrap=True, markup=False)
        console.print()


def render_console() -> Console:
    """A console on stdout; as wide as the tables need where stdout is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDTH, highlight=False)
    return console


def _main_table(by_arm: Mapping[str, Sequence[Record]], columns: Sequence[str]) -> Table:
    """Errors, change against the baseline, time and status of each arm."""
    records = [record for runs in by_arm.values() for record in runs]
    seeds = len({record.seed for record in records})
    first = records[0]
    title = f"{first.problem}  {first.model}  {first.budget}, {first.spec.training.steps} steps"
    table = _table(title if seeds == 1 else f"{title}, medians over {seeds} seeds")
    spread = ["min … max"] if seeds > 1 else []
    for header in (columns[0], *spread, "vs baseline", *columns[1:], "ms/step"):
        table.add_column(header, justify="right")
    table.add_column("status")
    baseline = {record.seed: record for record in by_arm.get(BASELINE, [])}
    for arm, runs in by_arm.items():
        values = [_final(run, columns[0]) for run in runs]
        table.add_row(
            arm,
            number(_median(values)),
            *[f"{number(min(values))} … {number(max(values))}" for _ in spread],
            "" if arm == BASELINE else _change(runs, baseline, columns[0]),
            *_medians(runs, columns[1:]),
            _milliseconds(runs),
            _status(runs),
        )
    return table


def _further_table(by_arm: Mapping[str, Sequence[Record]], columns: Sequence[str]) -> Table:
    """The remaining metrics of each arm."""
    table = _table(None)
    for header in columns:
        table.add_column(header, justify="right")
    for arm, runs in by_arm.items():
        table.add_row(arm, *_medians(runs, columns))
    return table


def _table(title: str | None) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("arm", no_wrap=True)
    return table


def _medians(runs: Sequence[Record], names: Sequence[str]) -> list[str]:
    return [number(_median([_final(run, name) for run in runs])) for name in names]


def _arms(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.arm for record in records))


def _final(record: Record, name: str) -> float:
    """A metric at the end; infinite where the run has none, so that it ranks last."""
    metric = record.metrics.get(name)
    missing = metric is None or metric.final is None or record.status != "done"
    if missing:
        return -math.inf if name.startswith("skill") else math.inf
    assert metric is not None and metric.final is not None
    return metric.final


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _change(runs: Sequence[Record], baseline: dict[int, Record], name: str) -> str:
    """Geometric mean over paired seeds of the error over the baseline's."""
    ratios = []
    for run in runs:
        if run.seed not in baseline:
            continue
        mine, other = _final(run, name), _final(baseline[run.seed], name)
        if math.isfinite(mine) and math.isfinite(other) and mine > 0 and other > 0:
            ratios.append(mine / other)
    if len(ratios) < len(runs) or not ratios:
        return "–"
    return f"×{number(statistics.geometric_mean(ratios))}"


def _milliseconds(runs: Sequence[Record]) -> str:
    times = [r.timing.step_ms_median for r in runs if r.timing.step_ms_median is not None]
    return f"{statistics.median(times):.1f}" if times else "–"


def _status(runs: Sequence[Record]) -> str:
    counts = {status: sum(r.status == status for r in runs) for status in {r.status for r in runs}}
    text = ", ".join(
        f"{count} {status}" if len(runs) > 1 else status for status, count in sorted(counts.items())
    )
    collapsed = sum(bool(r.diagnostics.get("collapsed")) for r in runs)
    if collapsed:
        text += f", {collapsed} collapsed" if len(runs) > 1 else ", collapsed"
    return text


def _notes(by_arm: Mapping[str, Sequence[Record]]) -> list[str]:
    """Equivalent arms and warnings, each once with the arms and seeds it is about."""
    notes: list[str] = []
    texts: dict[str, list[str]] = {}
    first_of: dict[str, str] = {}
    for arm, runs in by_arm.items():
        facts = []
        if noops := runs[0].spec.noops:
            facts.append(f"{' and '.join(noops)} is a no-op on {runs[0].model}")
        twin = first_of.setdefault(runs[0].spec_hash, arm)
        if twin != arm:
            facts.append(f"the same run as {twin}")
        if facts:
            notes.append(f"{arm}: {', '.join(facts)}")
        if twin != arm:
            continue
        for run in runs:
            label = f"{arm} seed {run.seed}" if len(runs) > 1 else arm
            for text in [*run.warnings, *([run.reason] if run.reason else [])]:
                texts.setdefault(text, []).append(label)
    distinct = sum(len(by_arm[arm]) for arm in first_of.values())
    for text, labels in texts.items():
        notes.append(f"{'all runs' if len(labels) == distinct > 1 else ', '.join(labels)}: {text}")
    return notes
