"""Time limits that are looked at between steps."""

from __future__ import annotations

import time

from bench.store.record import Status

#: Why a run is interrupted by the end of its call's time.
CALL_OVER = "the time of the call was over"


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


class CallEnd:
    """True once the time of a whole call is over.

    Args:
        until: When, by `time.time`; ``None``: never.
    """

    def __init__(self, until: float | None) -> None:
        self._until = until

    def __bool__(self) -> bool:
        return self._until is not None and time.time() >= self._until

    def outcome(self, step: int) -> tuple[Status, str]:
        """The status and reason of a run that this stops after so many steps."""
        return "interrupted", f"{CALL_OVER} at step {step}"
