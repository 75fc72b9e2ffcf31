"""``python -m bench.suite speed SUITE``: a training step against the stock library's."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from bench.execution.options import DTYPES, device_name
from bench.plugins import load_suite
from bench.spec.options import Doc, Options, add_flags
from bench.task import Comparable, Suite
from bench.text.errors import BadInput
from bench.training.stock_speed import TOLERANCE, Speed, measure

#: Widths of the table's first columns.
_NAME, _PATH = 38, 18
#: Rounds, and steps of a round.
_MOST = 1_000_000


class SpeedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How steps are timed."""

    rounds: Annotated[int, Doc("how often each is timed, in turn", "N")] = 15
    steps: Annotated[int, Doc("steps of each in a round", "N")] = 5
    device: Annotated[str, Doc("auto, cpu, cuda, cuda:1 …", "NAME")] = "auto"
    dtype: Annotated[str, Doc("of the timed steps", "NAME", DTYPES)] = DTYPES[0]

    def check(self) -> None:
        """Refuse numbers out of their range.

        Raises:
            BadInput: One is.
        """
        for name in ("rounds", "steps"):
            number = getattr(self, name)
            if number < 1:
                raise BadInput(f"--{name} must be at least 1, got {number}")
            if number > _MOST:
                raise BadInput(f"--{name} must be at most {_MOST}, got {number}")


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand, with one of its own for each suite that can be compared."""
    parser = commands.add_parser(
        "speed",
        help="time a training step against the stock library's",
        description="Time a training step and the stock library's, in turn, in one process.",
    )
    of_suites = parser.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for suite in suites:
        if isinstance(suite, Comparable):
            own = of_suites.add_parser(suite.name, help=suite.summary)
            add_flags(own.add_argument_group("what to compare"), suite.speed_options)
            how = own.add_argument_group("how to time")
            add_flags(how, SpeedOptions)
            how.add_argument("--json", action="store_true", help="print a JSON array only")
            own.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Print the comparison.

    Returns:
        1 if a loss or gradient differs by more than `TOLERANCE`, else 0.
    """
    options = SpeedOptions.read(namespace)
    options.check()
    suite: Any = load_suite(namespace.suite)
    own = suite.speed_options.read(namespace)
    name = device_name(options.device)

    import torch

    from bench.training.device import deterministic

    device = torch.device(name)
    found: list[dict[str, Any]] = []
    with deterministic(device):
        for case in suite.speed_cases(own, options.dtype, device):
            for speed in measure(case, options.rounds, options.steps, device):
                found.append({**msgspec.structs.asdict(speed), **case.labels})
                if not namespace.json:
                    _print(speed, heading=len(found) == 1)
    if namespace.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    elif len(found) > 1:
        _print_means(found)
    return 0 if all(row["difference"] <= TOLERANCE for row in found) else 1


def _print(speed: Speed, heading: bool) -> None:
    if heading:
        print(
            f"{'one step, ms':<{_NAME}} {'path':<{_PATH}} {'ours':>8} {'stock':>8} {'floor':>7}"
            f" {'stock/ours':>11} {'quartiles':>13} {'set-up':>7} {'even after':>11}"
            f" {'difference':>11}"
        )
    quartiles = f"{speed.ratio_low:.2f}–{speed.ratio_high:.2f}"
    floor = "" if speed.floor_ms is None else f"{speed.floor_ms:.2f}"
    setup = f"{speed.setup_s:.0f} s" if speed.setup_s else ""
    even = f"{speed.break_even_steps} steps" if speed.break_even_steps else ""
    print(
        f"{speed.name:<{_NAME}} {speed.path:<{_PATH}} {speed.ours_ms:>8.2f} {speed.stock_ms:>8.2f}"
        f" {floor:>7} {speed.ratio:>10.2f}× {quartiles:>13} {setup:>7} {even:>11}"
        f" {speed.difference:>11.0e}",
        flush=True,
    )


def _print_means(found: list[dict[str, Any]]) -> None:
    """The geometric mean of the ratios of each path."""
    by_path: dict[str, list[float]] = {}
    for row in found:
        by_path.setdefault(row["path"], []).append(row["ratio"])
    for path, ratios in by_path.items():
        mean = statistics.geometric_mean(ratios)
        print(f"{f'geometric mean of {len(ratios)}':<{_NAME}} {path:<{_PATH}} {mean:>36.2f}×")
