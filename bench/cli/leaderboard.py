"""``python -m bench.suite leaderboard``: all arms of a store against the baseline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.store.store import DEFAULT_OUT, Store
from bench.task import Suite
from bench.text.errors import BadInput, unknown

_FORMATS = ("md",)


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "leaderboard",
        help="all arms of a store against the baseline",
        description="Compare every arm of a store with the baseline, like runs with like.",
    )
    names = ", ".join(suite.name for suite in suites)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store")
    parser.add_argument("--suite", metavar="NAME", help=f"{names} (default: all that there are)")
    parser.add_argument("--budget", metavar="NAME", help="runs of one budget (default: all)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="make a page")
    parser.add_argument("--format", metavar="NAME", help="md: print Markdown")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the leaderboards, or make a page of them; returns the exit code."""
    if options.format is not None and options.format not in _FORMATS:
        raise unknown("--format", options.format, _FORMATS)
    if options.html is not None and options.format is not None:
        raise BadInput("--html and --format exclude each other")
    if options.html is not None and options.html.is_dir():
        raise BadInput(f"--html {str(options.html)!r} is a directory, not a file")
    from bench.report.leaderboard.board import read_boards

    boards = read_boards(Store(options.out), options.suite, options.budget)
    if options.html is not None:
        from bench.report.leaderboard.page import write_page

        print(write_page(boards, options.html))
    elif options.format is not None:
        from bench.report.leaderboard.page import markdown

        sys.stdout.write(markdown(boards))
    else:
        from bench.report.leaderboard.terminal import print_boards

        print_boards(boards)
    return 0
