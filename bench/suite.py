"""The command line: ``python -m bench.suite {pinn,molecular,speed,list,show}``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from bench.commands import listing, show, speed, train
from bench.errors import BadInput, unknown
from bench.task import load_suite, suite_names


class _Parser(argparse.ArgumentParser):
    """Raises one clear line, with the nearest match, instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else str(action.metavar)
            raise unknown(name.lower(), str(value), action.choices)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        for text in rest:
            if text.startswith("--"):
                raise unknown("option", text.partition("=")[0], self._option_string_actions)
        return found, rest


def parser() -> argparse.ArgumentParser:
    """The command line's parser: a subcommand for each installed suite, and the common ones."""
    root = _Parser(
        prog="python -m bench.suite",
        description="Benchmarks of training techniques for derivative-constrained networks.",
        allow_abbrev=False,
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    suites = [load_suite(name) for name in suite_names()]
    for suite in suites:
        train.add_command(commands, suite)
    speed.add_command(commands, suites)
    listing.add_command(commands)
    show.add_command(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when all runs ended as ``done`` or ``diverged``, 1 when one failed, 2 for bad input, 130
        when interrupted.
    """
    try:
        options = parser().parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BadInput as error:
        print(f"bench: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of stdout has gone (head, less); what was done stands.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
