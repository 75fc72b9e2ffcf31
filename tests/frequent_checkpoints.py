"""The command line with a checkpoint at every block of steps, in its workers too.

Environment variables say how many steps a block has (``BLOCK``), and how many seconds each step
takes longer (``STEP_DELAY``), so that a test can act between two of them.
"""

from __future__ import annotations

import os
import time
from typing import Any, NoReturn

from bench.execution import pool
from bench.suite import leave
from bench.suite import main as suite

#: What starts it, after ``python``.
COMMAND = ("-c", "import frequent_checkpoints; frequent_checkpoints.main()")
_spawned = pool._work


def main() -> NoReturn:
    """Be ``python -m bench.suite``."""
    _patch()
    pool._work = _work
    leave(suite())


def _work(*arguments: Any) -> None:
    """A worker's main function, which it finds under its name in this module."""
    _patch()
    _spawned(*arguments)


def _patch() -> None:
    import bench.training.loop
    from bench.training.optimization import Optimization

    bench.training.loop._CHECKPOINT_SECONDS = 0.0
    bench.training.loop.BLOCK = int(os.environ.get("BLOCK", bench.training.loop.BLOCK))
    step = Optimization.step

    def slow(self: Optimization, losses: Any) -> Any:
        time.sleep(float(os.environ.get("STEP_DELAY", "0")))
        return step(self, losses)

    Optimization.step = slow  # type: ignore[method-assign]
