"""What is still to be run. Units that other processes are running are put off."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from bench.spec.spec import Spec

_Unit = Sequence[Spec]

#: Until a run that another process was training is looked at again.
_LATER_S = 1.0


class Waiting:
    """Units in order; those that were put off come back after a while.

    Args:
        units: Specs that are run at a time.
    """

    def __init__(self, units: Sequence[_Unit]) -> None:
        self._ready = deque(units)
        self._later: deque[tuple[float, _Unit]] = deque()

    def __bool__(self) -> bool:
        return bool(self._ready or self._later)

    def next(self) -> _Unit | None:
        """The next unit; ``None`` if there is none yet."""
        if self._later and self._later[0][0] <= time.monotonic():
            self._ready.append(self._later.popleft()[1])
        return self._ready.popleft() if self._ready else None

    def put_off(self, unit: _Unit) -> None:
        """Look at this unit again later."""
        self._later.append((time.monotonic() + _LATER_S, unit))
