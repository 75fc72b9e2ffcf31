"""``python -m bench.suite study NAME``: run what answers a question, and report on it."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable
from typing import Any

from bench.cli.execution import (
    add_execution_arguments,
    add_seed_arguments,
    device_name,
    exit_code,
    jobs_of,
    out_option,
    run_or_find,
    seeds_of,
    timeout_of,
)
from bench.store.gc_pause import uncollected
from bench.store.record import FINAL, Record, decode_result
from bench.store.store import Store
from bench.studies.catalogue import STUDIES, get_study
from bench.studies.definition import Part, split_words
from bench.studies.plan import Plan, make_plan, parse_options, save
from bench.task import Suite, load_suite
from bench.text.errors import BadInput
from bench.text.formatting import counted
from bench.training.signals import EXIT_CODE

#: The least with which two problems can support a claim.
_SEEDS = 4


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "study", help="run a named comparison and report on it", allow_abbrev=False
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help=f"one of {', '.join(STUDIES)}, or one's own FILE.toml",
    )
    parser.add_argument("--list", action="store_true", help="the studies and what they ask")
    what = parser.add_argument_group("what to run")
    names = ", ".join(suite.name for suite in suites)
    what.add_argument("--suite", metavar="NAME", help=f"{names} (default: all of the study)")
    what.add_argument(
        "--problem", action="append", metavar="NAME", help="instead of the study's; repeatable"
    )
    what.add_argument(
        "--model", action="append", metavar="NAME", help="instead of the study's; repeatable"
    )
    add_seed_arguments(what)
    what.add_argument("--budget", default="quick", metavar="NAME", help="default quick")
    what.add_argument(
        "--options",
        default="",
        metavar="'--NAME …'",
        help="options of the suite for every run, as one word: --options '--steps 500'",
    )
    where = parser.add_argument_group("where to run")
    add_execution_arguments(where, batchable=True)
    where.add_argument(
        "--dry-run", action="store_true", help="say what would be run and how long it takes"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the study on each of its suites; returns the exit code."""
    if options.list:
        _print_list()
        return 0
    if options.name is None:
        raise BadInput(f"study needs a NAME, one of {', '.join(STUDIES)}, or a FILE.toml")
    study = get_study(options.name)
    device = device_name(options.device)
    jobs_of(options.jobs, device)
    timeout_of(options)
    # All parts are planned before the first is run, so that bad input costs nothing.
    made = [
        (
            part,
            make_plan(
                study,
                part,
                load_suite(part.suite),
                options.options,
                problems=options.problem or (),
                models=options.model or (),
                seeds=seeds_of(options, _SEEDS),
                budget=options.budget,
                device=device,
                dtype=options.dtype,
                command=_command(options, part.suite),
            ),
        )
        for part in study.on(options.suite)
    ]
    store = Store(options.out)
    worst = 0
    for part, plan in made:
        code = _run_plan(part, plan, store, device, options)
        worst = max(worst, code)
        if code == EXIT_CODE:
            break
    return worst


def _run_plan(
    part: Part, plan: Plan, store: Store, device: str, options: argparse.Namespace
) -> int:
    suite = load_suite(plan.suite)
    if options.dry_run:
        _say_how_long(plan, store, device, options)
        return 0
    store.prepare()
    _say_how_long(plan, store, device, options)
    wanted = plan.specs
    plan = save(plan, store)
    records, interrupted = run_or_find(suite, wanted, store, device, options)
    if interrupted:  # a cluster leaves no time for a report
        return exit_code(records, interrupted, options)

    from bench.report.document import write_html
    from bench.report.results import Results
    from bench.report.terminal import print_findings

    results = Results.read(plan, store)
    print_findings(results)
    path = write_html(results, store, None)
    report = f"python -m bench.suite report --study {plan.key}"
    print(f"report: {path} (again: {report}{out_option(options.out)})")
    words = [*split_words(part.options), *split_words(plan.options)]
    suite.finish(records, store, parse_options(suite, plan.study, words))
    return exit_code(records, interrupted, options)


def _say_how_long(plan: Plan, store: Store, device: str, options: argparse.Namespace) -> None:
    """How many runs there are, how many are missing, and how long these will take."""
    from bench.studies.estimate import duration, estimate

    jobs = jobs_of(options.jobs, device)
    distinct = {spec.hash: spec for spec in plan.specs}
    with uncollected():
        found = {} if options.rerun else {k: store.read(k, decode_result) for k in distinct}
    missing = [spec for k, spec in distinct.items() if not _finished(found.get(k))]
    head = f"study {plan.study} on {plan.suite}: {_shape(plan)}"
    if not missing:
        print(f"bench: {head}: all {len(distinct)} runs are in {store.root}", file=sys.stderr)
        return
    seconds = estimate(
        missing,
        store.records(decode_result),
        jobs,
        lambda text: print(f"bench: {text}", file=sys.stderr),
    )
    print(
        f"bench: {head}: {len(distinct)} runs, {len(missing)} to do, about"
        f" {duration(seconds)} with {jobs} at a time",
        file=sys.stderr,
        flush=True,
    )


def _finished(record: Record | None) -> bool:
    return record is not None and record.status in FINAL


def _shape(plan: Plan) -> str:
    """For people: 4 arms × 5 problems × 3 seeds."""
    words = ("arm", "problem", "model", "seed")
    return " × ".join(counted(len({getattr(s, word) for s in plan.specs}), word) for word in words)


def _command(options: argparse.Namespace, suite: str) -> str:
    """The command that makes the same plan."""
    tokens = ["python", "-m", "bench.suite", "study", options.name, "--suite", suite]
    for name in ("problem", "model"):
        for value in getattr(options, name) or ():
            tokens += [f"--{name}", value]
    for seed in options.seed or ():
        tokens += ["--seed", str(seed)]
    if options.seed is None:
        tokens += ["--seeds", str(len(seeds_of(options, _SEEDS)))]
    tokens += ["--budget", options.budget]
    if options.options:
        tokens += ["--options", options.options]
    if options.dtype != "float32":
        tokens += ["--dtype", options.dtype]
    return shlex.join(tokens)


def _print_list() -> None:
    width = max(map(len, STUDIES))
    for study in STUDIES.values():
        print(f"{study.name:<{width}}  {study.question}")
        for part in study.part:
            arms = ", ".join(str(variant) for variant in part.variants())
            models = ", ".join(part.models) or "the default model"
            where = f"{part.suite} ({models}{', ' if part.options else ''}{part.options})"
            print(f"{'':<{width}}    {where}: {arms}")
