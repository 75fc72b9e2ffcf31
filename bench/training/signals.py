"""Signals as a flag that is looked at between steps, and a limit on how long that may take."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

from bench.store.record import Status

#: The exit code after an interruption.
EXIT_CODE = 130
#: From the first signal to the end of the process, at most: a cluster that wants its node back soon
#: sends one that cannot be caught.
GRACE_S = 2.5

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first SIGINT or SIGTERM sets a flag; the second acts as usual.

    So no step is cut in the middle, and the saved state is one that an uninterrupted run passes
    through. Where a step, an evaluation or the building takes longer than the grace period, the
    process ends in the middle of it, and the last checkpoint stands. Outside the main thread the
    flag is never set.

    Args:
        grace_s: Seconds for which the body may go on; ``None``: as long as it likes, until a second
            signal.
        patient: Ignore signals after the first, in a process that its parent ends.
    """

    def __init__(self, grace_s: float | None = GRACE_S, patient: bool = False) -> None:
        self.signal: int | None = None
        self._grace_s = grace_s
        self._patient = patient
        self._before: dict[int, Any] = {}
        self._wakeup = -1
        self._end: socket.socket | None = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
            if self._grace_s is None:
                return self
            theirs, self._end = socket.socketpair()
            self._end.setblocking(False)
            # Written to by the system's own handler: a main thread that does not come back from a
            # library's code runs no handler of Python's.
            self._wakeup = signal.set_wakeup_fd(self._end.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(theirs, self._grace_s), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self._end is not None:
            signal.set_wakeup_fd(self._wakeup)
            self._end.close()  # which ends the thread
            self._end = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def outcome(self, step: int) -> tuple[Status, str]:
        """The status and reason of a run that this stops after so many steps."""
        return "interrupted", f"signal {self.signal} at step {step}"

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = self.signal or number
        if not self._patient:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _watch(self, end: socket.socket, grace_s: float) -> None:
        """End the process when the grace period is over, unless the body has been left by then."""
        with end:
            received = b"-"
            while received and not {*received} & {*SIGNALS}:
                received = end.recv(16)
            deadline = time.monotonic() + grace_s
            while received:
                end.settimeout(max(deadline - time.monotonic(), 1e-3))
                try:
                    received = end.recv(16)
                except TimeoutError:
                    break
            else:
                return
        with contextlib.suppress(OSError):
            os.write(
                2, b"bench: interrupted inside a long step: the last checkpoint, if any, stands\n"
            )
        os._exit(EXIT_CODE)


def _forget_parent() -> None:
    """In a forked child, forget the parent's handling of signals."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
