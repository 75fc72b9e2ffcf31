"""``python -m bench.suite speed <suite>``: a training step against the stock library's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import msgspec

from bench.commands.train import DTYPES, device_name
from bench.errors import BadInput
from bench.speed import Speed, SpeedCase, measure
from bench.task import Suite, load_suite

#: Loss and gradients of a fast path are the stock library's to rounding.
TOLERANCE = 1e-10


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
        if getattr(options, name) < 1:
            raise BadInput(f"--{name} must be at least 1, got {getattr(options, name)}")
    suite: Any = load_suite(options.suite)
    name = device_name(options.device)

    import torch

    from bench.device import deterministic

    device = torch.device(name)
    found: list[Speed] = []
    with deterministic(device):
        for case in suite.speed_cases(options, device):
            found.append(measure(case, options.rounds, options.steps, device))
            if not options.json:
                _print(found)
    if options.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0 if all(speed.difference <= TOLERANCE for speed in found) else 1


def _print(found: list[Speed]) -> None:
    """The last row, after the heading if it is the first."""
    width = 34
    if len(found) == 1:
        print(
            f"{'one step, ms':<{width}} {'ours':>8} {'stock':>8} {'stock/ours':>11}"
            f" {'quartiles':>13} {'difference':>11}"
        )
    speed = found[-1]
    quartiles = f"{speed.ratio_low:.2f}–{speed.ratio_high:.2f}"
    print(
        f"{speed.name:<{width}} {speed.ours_ms:>8.2f} {speed.stock_ms:>8.2f} {speed.ratio:>10.2f}×"
        f" {quartiles:>13} {speed.difference:>11.0e}",
        flush=True,
    )
