"""``python -m bench.suite report A B``: what differs between two stores or studies."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bench.store.store import Store
from bench.text.errors import BadInput, unknown

_FORM = "DIR of a store, DIR:NAME of a study or ranking in it, or NAME of one in --out"


def add_arguments(parser: Any) -> None:
    """Add the two positional arguments to the parser of ``report``."""
    parser.add_argument("a", metavar="A", nargs="?", help=f"compare two sides: {_FORM}")
    parser.add_argument("b", metavar="B", nargs="?", help="the other side, likewise")


def asked_for(options: argparse.Namespace) -> bool:
    """Whether two sides are named.

    Raises:
        BadInput: Only one is, or another report is asked for as well.
    """
    if options.a is None:
        return False
    if options.b is None:
        raise BadInput(
            f"report compares two sides and got one, {options.a!r}: report A B, each the {_FORM};"
            " or report --study NAME"
        )
    for flag in ("study", "ranking"):
        if getattr(options, flag, None) is not None:
            raise BadInput(f"report A B and --{flag} exclude each other")
    return True


def run(options: argparse.Namespace) -> int:
    """Print the difference, or make a page of it; returns the exit code."""
    from bench.report.difference.page import print_difference, text_of, write_page
    from bench.report.difference.results import differences
    from bench.report.difference.sides import read_side
    from bench.report.difference.tables import NAMES

    if options.table is not None and options.table not in NAMES:
        raise unknown("--table of report A B:", options.table, NAMES)
    out = Store(options.out)
    a, b = read_side(options.a, out), read_side(options.b, out)
    found = differences(a, b, options.suite, options.budget)
    if options.html is not None:
        print(write_page(found, options.html))
        return 0
    if options.format is None:
        for one in found:
            print_difference(one)
        return 0
    table = options.table or ("arms" if options.format == "csv" else None)
    if options.format == "csv" and len(found) > 1:
        said = ", ".join(f"{one.suite} {one.budget}" for one in found)
        raise BadInput(f"csv is one table, and there are several ({said}): --suite, --budget")
    text = "\n".join(filter(None, (text_of(one, options.format, table) for one in found)))
    if not text:
        raise BadInput(f"there is no table {table!r}: it would be empty")
    sys.stdout.write(text)
    return 0
