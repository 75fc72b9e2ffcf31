"""``python -m bench.suite speed <suite>``: a training step against the stock library's."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import msgspec

from bench.cli.execution import DTYPES, device_name
from bench.task import Suite, load_suite
from bench.text.errors import BadInput
from bench.training.stock_speed import TOLERANCE, Speed, SpeedCase, measure

#: Widths of the table's first columns.
_NAME, _PATH = 38, 18
#: Rounds, and steps of a round.
_MOST = 1_000_000


@runtime_checkable
class ComparableSuite(Protocol):
    """A suite whose step can be compared with a stock library's."""

    def add_speed_arguments(self, parser: argparse._ActionsContainer) -> None:
        """Add the suite's own options of the comparison."""

    def speed_cases(self, options: argparse.Namespace, device: Any) -> Iterable[SpeedCase]:
        """What is compared, built one after the other.

        Raises:
            BadInput: An option is wrong.
        """


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand, with one of its own for each suite that can be compared."""
    parser = commands.add_parser(
        "speed", help="time a training step against the stock library's", allow_abbrev=False
    )
    of_suites = parser.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for suite in suites:
        if isinstance(suite, ComparableSuite):
            own = of_suites.add_parser(suite.name, help=suite.summary, allow_abbrev=False)
            suite.add_speed_arguments(own)
            own.add_argument("--rounds", type=int, default=15, metavar="N", help="default 15")
            own.add_argument(
                "--steps", type=int, default=5, metavar="N", help="of each in a round (default 5)"
            )
            own.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda …")
            own.add_argument("--dtype", default=DTYPES[0], choices=DTYPES)
            own.add_argument("--json", action="store_true", help="print a JSON array only")
            own.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the comparison.

    Returns:
        1 if a loss or gradient differs by more than `TOLERANCE`, else 0.
    """
    for name in ("rounds", "steps"):
        number = getattr(options, name)
        if number < 1:
            raise BadInput(f"--{name} must be at least 1, got {number}")
        if number > _MOST:
            raise BadInput(f"--{name} must be at most {_MOST}, got {number}")
    suite: Any = load_suite(options.suite)
    name = device_name(options.device)

    import torch

    from bench.training.device import deterministic

    device = torch.device(name)
    found: list[dict[str, Any]] = []
    with deterministic(device):
        for case in suite.speed_cases(options, device):
            for speed in measure(case, options.rounds, options.steps, device):
                found.append({**msgspec.structs.asdict(speed), **case.labels})
                if not options.json:
                    _print(speed, heading=len(found) == 1)
    if options.json:
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
