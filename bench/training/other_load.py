"""How busy other processes keep this machine while something is timed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_STAT = Path("/proc/stat")
#: Fields of the line ``cpu`` in which no process runs: idle, and waiting for a disk.
_IDLE = (3, 4)
#: Those of guests are in the fields of users already.
_FIELDS = 8
#: The kernel counts hundredths of a second.
_SHORTEST = 0.2


class OtherLoad:
    """A context in which the CPU time of others is counted: processes, and a host's (steal).

    Attributes:
        cores: How many cores others kept busy on average; ``None`` where that cannot be known, for
            less than 0.2 s or without ``/proc/stat``.
    """

    cores: float | None = None

    def __enter__(self) -> Self:
        self._start = time.monotonic(), _own(), _busy()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        start, own, busy = self._start
        seconds, now = time.monotonic() - start, _busy()
        if busy is not None and now is not None and seconds >= _SHORTEST:
            self.cores = max(0.0, (now - busy - (_own() - own)) / seconds)


def _own() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _busy() -> float | None:
    """CPU seconds of all processes and of the machine's host since the start."""
    try:
        name, *fields = _STAT.read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    ticks = [int(field) for field in fields[:_FIELDS]]
    if name != "cpu" or not sum(ticks):
        return None
    return sum(n for k, n in enumerate(ticks) if k not in _IDLE) / os.sysconf("SC_CLK_TCK")
