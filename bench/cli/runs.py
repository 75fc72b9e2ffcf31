"""``python -m bench.suite runs``: the runs of a store, a line for each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec

from bench.spec.options import Doc, Options, add_flags
from bench.store.gc_pause import uncollected
from bench.store.record import Record, Status, decode, decode_result
from bench.store.store import DEFAULT_OUT, Store
from bench.text.errors import BadInput

STATUSES = get_args(Status)


class RunFilter(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs to list. An option that is not given leaves none out."""

    suite: Annotated[tuple[str, ...], Doc("only runs of this suite", "NAME")] = ()
    problem: Annotated[tuple[str, ...], Doc("only runs of this problem", "NAME")] = ()
    model: Annotated[
        tuple[str, ...], Doc("only runs of this network, for instance fnn or fnn:40x6", "NAME")
    ] = ()
    arm: Annotated[tuple[str, ...], Doc("only runs of this arm", "ARM")] = ()
    seed: Annotated[tuple[int, ...], Doc("only runs of this seed", "K")] = ()
    budget: Annotated[tuple[str, ...], Doc("only runs of this budget", "NAME")] = ()
    status: Annotated[
        tuple[str, ...], Doc("only runs that ended with this status", "NAME", STATUSES)
    ] = ()

    def takes(self, record: Record) -> bool:
        """Whether this run is listed."""
        for name in self.__struct_fields__:
            wanted, value = getattr(self, name), getattr(record, name)
            alike = {value, value.partition(":")[0]} if name == "model" else {value}
            if wanted and alike.isdisjoint(wanted):
                return False
        return True


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "runs",
        help="the runs of a store, a line each",
        description="List the runs of a store, a line each, those that were started last at the"
        " end.",
        epilog=_EXAMPLES,
    )
    add_flags(parser.add_argument_group("which runs"), RunFilter)
    how = parser.add_argument_group("how").add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print a JSON array of records")
    how.add_argument("--csv", action="store_true", help="print every metric, with all digits")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store")
    parser.set_defaults(run=run)


_EXAMPLES = """examples:
  %(prog)s --problem advection-1d --status diverged
  %(prog)s --arm irelu --csv > irelu.csv
"""


def run(namespace: argparse.Namespace) -> int:
    """Print the list; returns the exit code."""
    from bench.report.run_list import run_list
    from bench.report.tables import print_table, render_console
    from bench.report.tabulation import render

    store, which = Store(namespace.out), RunFilter.read(namespace)
    with uncollected():
        records = [
            record
            for record in store.records(decode if namespace.json else decode_result)
            if which.takes(record)
        ]
    if not records and not store.names():
        raise BadInput(f"no runs in {str(store.root)!r}")
    records.sort(key=lambda record: record.started)
    if namespace.json:
        sys.stdout.write(msgspec.json.encode(records).decode() + "\n")
    elif namespace.csv:
        sys.stdout.write(render([run_list(records, every_metric=True)], "csv"))
    elif records:
        print_table(run_list(records, every_metric=False), render_console())
    print(f"bench: {len(records)} runs in {store.root}", file=sys.stderr)
    return 0
