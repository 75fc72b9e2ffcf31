"""A time limit that is looked at between steps."""

from __future__ import annotations

import time

from bench.store.record import Status


class Deadline:
    """True once the time is over. The time begins now.

    Args:
        seconds: The limit; ``None``: no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._start = time.monotonic()

    def __bool__(self) -> bool:
        return self._seconds is not None and time.monotonic() - self._start >= self._seconds

    def outcome(self, step: int) -> tuple[Status, str]:
        """The status and reason of a run that this stops after so many steps."""
        return "timeout", f"{self._seconds:g} s were over at step {step}"
