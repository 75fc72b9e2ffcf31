"""A process that runs units of specs for another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

import msgspec
import torch

from bench.execution.claimed_run import Attempts
from bench.execution.worker_messages import Anew, Began, Ended, Full, Idle, Message, Progressed
from bench.files.atomic import CannotWrite
from bench.spec.spec import Spec
from bench.store.record import Record
from bench.training.device import works
from bench.training.policy import RunPolicy
from bench.training.signals import SIGNALS, Interruption


class _Teller:
    """Implements `bench.training.run.Watcher`: tells the other process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, message: Message) -> None:
        """Send it; if the other process is gone, `_stop_with_parent` ends the runs."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(msgspec.json.encode(message))

    def anew(self, spec: Spec, why: str) -> None:
        """A checkpoint is of no use."""
        self.tell(Anew(spec.hash, why))

    def began(self, specs: Sequence[Spec], limit_s: float | None) -> None:
        """Training begins."""
        self.tell(Began([spec.hash for spec in specs], limit_s))

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""
        self.tell(Progressed(spec.hash, step, total, loss))

    def ended(self, record: Record) -> None:
        """A run has ended."""
        self.tell(Ended(record, reused=False))

    def found(self, record: Record) -> None:
        """Another process has finished a run."""
        self.tell(Ended(record, reused=True))


def work(connection: Connection, core: int | None, policy: RunPolicy) -> None:
    """The main function of a worker.

    Args:
        connection: Takes units as JSON, one after another; gives `worker_messages`.
        core: Where to run; ``None``: anywhere.
        policy: Where and how the units are run.
    """
    # A group of its own: Ctrl-C on a terminal reaches the parent, which passes it on once.
    os.setpgrp()
    if core is not None:
        os.sched_setaffinity(0, {core})
    teller = _Teller(connection)
    attempts = Attempts(policy, teller, teller.found)
    # Patient, because a cluster may signal every process, and the parent does too.
    with Interruption(patient=True) as interruption:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        while not interruption:
            try:
                unit = msgspec.json.decode(connection.recv_bytes(), type=list[Spec])
            except (EOFError, OSError):  # the parent is gone or needs no more
                return
            try:
                held = attempts.run(unit, interruption)
            except CannotWrite as error:
                teller.tell(Full(error.errno or 0, str(error.strerror), str(error.filename)))
                return
            usable = works(torch.device(policy.device)) and not interruption
            teller.tell(Idle([spec.hash for spec in held], usable))
            if not usable:
                return


def _stop_with_parent() -> None:
    """If the parent is killed, save the runs as after Ctrl-C and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
