"""``python -m bench.suite <suite>``: train and score arms × problems × seeds."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import Any

import msgspec

from bench.arm import AXES, BASELINE, Arm
from bench.cli.execution import (
    add_execution_arguments,
    add_seed_arguments,
    device_name,
    exit_code,
    out_option,
    run_or_find,
    seeds_of,
)
from bench.spec.spec import Spec
from bench.spec.training_options import add_training_arguments
from bench.store.record import decode, decode_result
from bench.store.store import Store
from bench.task import Batchable, Request, Suite, load_suite
from bench.text.errors import BadInput
from bench.text.stdout import kept_for_results


def add_command(commands: Any, suite: Suite) -> None:
    """Add the subcommand of a suite."""
    parser = commands.add_parser(
        suite.name, help=f"train and score: {suite.summary}", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--problem",
        action="append",
        metavar="NAME",
        help="a problem, or one's own (see the README); repeat for several (default: "
        f"{', '.join(suite.default_problems())})",
    )
    what.add_argument(
        "--arm",
        action="append",
        metavar="ARM",
        help="techniques joined by +, for instance irelu+lsuv; repeat for several",
    )
    for axis in AXES:
        what.add_argument(
            f"--{axis}",
            metavar="NAME",
            help=f"choice of {axis} for every --arm: a name or package.module:attribute",
        )
    what.add_argument("--no-baseline", action="store_true", help="do not add the baseline")
    what.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(suite.models)}, or with its size,"
        f" {suite.default_models('quick')[0]}:40x6; repeat for several (default:"
        f" {_default_models(suite)})",
    )
    add_seed_arguments(what)
    how = parser.add_argument_group("how to train")
    how.add_argument(
        "--budget",
        default="quick",
        metavar="NAME",
        help="; ".join(f"{name}: {text}" for name, text in suite.budgets.items())
        + " (default quick)",
    )
    add_training_arguments(how)
    suite.add_arguments(how)
    where = parser.add_argument_group("where to run")
    batchable = isinstance(suite, Batchable)
    add_execution_arguments(where, batchable)
    if not batchable:
        parser.set_defaults(seeds_together="off")
    where.add_argument("--json", action="store_true", help="print a JSON array of records only")


def run(options: argparse.Namespace) -> int:
    """Run the subcommand of a suite; returns the exit code."""
    suite = load_suite(options.command)
    device = device_name(options.device)
    specs = specify(suite, options, device)
    store = Store(options.out)
    with kept_for_results():  # a user's own module may print what it likes
        records, interrupted = run_or_find(
            suite, specs, store, device, options, decode if options.json else decode_result
        )
    if options.json:
        sys.stdout.write(msgspec.json.encode(records).decode() + "\n")
    if interrupted:  # a cluster leaves no time for tables
        return exit_code(records, interrupted, options)
    if records and not options.json:
        from bench.report.tables import print_tables, render_console
        from bench.store.environment import provenance

        now = functools.partial(provenance, suite)
        print_tables(records, suite.columns, now, render_console())
        print(f"{len({r.spec_hash for r in records})} runs in {options.out}; one whole:", end=" ")
        print(f"python -m bench.suite show {records[-1].spec_hash[:8]}{out_option(options.out)}")
    suite.finish(records, store, options)
    return exit_code(records, interrupted, options)


def _default_models(suite: Suite) -> str:
    """The models that run when none is named, and under which budgets if that differs."""
    by_models: dict[str, list[str]] = {}
    for budget in suite.budgets:
        by_models.setdefault(", ".join(suite.default_models(budget)), []).append(budget)
    if len(by_models) == 1:
        return next(iter(by_models))
    return "; ".join(f"{'/'.join(budgets)}: {models}" for models, budgets in by_models.items())


def specify(suite: Suite, options: argparse.Namespace, device: str) -> list[Spec]:
    """The specs that the options of the command line ask for.

    Args:
        suite: Of the command.
        options: Parsed.
        device: Name of the device.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    arms = _arms(options)
    problems = list(dict.fromkeys(options.problem or suite.default_problems()))
    models = list(dict.fromkeys(options.model or suite.default_models(options.budget)))
    specs = [
        suite.specify(
            Request(
                problem=problem,
                model=model,
                arm=arm,
                seed=seed,
                budget=options.budget,
                device=device.partition(":")[0],
                dtype=options.dtype,
                options=options,
            )
        )
        for problem in problems
        for model in models
        for arm in arms
        for seed in seeds_of(options)
    ]
    named: dict[tuple[str, str, str, int], str] = {}
    for spec in specs:
        label = (spec.problem, spec.model, spec.arm, spec.seed)
        if named.setdefault(label, spec.hash) != spec.hash:
            raise BadInput(f"two problems are called {spec.problem!r}: run them one by one")
    return specs


def _arms(options: argparse.Namespace) -> list[Arm]:
    given = [Arm.parse(text) for text in options.arm or []]
    changes = {axis: getattr(options, axis) for axis in AXES if getattr(options, axis) is not None}
    if changes:
        given = given or [Arm()]
        for axis, choice in changes.items():
            given = [arm.override(axis, choice) for arm in given]
    if options.no_baseline and not given:
        raise BadInput(f"--no-baseline leaves nothing to run: name an --arm (or {BASELINE!r})")
    arms = given if options.no_baseline else [Arm(), *given]
    for arm in arms:
        arm.check_own()
    return list(dict.fromkeys(arms))
