"""What the nightly job calls: measure new commits with asv and say what got worse.

``python -m bench.nightly`` measures the commits since the last night, compares the newest with the
last good one and publishes the pages. If something got worse, it lists that and ends with 1. The
same command continues a nightly that was killed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.asv_benchmarks.profile import PROFILES
from bench.spec.options import add_flags
from bench.text.command_line import Parser
from bench.text.errors import BadInput
from bench.tracking.options import (
    AcceptanceOptions,
    MeasuringOptions,
    PublishingOptions,
    ResultsOptions,
)
from bench.tracking.session import session


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    root = Parser(
        prog="python -m bench.nightly",
        description="Measure new commits with asv, compare, publish; 1 if something got worse.",
        epilog=_EXAMPLES,
    )
    what = root.add_argument_group("what to measure")
    add_flags(what, MeasuringOptions, {"profile": ", ".join(PROFILES)})
    where = root.add_argument_group("where to keep results").add_mutually_exclusive_group()
    add_flags(where, ResultsOptions)
    add_flags(root.add_argument_group("what to do with them"), PublishingOptions)
    add_flags(root.add_argument_group("instead of measuring"), AcceptanceOptions)
    return root


_EXAMPLES = """examples:
  %(prog)s
  %(prog)s --branch asv-results --push --require-gpu
  %(prog)s --base HEAD~1 --profile fast --no-publish
  %(prog)s --base HEAD~1 --bench '^steps' --bench 'track_L2RE'
  %(prog)s --accept HEAD --reason 'a harder problem'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line in the checkout that is the present folder.

    Returns:
        0 where nothing got worse, 1 where something did, 2 for bad input and where commits could
        not be measured, 130 when interrupted.
    """
    try:
        return _run(parser().parse_args(arguments))
    except BadInput as error:
        print(f"nightly: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nightly: interrupted; the same command continues", file=sys.stderr)
        return 130
    except Exception:  # 1 is a regression, and this is none
        traceback.print_exc()
        return 2


def _run(namespace: argparse.Namespace) -> int:
    what, where = MeasuringOptions.read(namespace), ResultsOptions.read(namespace)
    publishing = PublishingOptions.read(namespace)
    acceptance = AcceptanceOptions.read(namespace)
    what.check(PROFILES)
    where.check()
    publishing.check(where)
    acceptance.check()
    with session(what, where, publishing, Path.cwd().resolve()) as night:
        if acceptance.accept and acceptance.reason:
            return night.accept(acceptance.accept, acceptance.reason)
        return night.run()


if __name__ == "__main__":
    sys.exit(main())
