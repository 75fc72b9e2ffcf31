"""``python -m bench.suite report``: what the runs of a store say, as a page or as tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cli import difference
from bench.plugins import load_suite
from bench.ranking.ranking import Ranking, find_rankings
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
    parser.add_argument(
        "--ranking", metavar="NAME", help="a ranking, or its key; also while its runs go on"
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
        help="one table, for instance effects, errors or runs, or of a ranking standings or tuning"
        " (default: all but runs; of csv runs, or standings)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the pages, or print the tables; returns the exit code."""
    from bench.report.tabulation import FORMATS

    if options.ranking is not None and options.study is not None:
        raise BadInput("--ranking and --study exclude each other")
    if options.format is not None and options.format not in FORMATS:
        raise unknown("--format", options.format, FORMATS)
    of_two = difference.asked_for(options)
    if (
        not of_two
        and options.table is not None
        and options.table not in (known := _table_names(options))
    ):
        raise unknown("--table", options.table, known)
    if options.table is not None and options.format is None:
        raise BadInput(f"--table {options.table} needs --format, one of {', '.join(FORMATS)}")
    if options.html is not None and options.format is not None:
        raise BadInput("--html and --format exclude each other")
    if options.html is not None and options.html.is_dir():
        raise BadInput(f"--html {str(options.html)!r} is a directory, not a file")
    if of_two:
        return difference.run(options)
    store = Store(options.out)
    reports = _reports(store, options)
    if (options.html is not None or options.format == "csv") and len(reports) > 1:
        raise BadInput(
            f"{len(reports)} reports are asked for ({', '.join(one.key for one in reports)}):"
            f" name one of these with {'--study' if options.ranking is None else '--ranking'}"
        )
    for report in reports:
        if options.format is not None:
            sys.stdout.write(report.tables())
            continue
        try:
            print(report.write())
        except OSError as error:
            where = "a report" if options.html is None else f"--html {str(options.html)!r}"
            raise BadInput(f"cannot write {where}: {error.strerror}") from error
    return 0


@dataclass(frozen=True)
class _Report:
    """A page and the tables of it."""

    key: str
    write: Callable[[], Path]
    tables: Callable[[], str]


def _table_names(options: argparse.Namespace) -> Sequence[str]:
    if options.ranking is not None:
        from bench.report.ranking.tables import every_name

        return every_name()
    from bench.report.study_tables import NAMES

    return NAMES


def _reports(store: Store, options: argparse.Namespace) -> list[_Report]:
    if options.ranking is not None:
        found = find_rankings(store, options.ranking, options.suite, options.budget)
        return [_of_ranking(ranking, store, options) for ranking in found]
    return [_of_plan(plan, store, options) for plan in _plans(store, options)]


def _plans(store: Store, options: argparse.Namespace) -> list[Plan]:
    if options.study is not None:
        # As the study was run: a file's study is called after it.
        name = Path(options.study).stem if options.study.endswith(".toml") else options.study
        return find_plans(store, name, options.suite, options.budget)
    return plans_of_store(store, options.suite, options.budget)


def _of_plan(plan: Plan, store: Store, options: argparse.Namespace) -> _Report:
    from bench.report.family import read_results
    from bench.report.study_tables import SUMMARIES, study_tables
    from bench.report.tabulation import render

    def write() -> Path:
        from bench.report.document import write_html

        return write_html(read_results(plan, store), store, options.html)

    def tables() -> str:
        results = read_results(plan, store, drawn=False)
        name = options.table or ("runs" if options.format == "csv" else None)
        asked = SUMMARIES if name is None else [name]
        found = study_tables(results, load_suite(plan.suite), asked)
        _refuse_empty(plan.key, name, found)
        return render(list(found.values()), options.format)

    return _Report(plan.key, write, tables)


def _of_ranking(ranking: Ranking, store: Store, options: argparse.Namespace) -> _Report:
    from bench.report.ranking.findings import Findings
    from bench.report.ranking.ranked import Ranked
    from bench.report.ranking.tables import SUMMARIES, ranking_tables
    from bench.report.tabulation import render

    def write() -> Path:
        from bench.report.ranking.document import write_ranking

        return write_ranking(Findings(Ranked.read(ranking, store)), store, options.html)

    def tables() -> str:
        findings = Findings(Ranked.read(ranking, store, drawn=False))
        name = options.table or ("standings" if options.format == "csv" else None)
        asked = SUMMARIES if name is None else [name]
        found = ranking_tables(findings, load_suite(ranking.suite), asked)
        _refuse_empty(ranking.key, name, found)
        return render(list(found.values()), options.format)

    return _Report(ranking.key, write, tables)


def _refuse_empty(key: str, name: str | None, found: object) -> None:
    if name is not None and not found:
        raise BadInput(f"the report {key!r} has no table {name!r}: it would be empty")
