"""How a command ends that has run something: its exit code, and what is to be said of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.execution.find_or_run import without_result
from bench.execution.options import ExecutionOptions
from bench.store.record import Record
from bench.training.signals import EXIT_CODE


def exit_code(records: Sequence[Record], interrupted: bool, options: ExecutionOptions) -> int:
    """0 if all runs ended as ``done`` or ``diverged``, 1 if one did not, 130 when interrupted."""
    if interrupted:
        again = "the same command without --rerun" if options.rerun else "the same command"
        print(f"bench: interrupted; {again} continues", file=sys.stderr)
        return EXIT_CODE
    if counts := without_result(records):
        print(
            f"bench: runs without a result: {counts}; the same command tries again", file=sys.stderr
        )
        return 1
    return 0
