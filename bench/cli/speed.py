"""``python -m bench.suite speed [SUITE]``: training steps against stock libraries'."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bench.execution.options import DTYPES, device_name
from bench.files.atomic import write_atomically
from bench.files.untrusted import require_file
from bench.plugins import load_suite, working_suites
from bench.report.speed_table import disturbance, heading, line, means, notes
from bench.spec.options import Doc, Options, add_flags
from bench.task import Comparable, Suite
from bench.text.errors import BadInput
from bench.training.stock_speed import Speed, measure

#: Rounds, and steps of a round.
_MOST = 1_000_000
#: Of a file of results.
_MOST_BYTES = 64 * 1024**2

Row = tuple[Speed, dict[str, Any]]


class SpeedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How steps are timed, and what is made of the times."""

    rounds: Annotated[int, Doc("how often each is timed, in turn", "N")] = 15
    steps: Annotated[int, Doc("steps of each in a round", "N")] = 5
    device: Annotated[str, Doc("auto, cpu, cuda, cuda:1 …", "NAME")] = "auto"
    dtype: Annotated[str, Doc("of the timed steps", "NAME", DTYPES)] = DTYPES[0]
    figure: Annotated[Path | None, Doc("draw the ratios to stock in an SVG file", "FILE.svg")] = (
        None
    )
    json: Annotated[bool, Doc("print a JSON array only")] = False

    def check(self) -> None:
        """Refuse numbers out of their range.

        Raises:
            BadInput: A number is out of its range, or a figure is no SVG file.
        """
        for name in ("rounds", "steps"):
            number = getattr(self, name)
            if number < 1:
                raise BadInput(f"--{name} must be at least 1, got {number}")
            if number > _MOST:
                raise BadInput(f"--{name} must be at most {_MOST}, got {number}")
        if self.figure is not None and self.figure.suffix != ".svg":
            raise BadInput(f"--figure is an SVG file: give it a name in .svg, not {self.figure}")


_EXAMPLES = """examples:
  %(prog)s pinn
  %(prog)s --json > speed.json
  %(prog)s --load speed.json --figure speed.svg
"""


def add_command(commands: Any, suites: Iterable[Suite]) -> None:
    """Add the subcommand, which has one for each suite that can be compared."""
    parser = commands.add_parser(
        "speed",
        help="time a training step against the stock library's",
        description="Time training steps and the stock libraries', in turn, in one process: of one"
        " suite, or of all.",
        epilog=_EXAMPLES,
    )
    _add_how(parser)
    parser.add_argument(
        "--load",
        type=Path,
        metavar="FILE.json",
        help="time nothing: show what --json has printed before",
    )
    parser.set_defaults(run=run)
    of_suites = parser.add_subparsers(dest="suite", metavar="SUITE")
    for suite in suites:
        if isinstance(suite, Comparable):
            own = of_suites.add_parser(suite.name, help=suite.summary)
            add_flags(own.add_argument_group("what to compare"), suite.speed_options)
            # What was given before the suite's name stands.
            for action in _add_how(own):
                action.default = argparse.SUPPRESS


def _add_how(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    how = parser.add_argument_group("how to time")
    add_flags(how, SpeedOptions)
    return how._group_actions


def run(namespace: argparse.Namespace) -> int:
    """Print the comparison.

    Returns:
        1 if a loss or gradient differs by more than rounding, else 0.
    """
    options = SpeedOptions.read(namespace)
    options.check()
    if namespace.load is None:
        rows = _measured(namespace, options)
    elif namespace.suite is None:
        rows = iter(read_speeds(namespace.load))
    else:
        raise BadInput(f"--load shows what was timed: leave the suite {namespace.suite!r} out")
    found: list[Row] = []
    tuned: bool | None = None
    for speed, labels in rows:
        found.append((speed, labels))
        if options.json:
            continue
        # A suite may have the column and another not.
        if tuned is not (has := speed.tuned_stock_ms is not None):
            tuned = has
            print(heading(tuned))
        print(line(speed, tuned), flush=True)
    speeds = [speed for speed, _ in found]
    if options.json:
        flat = [{**msgspec.structs.asdict(speed), **labels} for speed, labels in found]
        sys.stdout.write(msgspec.json.encode(flat).decode() + "\n")
    else:
        if len(speeds) > 1:
            print(*means(speeds, bool(tuned)), sep="\n")
        print(*notes(speeds), sep="\n")
    if options.figure is not None:
        from bench.report.figures.speed import speed_figure

        write_atomically(options.figure, speed_figure(speeds).encode())
    if warning := disturbance(speeds):
        print(f"bench: warning: {warning}", file=sys.stderr)
    return 0 if all(speed.agrees for speed in speeds) else 1


def _measured(namespace: argparse.Namespace, options: SpeedOptions) -> Iterator[Row]:
    """Each contender of each case, as soon as it is timed."""
    suites: list[tuple[Any, Any]]
    if namespace.suite is None:
        suites = [(s, s.speed_options()) for s in working_suites() if isinstance(s, Comparable)]
    else:
        suite: Any = load_suite(namespace.suite)
        suites = [(suite, suite.speed_options.read(namespace))]
    name = device_name(options.device)

    import torch

    from bench.training.device import deterministic

    device = torch.device(name)
    for suite, own in suites:
        with deterministic(device):
            for case in suite.speed_cases(own, options.dtype, device):
                for speed in measure(case, options.rounds, options.steps, device, suite.name):
                    yield speed, dict(case.labels)


def read_speeds(path: Path) -> list[Row]:
    """What ``--json`` has printed.

    Raises:
        BadInput: The file cannot be read, or is something else.
    """
    require_file(path, _MOST_BYTES)
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
        speeds = msgspec.convert(rows, list[Speed])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not what speed --json prints: {error}") from error
    if not speeds:
        raise BadInput(f"{path} has no comparisons")
    known = set(Speed.__struct_fields__)
    return [
        (speed, {key: value for key, value in row.items() if key not in known})
        for speed, row in zip(speeds, rows, strict=True)
    ]
