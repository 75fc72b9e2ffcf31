"""What the nightly job calls: measure new commits with asv and say what got worse.

``python -m bench.nightly`` measures the commits since the last night, compares the newest with the
last good one, publishes the pages, and ends with 1 and a list if something got worse. A killed
nightly is started again with the same command and goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.asv_benchmarks.profile import PROFILES
from bench.text.command_line import Parser
from bench.text.errors import BadInput, unknown
from bench.tracking.session import Session

_FILE_NAME = re.compile(r"\w[\w.-]{0,63}")


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    root = Parser(
        prog="python -m bench.nightly",
        description="Measure new commits with asv, compare, publish; 1 if something got worse.",
    )
    root.add_argument(
        "--base",
        metavar="REV",
        help="compare with this commit and not with the last good one; no verdict is kept",
    )
    root.add_argument(
        "--profile", default="nightly", metavar="NAME", help=f"{', '.join(PROFILES)} (default last)"
    )
    root.add_argument(
        "--bench",
        action="append",
        metavar="REGEX",
        help="only these benchmarks, repeat for more; no verdict is kept",
    )
    root.add_argument("--machine", metavar="NAME", help="keep results under it (default: host's)")
    root.add_argument(
        "--commits", type=int, default=5, metavar="N", help="measure at most N new (default 5)"
    )
    root.add_argument(
        "--rounds",
        type=int,
        default=3,
        metavar="N",
        help="times that seem worse are measured again in N rounds, both commits in turn (default"
        " 3)",
    )
    root.add_argument("--require-gpu", action="store_true", help="refuse to run without a GPU")
    where = root.add_mutually_exclusive_group()
    where.add_argument(
        "--results", type=Path, metavar="DIR", help="default .asv/PROFILE/results of the checkout"
    )
    where.add_argument("--branch", metavar="NAME", help="keep results on this branch")
    root.add_argument("--push", action="store_true", help="push the branch to origin")
    root.add_argument(
        "--summary", type=Path, metavar="FILE", help="Markdown (default $GITHUB_STEP_SUMMARY)"
    )
    root.add_argument("--no-publish", action="store_true", help="write no pages")
    root.add_argument("--accept", metavar="REV", help="measure nothing: call this commit good")
    root.add_argument("--reason", metavar="TEXT", help="why it is accepted")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line in the checkout that is the present folder.

    Returns:
        0 where nothing got worse, 1 where something did, 2 for bad input and where commits could
        not be measured, 130 when interrupted.
    """
    try:
        options = parser().parse_args(arguments)
        _check(options)
        with Session(options, Path.cwd().resolve()) as session:
            return session.accept() if options.accept else session.run()
    except BadInput as error:
        print(f"nightly: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nightly: interrupted; the same command continues", file=sys.stderr)
        return 130
    except Exception:  # 1 is a regression, and this is none
        traceback.print_exc()
        return 2


def _check(options: argparse.Namespace) -> None:
    for name in ("base", "branch", "machine"):
        if getattr(options, name) == "":
            raise BadInput(f"--{name} must name something, got ''")
    if options.machine is not None and not _FILE_NAME.fullmatch(options.machine):
        raise BadInput(
            f"--machine {options.machine!r} is no file's name: up to 64 letters, digits, '.', '-'"
            " and '_'"
        )
    summary = options.summary
    if summary is not None and (summary.is_dir() or not summary.parent.is_dir()):
        raise BadInput(f"--summary {str(summary)!r} is no file of a folder that is there")
    if options.profile not in PROFILES:
        raise unknown("profile", options.profile, PROFILES)
    for name in ("commits", "rounds"):
        if getattr(options, name) < 1:
            raise BadInput(f"--{name} must be at least 1, got {getattr(options, name)}")
    for regex in options.bench or []:
        try:
            re.compile(regex)
        except re.error as error:
            raise BadInput(f"--bench {regex!r} is no regular expression: {error}") from error
    if options.push and not options.branch:
        raise BadInput("--push needs --branch NAME, which is what it pushes")
    if bool(options.accept) != bool(options.reason):
        raise BadInput("--accept REV and --reason TEXT need each other")


if __name__ == "__main__":
    sys.exit(main())
