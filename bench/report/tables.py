"""The final table: one per problem and model, a row per arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.arm import BASELINE
from bench.record import Record
from bench.report.format import number

_WIDTH = 200


def print_tables(
    records: Sequence[Record], columns: Callable[[str], Sequence[str]], console: Console
) -> None:
    """Print the tables and what a reader must know beside them.

    Args:
        records: All records of a call.
        columns: The metrics to show for a problem, the one that arms are compared by first.
        console: Where to.
    """
    for problem, model in dict.fromkeys((r.problem, r.model) for r in records):
        of_problem = [r for r in records if (r.problem, r.model) == (problem, model)]
        _print_table(of_problem, columns(problem), console)


def render_console() -> Console:
    """A console on stdout; as wide as the tables need where stdout is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDTH, highlight=False)
    return console


def _print_table(records: Sequence[Record], columns: Sequence[str], console: Console) -> None:
    first = records[0]
    title = f"{first.problem}  {first.model}  {first.budget}, {first.spec.training.steps} steps"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("arm")
    seeds = len({record.seed for record in records})
    headers = [columns[0], "vs baseline", *columns[1:], "ms/step", "status"]
    if seeds > 1:
        headers.insert(1, "min … max")
    for header in headers:
        table.add_column(header, justify="left" if header == "status" else "right")
    by_arm = {arm: [r for r in records if r.arm == arm] for arm in _arms(records)}
    baseline = {r.seed: r for r in by_arm.get(BASELINE, [])}
    for arm, runs in by_arm.items():
        values = [_final(run, columns[0]) for run in runs]
        cells = [
            number(_median(values)),
            _change(runs, baseline, columns[0]) if arm != BASELINE else "",
            *(number(_median([_final(run, name) for run in runs])) for name in columns[1:]),
            _milliseconds(runs),
            _status(runs),
        ]
        if seeds > 1:
            cells.insert(1, f"{number(min(values))} … {number(max(values))}")
        table.add_row(arm, *cells)
    console.print(table)
    if seeds > 1:
        console.print(f"  medians over {seeds} seeds; a diverged run counts as infinitely wrong")
    for note in _notes(by_arm):
        console.print(f"  {note}", soft_wrap=True, markup=False)
    console.print()


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
    return statistics.median_high(values)


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


def _notes(by_arm: dict[str, list[Record]]) -> list[str]:
    """Equivalent arms and warnings, each once with the arms and seeds it is about."""
    notes: list[str] = []
    first_of: dict[str, str] = {}
    for arm, runs in by_arm.items():
        twin = first_of.setdefault(runs[0].spec_hash, arm)
        if twin != arm:
            notes.append(f"{arm}: a no-op on {runs[0].model}, the same run as {twin}")
    texts: dict[str, list[str]] = {}
    for arm, runs in by_arm.items():
        if any(arm_note.startswith(f"{arm}: a no-op") for arm_note in notes):
            continue
        for run in runs:
            label = f"{arm} seed {run.seed}" if len(runs) > 1 else arm
            for text in [*run.warnings, *([run.reason] if run.reason else [])]:
                texts.setdefault(text, []).append(label)
    total = sum(len(runs) for runs in by_arm.values())
    for text, labels in texts.items():
        notes.append(f"{'all runs' if len(labels) == total > 1 else ', '.join(labels)}: {text}")
    return notes
