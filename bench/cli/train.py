"""``python -m bench.suite SUITE``: train and score arms × problems × seeds."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import Any

import msgspec

from bench.cli.ending import exit_code
from bench.execution.find_or_run import find_or_run, trained
from bench.execution.options import ExecutionOptions, device_name
from bench.execution.selection import Axes, Selection
from bench.plugins import load_suite
from bench.spec.options import add_flags
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.store.record import decode, decode_result
from bench.store.store import Store, out_option
from bench.task import Suite
from bench.text.stdout import kept_for_results


def add_command(commands: Any, suite: Suite) -> None:
    """Add the subcommand of a suite."""
    parser = commands.add_parser(
        suite.name,
        help=f"train and score: {suite.summary}",
        description=f"Train and score {suite.summary}: problems × models × arms × seeds.",
        epilog=_EXAMPLES.format(problem=suite.default_problems()[0]),
    )
    parser.set_defaults(run=run)
    models = ", ".join(suite.models)
    notes = {
        "problems": f"default: {', '.join(suite.default_problems())}",
        "models": f"{models}; default: {_default_models(suite)}",
        "budget": "; ".join(f"{name}: {text}" for name, text in suite.budgets.items()),
    }
    what = parser.add_argument_group("what to run")
    add_flags(what, Selection, notes)
    add_flags(what, Axes)
    add_flags(parser.add_argument_group("how to train"), TrainingOptions)
    add_flags(parser.add_argument_group(f"of {suite.name}"), suite.options)
    where = parser.add_argument_group("where to run")
    add_flags(where, ExecutionOptions)
    where.add_argument("--json", action="store_true", help="print a JSON array of records only")


_EXAMPLES = """examples:
  %(prog)s --arm irelu
  %(prog)s --problem {problem} --arm irelu+featurewise --arm featurewise --seeds 5
  %(prog)s --activation mine:Snake --steps 500 --jobs 1
"""


def run(namespace: argparse.Namespace) -> int:
    """Run the subcommand of a suite; returns the exit code."""
    suite = load_suite(namespace.command)
    options, own = ExecutionOptions.read(namespace), suite.options.read(namespace)
    options.check()
    device = device_name(options.device)
    specs = asked(suite, namespace, device)
    with kept_for_results():  # a user's own module may print what it likes
        records, stopped = find_or_run(
            suite, specs, device, options, decode if namespace.json else decode_result
        )
    if namespace.json:
        sys.stdout.write(msgspec.json.encode(records).decode() + "\n")
    if stopped:  # a cluster leaves no time for tables
        return exit_code(records, stopped is not None, options)
    if records and not namespace.json:
        from bench.report.tables import print_tables, render_console
        from bench.store.environment import provenance

        now = functools.partial(provenance, suite)
        print_tables(records, suite.columns, now, render_console())
        command = f"python -m bench.suite show {records[-1].spec_hash[:8]}"
        print(f"{len({r.spec_hash for r in records})} runs in {options.store}. Show one run:")
        print(f"  {command}{out_option(options.store)}")
    suite.finish(trained(records, Store(options.store)), own)
    return exit_code(records, stopped is not None, options)


def asked(suite: Suite, namespace: argparse.Namespace, device: str) -> list[Spec]:
    """The specs that a command line asks for.

    Args:
        suite: The suite of the command.
        namespace: The parsed command line.
        device: Resolved name of the device.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    return Selection.read(namespace).specs(
        Axes.read(namespace),
        suite,
        device,
        ExecutionOptions.read(namespace).dtype,
        TrainingOptions.read(namespace),
        suite.options.read(namespace),
    )


def _default_models(suite: Suite) -> str:
    """The models that run when none is named, and under which budgets if that differs."""
    by_models: dict[str, list[str]] = {}
    for budget in suite.budgets:
        by_models.setdefault(", ".join(suite.default_models(budget)), []).append(budget)
    if len(by_models) == 1:
        return next(iter(by_models))
    return "; ".join(f"{'/'.join(budgets)}: {models}" for models, budgets in by_models.items())
