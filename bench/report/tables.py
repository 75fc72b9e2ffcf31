"""The final table: one per problem and model, a row per arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from bench.arm import BASELINE
from bench.report.convergence import CONVERGED, clause
from bench.report.tabulation import Table, is_numeric, shown
from bench.report.variants import with_variants
from bench.spec.spec import Spec
from bench.spec.versions import conflict
from bench.store.record import Record
from bench.task import Columns
from bench.text.formatting import number

_WIDTH = 200


def print_tables(
    records: Sequence[Record],
    columns: Callable[[str], Columns],
    now: Callable[[Spec], Mapping[str, Any]],
    console: Console,
) -> None:
    """Print the tables and what a reader must know beside them.

    Args:
        records: All records of a call.
        columns: From a problem to the metrics to show for it.
        now: From a spec to the present code and versions (`bench.store.environment.provenance`).
            Runs that were made with others are marked.
        console: The console to print on.
    """
    for problem, model in dict.fromkeys((r.problem, r.model) for r in records):
        of_problem = [r for r in records if (r.problem, r.model) == (problem, model)]
        by_arm = {arm: [r for r in of_problem if r.arm == arm] for arm in _arms(of_problem)}
        present = dict.fromkeys(name for record in of_problem for name in record.metrics)
        asked = columns(problem)
        main = [name for name in asked.main if name in present] or [asked.main[0]]
        shown = with_variants([*asked.main, *asked.further], present)
        further = [name for name in shown if name not in asked.main]
        further += asked.values_of(present)
        scores = with_variants(asked.scores, present)
        columns_of_main = _main_columns(by_arm, main, scores, now, asked.compared)
        arms = _Column("arm", list(by_arm), "left")
        _print_columns(_title(of_problem), arms, columns_of_main, console)
        if further:
            terms = [_metric(by_arm, name, scores) for name in further]
            _print_columns(None, arms, terms, console)
        for note in [*_early(by_arm.get(BASELINE, []), asked.skills), *_notes(by_arm)]:
            console.print(f"  {note}", soft_wrap=True, markup=False, emoji=False)
        console.print()


def print_table(table: Table, console: Console) -> None:
    """Print any table in the width of a console, in as many parts as that asks for."""
    numeric = [is_numeric(table, column) for column in range(len(table.header))]
    columns = [
        _Column(
            name,
            [shown(row[k]) for row in table.rows],
            "right" if numeric[k] else "left",
        )
        for k, name in enumerate(table.header)
    ]
    _print_columns(None, columns[0], columns[1:], console)


def render_console() -> Console:
    """A console on stdout; as wide as the tables need where stdout is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDTH, highlight=False)
    return console


@dataclass(frozen=True)
class _Column:
    """A header and a cell for each arm."""

    header: str
    cells: Sequence[str]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        return max(map(len, (*self.header.splitlines(), *self.cells)))


def _print_columns(
    title: str | None, first: _Column, columns: Sequence[_Column], console: Console
) -> None:
    """Print columns beside the first, in as many tables as the console's width asks for."""
    waiting = list(columns)
    while waiting:
        together = [first, waiting.pop(0)]
        # A column takes its width, and three characters between it and the next.
        while waiting and sum(c.width + 3 for c in (*together, waiting[0])) <= console.width:
            together.append(waiting.pop(0))
        grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in together:
            grid.add_column(escape(column.header), justify=column.justify, no_wrap=True)
        for cells in zip(*(column.cells for column in together), strict=True):
            grid.add_row(*(escape(cell) for cell in cells))
        console.print(grid)
        title = None


def _title(records: Sequence[Record]) -> str:
    first, seeds = records[0], len({record.seed for record in records})
    over = f"medians over {seeds} seeds" if seeds > 1 else f"seed {first.seed} alone"
    return f"{first.problem}  {first.model}  {first.budget}, {_training(first)}, {over}"


def _main_columns(
    by_arm: Mapping[str, Sequence[Record]],
    names: Sequence[str],
    scores: Sequence[str],
    now: Callable[[Spec], Mapping[str, Any]],
    compared: bool,
) -> list[_Column]:
    """Errors, change against the baseline (where there is an error to compare), time and status of
    each arm."""
    records = [record for runs in by_arm.values() for record in runs]
    baseline = {record.seed: record for record in by_arm.get(BASELINE, [])}
    values = [[_final(run, names[0]) for run in runs] for runs in by_arm.values()]
    spread = [f"{number(min(of_arm))} … {number(max(of_arm))}" for of_arm in values]
    changes = [
        "" if arm == BASELINE else _change(runs, baseline, names[0]) for arm, runs in by_arm.items()
    ]
    return [
        _metric(by_arm, names[0], scores),
        *([_Column("min … max", spread)] if len({r.seed for r in records}) > 1 else []),
        *([_Column("vs baseline", changes)] if compared else []),
        *(_metric(by_arm, name, scores) for name in names[1:]),
        _Column(_time_header(records), [_milliseconds(runs) for runs in by_arm.values()]),
        _Column("status", [_status(runs, now) for runs in by_arm.values()], "left"),
    ]


def _metric(by_arm: Mapping[str, Sequence[Record]], name: str, scores: Sequence[str]) -> _Column:
    """A metric's median over the seeds."""
    missing = -math.inf if name in scores else math.inf
    medians = [
        statistics.median(_final(run, name, missing) for run in runs) for runs in by_arm.values()
    ]
    units = {run.units.get(name, "1") for runs in by_arm.values() for run in runs} - {"1"}
    return _Column("\n".join([name, *units]), [number(median) for median in medians])


def _training(record: Record) -> str:
    training = record.spec.training
    lbfgs = f" + {training.lbfgs_steps} of L-BFGS" if training.lbfgs_steps else ""
    return f"{training.steps} steps{lbfgs}"


def _time_header(records: Sequence[Record]) -> str:
    """The header of step times, which compare only if equally many runs shared the machine."""
    said = []
    for name in ("jobs", "seeds together"):
        # Records from before seeds were trained together do not say so.
        counts = {record.environment.get(name.replace(" ", "_"), 1) for record in records}
        if counts != {1}:
            said.append(f"{counts.pop() if len(counts) == 1 else 'mixed'} {name}")
    return f"ms/step ({', '.join(said)})" if said else "ms/step"


def _arms(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.arm for record in records))


def _final(record: Record, name: str, missing: float = math.inf) -> float:
    """A metric at the end; `missing`, the worst value, if the run has none: it ranks last."""
    metric = record.metrics.get(name)
    if metric is None or metric.final is None or record.status != "done":
        return missing
    return metric.final


def _change(runs: Sequence[Record], baseline: dict[int, Record], name: str) -> str:
    """Geometric mean over paired seeds of the error over the baseline's, or how many diverged."""
    ratios = []
    for run in runs:
        if run.seed not in baseline or conflict(run.spec, baseline[run.seed].spec):
            continue
        mine, other = _final(run, name), _final(baseline[run.seed], name)
        if math.isfinite(mine) and math.isfinite(other) and mine > 0 and other > 0:
            ratios.append(mine / other)
    if lost := sum(run.status == "diverged" for run in runs):
        return f"{lost} of {len(runs)} diverged"
    if len(ratios) < len(runs) or not ratios:
        return "–"
    return f"×{number(statistics.geometric_mean(ratios))}"


def _milliseconds(runs: Sequence[Record]) -> str:
    times = [r.timing.step_ms_median for r in runs if r.timing.step_ms_median is not None]
    return f"{statistics.median(times):.1f}" if times else "–"


def _status(runs: Sequence[Record], now: Callable[[Spec], Mapping[str, Any]]) -> str:
    counts = {status: sum(r.status == status for r in runs) for status in {r.status for r in runs}}
    text = ", ".join(
        f"{count} {status}" if len(runs) > 1 else status for status, count in sorted(counts.items())
    )
    collapsed = sum(bool(r.diagnostics.get("collapsed")) for r in runs)
    if collapsed:
        text += f", {collapsed} collapsed" if len(runs) > 1 else ", collapsed"
    old = sum(run.is_older_than(now(run.spec)) for run in runs)
    if old:
        text += f", {old} of other code" if len(runs) > 1 else ", of other code"
    return text


def _early(baseline: Sequence[Record], skills: Sequence[str]) -> list[str]:
    """That the baseline is no solution yet, beside the errors that are compared with it."""
    if not skills or not baseline:
        return []
    skill = statistics.median(_final(run, skills[0], -math.inf) for run in baseline)
    return [clause({BASELINE: skill})] if math.isfinite(skill) and skill < CONVERGED else []


def _notes(by_arm: Mapping[str, Sequence[Record]]) -> list[str]:
    """Equivalent arms and warnings, each once, with the arms and seeds that it is about."""
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
