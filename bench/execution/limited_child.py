"""Calls in a process of their own, with limits on time and memory.

For what must not harm the process that asks: a user's module that is looked at before anything is
planned, a task of paper size that is built to see how long its steps take.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import psutil

from bench.execution.processes import main_module_hidden
from bench.files.untrusted import gib
from bench.text.errors import BadInput, typed
from bench.training.signals import SIGNALS

#: How often the memory of the process is looked at: the kernel hands out some 3 GB a second.
_LOOK_S = 0.02
_CGROUP = Path("/sys/fs/cgroup")


class ChildFailed(Exception):
    """A call had no result. The message says why, for a sentence that ends with "because …"."""


class _Returned(msgspec.Struct, tag=True):
    value: Any


class _Refused(msgspec.Struct, tag=True):
    """`BadInput`."""

    message: str


class _Raised(msgspec.Struct, tag=True):
    message: str


_DECODER = msgspec.json.Decoder(_Returned | _Refused | _Raised)


class LimitedChild:
    """A process that carries out one call after another.

    It is started by the first call, again by the call after one that failed, and ends with the
    context. What the calls print is dropped. It gets no Ctrl-C of a terminal, and ends with its
    parent.

    Args:
        seconds: For each call, the start of the process and its imports included.
        memory: Bytes, resident, of the process and those that it starts; ``None``: half of what is
            available when a call begins.
    """

    def __init__(self, seconds: float, memory: int | None = None) -> None:
        self._seconds = seconds
        self._memory = memory
        self._limit = 0
        self._deadline = 0.0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> LimitedChild:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def call(self, function: str, *arguments: Any) -> Any:
        """What a function returns.

        Args:
            function: ``package.module:function``.
            arguments: JSON values; so is what it returns.

        Raises:
            BadInput: The function raised it.
            ChildFailed: It raised anything else, took longer or more memory than it may, or its
                process died.
        """
        self.begin(function, *arguments)
        return self.result()

    def begin(self, function: str, *arguments: Any) -> None:
        """Begin a call whose `result` is asked for later, as `call` does both."""
        self._limit = self._memory if self._memory is not None else available_memory() // 2
        self._deadline = time.monotonic() + self._seconds
        connection = self._start()
        with contextlib.suppress(OSError):  # it has just died, which `result` finds
            connection.send_bytes(msgspec.json.encode([function, arguments]))

    def result(self) -> Any:
        """What the call returns that was begun; raises as `call` does."""
        done = False
        try:
            assert self._connection is not None
            answer = self._wait(self._connection, self._deadline, self._limit)
            done = True
        finally:
            if not done:
                self._end()
        if isinstance(answer, _Returned):
            return answer.value
        if isinstance(answer, _Refused):
            raise BadInput(answer.message)
        raise ChildFailed(answer.message)

    def _start(self) -> Connection:
        if self._connection is not None:
            return self._connection
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        # A signal before it ignores them would end it with a traceback. The tracker first: when it
        # starts it unblocks them.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with main_module_hidden():
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return self._connection

    def _wait(
        self, connection: Connection, deadline: float, limit: int
    ) -> _Returned | _Refused | _Raised:
        while not connection.poll(_LOOK_S):
            if self._used() > limit:
                raise ChildFailed(f"it needs more than {gib(limit)} GiB of memory")
            if time.monotonic() > deadline:
                raise ChildFailed(f"it takes longer than {self._seconds:g} s")
        try:
            return _DECODER.decode(connection.recv_bytes())
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join()
            code = self._process.exitcode
            if code is None or code >= 0:
                raise ChildFailed(f"its process ended with exit code {code}") from None
            name = signal.strsignal(-code)
            raise ChildFailed(f"its process was killed by signal {-code} ({name})") from None

    def _used(self) -> int:
        """Resident bytes of the process and of those that it has started."""
        assert self._process is not None
        total = 0
        with contextlib.suppress(psutil.Error):  # it is gone, which is heard of
            process = psutil.Process(self._process.pid)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += one.memory_info().rss
        return total

    def _end(self) -> None:
        """Kill it: it holds nothing that must be saved."""
        if self._process is not None:
            with contextlib.suppress(psutil.Error):
                for one in psutil.Process(self._process.pid).children(recursive=True):
                    one.kill()
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def limited_call(
    function: str, arguments: Sequence[Any], *, seconds: float, memory: int | None = None
) -> Any:
    """One call in a process of its own; see `LimitedChild`."""
    with LimitedChild(seconds, memory) as child:
        return child.call(function, *arguments)


def available_memory() -> int:
    """Bytes that can be taken without swapping: of the machine, or of the control group."""
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no limit is the word "max"
        most = int((_CGROUP / "memory.max").read_text())
        free = min(free, most - int((_CGROUP / "memory.current").read_text()))
    return max(free, 0)


def _serve(connection: Connection) -> None:
    """The child's side: carry out calls until the connection is closed."""
    os.setpgrp()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    while True:
        try:
            function, arguments = msgspec.json.decode(connection.recv_bytes())
        except (EOFError, OSError):
            return
        connection.send_bytes(msgspec.json.encode(_answer(function, arguments)))


def _answer(function: str, arguments: Sequence[Any]) -> _Returned | _Refused | _Raised:
    module, _, name = function.partition(":")
    try:
        return _Returned(getattr(import_module(module), name)(*arguments))
    except BadInput as error:
        return _Refused(str(error))
    except MemoryError:
        return _Raised("it needs more memory than there is")
    except BaseException as error:  # a user's code may also exit
        return _Raised(f"it raised {typed(error)}")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
