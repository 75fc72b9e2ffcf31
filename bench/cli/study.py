"""``python -m bench.suite study NAME``: run what answers a question, and report the answer."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.cli.ending import exit_code
from bench.cli.suite_options import hint_of
from bench.execution.find_or_run import find_or_run, trained
from bench.execution.options import ExecutionOptions, device_name
from bench.plugins import load_suite
from bench.spec.options import add_flags
from bench.spec.training_options import TrainingOptions
from bench.store.store import Store, out_option
from bench.studies.catalogue import get_study, named_studies
from bench.studies.definition import Part, Study, split_words
from bench.studies.estimate import say_how_long
from bench.studies.options import SEEDS, StudyOptions
from bench.studies.plan import Plan, make_plan, parse_options, save
from bench.task import Suite
from bench.text.errors import BadInput
from bench.training.signals import EXIT_CODE


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "study",
        help="run a named comparison and report on it",
        description="Run what is missing of a study, say what it found, and make a page of it.",
        epilog=_EXAMPLES,
    )
    parser.hint = hint_of(suites)
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help=f"one of {', '.join(named_studies())}, or one's own FILE.toml",
    )
    parser.add_argument("--list", action="store_true", help="the studies and what they ask")
    seeds = {"seeds": f"without it {SEEDS}"}
    add_flags(parser.add_argument_group("what to run"), StudyOptions, seeds)
    add_flags(parser.add_argument_group("how to train"), TrainingOptions)
    where = parser.add_argument_group("where to run")
    add_flags(where, ExecutionOptions)
    where.add_argument(
        "--dry-run", action="store_true", help="say what would be run and how long it takes"
    )
    parser.set_defaults(run=run)


_EXAMPLES = """examples:
  %(prog)s --list
  %(prog)s separate --suite pinn --seeds 3 --dry-run
  %(prog)s mine.toml --steps 2000
"""


def run(namespace: argparse.Namespace) -> int:
    """Run the study on each of its suites; returns the exit code."""
    if namespace.list:
        _print_list()
        return 0
    if namespace.name is None:
        raise BadInput(f"study needs a NAME, one of {', '.join(named_studies())}, or a FILE.toml")
    study = get_study(namespace.name)
    given, where = StudyOptions.read(namespace), ExecutionOptions.read(namespace)
    where.check()
    device = device_name(where.device)
    training = TrainingOptions.read(namespace)
    asked = given.asked(training, device, where.dtype)
    # All parts are planned before the first is run, so that bad input costs nothing.
    plans = [
        (
            part,
            make_plan(
                study,
                part,
                load_suite(part.suite),
                asked,
                given.command(namespace.name, part.suite, training, where.dtype),
            ),
        )
        for part in study.on(given.suite)
    ]
    worst = 0
    for part, plan in plans:
        code = _run_plan(part, plan, device, where, namespace.dry_run)
        worst = max(worst, code)
        if code == EXIT_CODE:
            break
    return worst


def _run_plan(part: Part, plan: Plan, device: str, where: ExecutionOptions, dry_run: bool) -> int:
    suite, store = load_suite(plan.suite), Store(where.store)
    if not dry_run:
        store.prepare()
    say_how_long(plan, store, where.jobs_on(device), where.rerun)
    if dry_run:
        return 0
    wanted = plan.specs
    plan = save(plan, store)
    records, stopped = find_or_run(suite, wanted, device, where)
    if stopped:  # a cluster leaves no time for a report
        return exit_code(records, stopped is not None, where)
    print_study(plan, store)
    words = [*split_words(part.options), *split_words(plan.options)]
    suite.finish(trained(records, store), parse_options(suite, plan.study, words)[1])
    return exit_code(records, stopped is not None, where)


def print_study(plan: Plan, store: Store) -> Path:
    """Print what a study found, make its page, and say where the page is."""
    from bench.report.document import write_html
    from bench.report.results import Results
    from bench.report.terminal import print_findings

    results = Results.read(plan, store)
    print_findings(results)
    path = write_html(results, store, None)
    print(f"report: {path}")
    print(f"again:  python -m bench.suite report --study {plan.key}{out_option(store.root)}")
    return path


def _print_list() -> None:
    studies: Iterable[Study] = named_studies().values()
    width = max(len(study.name) for study in studies)
    for study in studies:
        print(f"{study.name:<{width}}  {study.question}")
        for part in study.part:
            arms = ", ".join(str(variant) for variant in part.variants())
            models = ", ".join(part.models) or "the default model"
            where = f"{part.suite} ({models}{', ' if part.options else ''}{part.options})"
            print(f"{'':<{width}}    {where}: {arms}")
