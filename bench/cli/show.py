"""``python -m bench.suite show RUN``: one run's record."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.report.start import measured_slope, pre_activations, signal_at_start
from bench.store.record import Record, encode
from bench.store.store import DEFAULT_OUT, Store, out_option
from bench.task import SELECTION
from bench.text.formatting import number


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("show", help="one run's record")
    parser.add_argument("name", metavar="RUN", help="the first digits of the run's name")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store")
    parser.add_argument("--json", action="store_true", help="the whole record")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the record; returns the exit code."""
    record = Store(options.out).find(options.name)
    if options.json:
        sys.stdout.write(encode(record).decode() + "\n")
        return 0
    for line in describe(record, out_option(options.out)):
        print(line)
    return 0


def describe(record: Record, where: str = "") -> list[str]:
    """The record in lines for people.

    Args:
        record: The record of the run.
        where: The option that names its store, from `bench.store.store.out_option`.
    """
    spec, timing = record.spec, record.timing
    together = record.seeds_together
    lines = [
        f"{record.spec_hash}  {spec.title}, budget {spec.budget}",
        f"status    {record.status}" + (f": {record.reason}" if record.reason else ""),
        f"trained   {record.steps_done} of {spec.training.total_steps} steps in"
        f" {timing.train_s:.1f} s ({number(timing.step_ms_median)} ms per step"
        f"{f' of {together} seeds together' if together > 1 else ''}),"
        f" built in {timing.build_s:.1f} s, evaluated in {timing.evaluate_s:.1f} s",
        f"arm       {', '.join(f'{axis} {choice}' for axis, choice in spec.axes.items())}",
        *_network(record),
        *_start(record),
        f"when      {record.started}, commit {str(record.environment.get('commit'))[:8]}"
        f"{' with changes' if record.environment.get('dirty') else ''}",
    ]
    lines += [f"warning   {text}" for text in record.warnings]
    notes = record.task.get("notes")
    lines += [f"note      {text}" for text in (notes if isinstance(notes, list) else [])]
    lines.append(f"repeat    python -m bench.suite reproduce {record.spec_hash[:8]}{where}")
    width = max(map(len, record.metrics), default=0)
    lines.append("")
    lines.append(f"{'metric':<{width}}  {'final':>10}  {'best':>10}  unit")
    for name, metric in record.metrics.items():
        final, best = number(metric.final), number(metric.best)
        lines.append(f"{name:<{width}}  {final:>10}  {best:>10}  {record.units.get(name, '')}")
    if record.best_step is not None:
        # Of what a run of before `selection` was recorded was selected by, its record has no value.
        by = SELECTION if SELECTION in record.metrics else "the held-out loss"
        lines.append(f"best: where {by} was lowest, step {record.best_step}")
    return lines


def _start(record: Record) -> list[str]:
    """How the signal was spread over the rows at the start, and what the initialisation says."""
    lines = []
    if (spread := signal_at_start(record)) is not None:
        share, median, largest = map(number, spread[:3])
        lines.append(
            f"start     1 % of the rows hold {share} of the energy of {spread.layer}; |output|"
            f" {median} in the median row, {largest} at most"
        )
    for one in pre_activations(record):
        mean, std = number(one.get("mean")), number(one.get("std"))
        lines.append(f"start     pre-activations of {one.get('activation')}: {mean} ± {std}")
    if (slope := measured_slope(record)) is not None:
        lines.append(f"start     slope of the correlation map through all layers: {number(slope)}")
    return lines


def _network(record: Record) -> list[str]:
    """The number of parameters, and the final values of those outside the linear layers."""
    lines = []
    if (count := record.task.get("parameters")) is not None:
        lines.append(f"network   {count} parameters")
    learned = record.diagnostics.get("learned")
    for path, values in learned.items() if isinstance(learned, dict) else ():
        if isinstance(values, dict):
            mean, least, most = (number(values.get(k)) for k in ("mean", "least", "most"))
            shown = f"{mean} on average, {least} … {most} ({values.get('count')} values)"
        else:
            shown = " ".join(map(number, values))
        lines.append(f"learned   {path}  {shown}")
    return lines
