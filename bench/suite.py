"""The command line: ``python -m bench.suite {pinn,molecular,study,report,…}``, or ``dcbench …``."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from bench.cli import (
    leaderboard,
    listing,
    rank,
    report,
    reproduce,
    runs,
    show,
    speed,
    study,
    train,
)
from bench.files.atomic import CannotWrite
from bench.plugins import load_suite, suite_names, working_suites
from bench.text.command_line import Parser
from bench.text.errors import BadInput
from bench.training.signals import EXIT_CODE

#: What a file says that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def parser() -> argparse.ArgumentParser:
    """The command line's parser: a subcommand for each suite that works, and the common ones."""
    installed = Path(sys.argv[0]).stem == "dcbench"
    root = Parser(
        prog="dcbench" if installed else "python -m bench.suite",
        description="Benchmarks of training techniques for derivative-constrained networks.",
    )
    root.add_argument("--version", action="version", version=f"dcbench {version('dcbench')}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    suites = list(working_suites())
    for suite in suites:
        train.add_command(commands, suite)
    study.add_command(commands, suites)
    rank.add_command(commands, suites)
    report.add_command(commands, suites)
    leaderboard.add_command(commands, suites)
    runs.add_command(commands)
    show.add_command(commands)
    listing.add_command(commands)
    reproduce.add_command(commands)
    speed.add_command(commands, suites)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when all runs ended as ``done`` or ``diverged``, 1 when one did not or nothing more can be
        written, 2 for bad input, 130 when interrupted.
    """
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by who has started this
            setattr(sys, stream, Path(os.devnull).open("w"))  # noqa: SIM115
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        if words and words[0] in suite_names():
            load_suite(words[0])  # says why a suite that is named does not work
        root = parser()
        options = root.parse_args(words)
        if options.command is None:
            root.print_help()
            return 0
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BadInput as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return EXIT_CODE
    except CannotWrite as error:
        print(f"bench: {error}; the same command continues", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of stdout has gone (head, less); what was done stands.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(f"bench: cannot write the output: {error.strerror}", file=sys.stderr)
        _drop_output()
        return 1


def _drop_output() -> None:
    """Leave nothing that the interpreter would try to write at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(code: int) -> NoReturn:
    """End the process; after an interruption at once, since torch takes itself down slowly."""
    if code == EXIT_CODE:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    # Python's last look for garbage would go through all that was imported, for a second or two.
    gc.freeze()
    sys.exit(code)


def entry() -> NoReturn:
    """What ``dcbench`` runs."""
    leave(main())


if __name__ == "__main__":
    entry()
