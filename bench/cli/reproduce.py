"""``python -m bench.suite reproduce RUN``: repeat a run from its record and compare."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.execution.options import device_name
from bench.plugins import load_suite
from bench.spec.versions import redefinitions
from bench.store.record import FINAL, Record
from bench.store.store import DEFAULT_OUT, Store
from bench.task import SELECTION
from bench.text.errors import BadInput
from bench.text.formatting import number
from bench.training.policy import RunPolicy
from bench.training.signals import EXIT_CODE

#: What of an environment two runs must share to have the same bits.
_SAME = ("code", "versions", "cpu", "gpu", "python", "seeds_together", "parts")


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("reproduce", help="repeat a run from its record and compare")
    parser.add_argument("name", metavar="RUN", help="the first digits of the run's name")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="keep the repeated run in another store (default: it is compared and removed)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Repeat and compare.

    Returns:
        0 if every final metric is the same to the last bit, 1 if one is not, 130 when interrupted.
    """
    record = Store(options.out).find(options.name)
    if record.status not in FINAL:
        raise BadInput(f"run {options.name!r} ended as {record.status}: nothing to reproduce")
    redefined = redefinitions(record.spec, load_suite(record.suite).versions(record.spec))
    if redefined:
        # With these definitions it would be another run, by the same name.
        commit = str(record.environment.get("commit"))[:8]
        raise BadInput(f"run {options.name!r}: {redefined[0]}: only commit {commit} can repeat it")
    if options.into is not None and options.into.resolve() == options.out.resolve():
        raise BadInput(f"--into {str(options.into)!r} is the store of the run itself")
    if options.into is not None and Store(options.into).read(record.spec_hash) is not None:
        raise BadInput(f"--into {str(options.into)!r} already has run {record.spec_hash}")
    device = device_name(record.spec.device)
    if options.into is not None:
        return _repeat(record, Store(options.into), device)
    with tempfile.TemporaryDirectory(prefix="dcbench-") as folder:
        return _repeat(record, Store(Path(folder)), device)


def _repeat(record: Record, store: Store, device: str) -> int:
    from bench.execution.progress import make_reporter
    from bench.execution.run_all import run_all

    store.prepare()
    with make_reporter([record.spec]) as reporter:
        repeated, stopped = run_all(
            [record.spec], RunPolicy(store, device, rerun=True), True, reporter
        )
    if stopped:
        print("bench: interrupted; nothing was compared", file=sys.stderr)
        return EXIT_CODE
    for line in describe_changes(record.environment, repeated[0].environment):
        print(line)
    different = differences(record, repeated[0])
    for line in different:
        print(line)
    if not different:
        print(f"{record.spec_hash}: all {len(record.metrics)} metrics are the same to the last bit")
    return 1 if different else 0


def differences(record: Record, repeated: Record) -> list[str]:
    """The differences between the results, a line for each."""
    lines = []
    if repeated.status != record.status:
        lines.append(f"status: {record.status}, now {repeated.status} ({repeated.reason})")
    for name in {**record.metrics, **repeated.metrics}:
        if name == SELECTION and name not in record.metrics:
            continue  # of before the harness recorded it
        one, other = (
            None if (metric := r.metrics.get(name)) is None else metric.final
            for r in (record, repeated)
        )
        if one != other:
            change = f" (×{number(other / one)})" if one and other is not None else ""
            lines.append(f"{name}: {one!r}, now {other!r}{change}")
    return lines


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The changes of the environment that may change the last digits, a line for each."""
    lines = []
    for name in _SAME:
        one, other = before.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            changed = sorted(k for k in {*one, *other} if one.get(k) != other.get(k))
            lines += [f"other {k}: {one.get(k)}, now {other.get(k)}" for k in changed]
        elif isinstance(one, dict) or isinstance(other, dict):
            lines.append(f"other {name}: the run has it in an earlier form")
        elif one != other:
            lines.append(f"other {name}: {one}, now {other}")
    return lines
