"""``python -m bench.suite rank``: tune arms alike, score them, and say where a candidate ranks."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from typing import Any

from bench.cli.suite_options import hint_of
from bench.execution.options import ExecutionOptions, device_name
from bench.ranking.options import RankOptions
from bench.spec.options import add_flags
from bench.spec.training_options import TrainingOptions
from bench.store.store import Store, out_option
from bench.task import Suite
from bench.training.signals import EXIT_CODE


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "rank",
        help="rank techniques overnight, each at its own tuned rate",
        description="Tune every arm alike on seeds that are not scored, score all at their tuned"
        " settings, and say where the candidates rank. The same command continues; more hours add"
        " seeds.",
        epilog=_EXAMPLES,
    )
    parser.hint = hint_of(suites)
    add_flags(parser.add_argument_group("what to rank"), RankOptions)
    add_flags(parser.add_argument_group("how to train"), TrainingOptions)
    where = parser.add_argument_group("where to run")
    add_flags(where, ExecutionOptions)
    where.add_argument(
        "--dry-run", action="store_true", help="say what would be run and how long it takes"
    )
    parser.set_defaults(run=run)


_EXAMPLES = """examples:
  %(prog)s --candidate activation=mine:Snake --hours 8
  %(prog)s --candidate mine.toml --suite pinn --against irelu+featurewise --dry-run
"""


def run(namespace: argparse.Namespace) -> int:
    """Rank on each suite; returns the exit code."""
    begun = time.time()
    given, where = RankOptions.read(namespace), ExecutionOptions.read(namespace)
    training = TrainingOptions.read(namespace)
    from bench.ranking.night import clock, describe, go_on, without_result_in
    from bench.ranking.planning import plan_sessions

    sessions = plan_sessions(given, training, where, _tell)
    for session in sessions:
        for line in describe(session):
            _tell(line)
    remaining_s = sum(session.remaining_s() for session in sessions)
    _tell(
        f"all ends about {clock(remaining_s)}; what time is left goes into further seeds, up to"
        f" {given.seeds}, until {clock(begun + given.seconds - time.time())}"
    )
    if namespace.dry_run:
        return 0
    rankings, stopped = go_on(sessions, device_name(where.device), where, begun + given.seconds)
    store = Store(where.store)
    if stopped == "signal":
        _tell("interrupted; the same command continues. The answer so far:")
        for ranking in rankings:
            _tell(f"  python -m bench.suite report --ranking {ranking.key}{out_option(store.root)}")
        return EXIT_CODE
    if stopped == "time":
        _tell("the time is over; the same command, with more --hours, continues")
    from bench.report.ranking.answer import print_ranking

    for ranking in rankings:
        print_ranking(ranking, store)
    failed = [counts for session in sessions if (counts := without_result_in(session))]
    if failed:
        _tell(f"runs without a result: {', '.join(failed)}; the same command tries again")
    refused = [session for session in sessions if session.refused is not None]
    for session in refused:
        _tell(f"{session.planned.runs.suite.name} has no answer: {session.refused}")
    return 2 if refused else 1 if failed else 0


def _tell(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
