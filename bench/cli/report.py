"""``python -m bench.suite report``: what the runs of a store say, as a page or as tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.cli import difference
from bench.plugins import load_suite
from bench.report.whole_store import plans_of_store
from bench.store.store import DEFAULT_OUT, Store
from bench.studies.plan import Plan, find_plans
from bench.task import Suite
from bench.text.errors import BadInput, unknown


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report", help="what the runs of a store say, as a page or as tables"
    )
    difference.add_arguments(parser)
    names = ", ".join(suite.name for suite in suites)
    parser.add_argument(
        "--study", metavar="NAME", help="a study, or one of its plans (default: all runs)"
    )
    parser.add_argument("--suite", metavar="NAME", help=f"{names} (default: all that there are)")
    parser.add_argument("--budget", metavar="NAME", help="runs of one budget")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="where the page goes (default: reports/ in the store)",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="md, csv or latex: print tables instead of making a page"
    )
    parser.add_argument(
        "--table",
        metavar="NAME",
        help="one table, for instance effects, errors or runs (default: all but runs; of csv runs)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the pages, or print the tables; returns the exit code."""
    from bench.report.study_tables import NAMES
    from bench.report.tabulation import FORMATS

    if options.format is not None and options.format not in FORMATS:
        raise unknown("--format", options.format, FORMATS)
    of_two = difference.asked_for(options)
    if not of_two and options.table is not None and options.table not in NAMES:
        raise unknown("--table", options.table, NAMES)
    if options.table is not None and options.format is None:
        raise BadInput(f"--table {options.table} needs --format, one of {', '.join(FORMATS)}")
    if options.html is not None and options.format is not None:
        raise BadInput("--html and --format exclude each other")
    if options.html is not None and options.html.is_dir():
        raise BadInput(f"--html {str(options.html)!r} is a directory, not a file")
    if of_two:
        return difference.run(options)
    store = Store(options.out)
    plans = _plans(store, options)
    if (options.html is not None or options.format == "csv") and len(plans) > 1:
        raise BadInput(
            f"{len(plans)} reports are asked for ({', '.join(plan.key for plan in plans)}):"
            " name one of these with --study"
        )
    for plan in plans:
        if options.format is not None:
            sys.stdout.write(_tables(plan, store, options))
            continue
        from bench.report.document import write_html
        from bench.report.results import Results

        results = Results.read(plan, store)
        try:
            print(write_html(results, store, options.html))
        except OSError as error:
            where = "a report" if options.html is None else f"--html {str(options.html)!r}"
            raise BadInput(f"cannot write {where}: {error.strerror}") from error
    return 0


def _plans(store: Store, options: argparse.Namespace) -> list[Plan]:
    if options.study is not None:
        # As the study was run: a file's study is called after it.
        name = Path(options.study).stem if options.study.endswith(".toml") else options.study
        return find_plans(store, name, options.suite, options.budget)
    return plans_of_store(store, options.suite, options.budget)


def _tables(plan: Plan, store: Store, options: argparse.Namespace) -> str:
    from bench.report.results import Results
    from bench.report.study_tables import SUMMARIES, study_tables
    from bench.report.tabulation import render

    results = Results.read(plan, store, drawn=False)
    name = options.table or ("runs" if options.format == "csv" else None)
    tables = study_tables(results, load_suite(plan.suite), SUMMARIES if name is None else [name])
    if name is not None and not tables:
        raise BadInput(f"the report {plan.key!r} has no table {name!r}: it would be empty")
    return render(list(tables.values()), options.format)
