"""A time limit that is looked at between steps."""

from __future__ import annotations

import time

from bench.store.record import Status


class Deadline:
    """True once the time is over; counts from now.

    Args:
        seconds: How long; ``None``: for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._start = time.monotonic()

    def __bool__(self) -> bool:
        return self._seconds is not None and time.monotonic() - self._start >= self._seconds

    def outcome(self, step: int) -> tuple[Status, str]:
        """How a run ends that is stopped by it after so many steps."""
        return "timeout", f"{self._seconds:g} s were over at step {step}"
