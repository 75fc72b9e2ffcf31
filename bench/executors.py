"""Where runs run: in this process, or in several processes pinned to cores.

A run is held by a lock while it is trained, so that processes that share a store do each once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bench.interruption import Interruption
from bench.record import FINAL, Record
from bench.spec import Spec
from bench.store import Store

if TYPE_CHECKING:
    from bench.trainer import Progress


class Reporter(Protocol):
    """Told of what happens to the runs."""

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""


def run_all(
    specs: Sequence[Spec],
    store: Store,
    device: str,
    jobs: int,
    rerun: bool,
    reporter: Reporter,
) -> tuple[list[Record], bool]:
    """The records of all specs, in order; those that are missing are run.

    Specs that mean the same (equal hashes) are run once. A finished run is found again unless
    `rerun`; an interrupted or failed one continues from its checkpoint.

    Args:
        specs: What is wanted.
        store: Where records are found and written.
        device: Name of the device, resolved.
        jobs: How many runs run side by side.
        rerun: Repeat finished runs.
        reporter: Told of the progress.

    Returns:
        The records, without those that an interruption prevented, and whether there was one.
    """
    wanted = {spec.hash: spec for spec in reversed(specs)}
    found: dict[str, Record] = {}
    missing: list[Spec] = []
    for spec_hash in dict.fromkeys(spec.hash for spec in specs):
        record = None if rerun else store.read(spec_hash)
        if record is not None and record.status in FINAL:
            found[spec_hash] = record
            reporter.finished(record, reused=True)
        else:
            missing.append(wanted[spec_hash])
    jobs = min(jobs, len(missing))
    run = _run_here if jobs <= 1 else _run_in_processes
    done, interrupted = run(missing, store, device, max(jobs, 1), rerun, reporter)
    found.update(done)
    records = [found[spec.hash].labelled(spec) for spec in specs if spec.hash in found]
    return records, interrupted


def _obtain(
    spec: Spec,
    store: Store,
    device: str,
    jobs: int,
    rerun: bool,
    progress: Progress,
    interruption: Interruption,
) -> tuple[Record, bool]:
    """The record of one spec, and whether another process had written it meanwhile."""
    import torch

    from bench.run import execute

    with store.lock(spec.hash):
        record = None if rerun else store.read(spec.hash)
        if record is not None and record.status in FINAL:
            return record, True
        if rerun:
            store.checkpoint(spec.hash).unlink(missing_ok=True)
        return execute(spec, store, torch.device(device), jobs, progress, interruption), False


def _run_here(
    specs: Sequence[Spec], store: Store, device: str, jobs: int, rerun: bool, reporter: Reporter
) -> tuple[dict[str, Record], bool]:
    done: dict[str, Record] = {}
    with Interruption() as interruption:
        for spec in specs:

            def progress(step: int, total: int, loss: float, spec: Spec = spec) -> None:
                reporter.progress(spec, step, total, loss)

            try:
                record, reused = _obtain(spec, store, device, jobs, rerun, progress, interruption)
            except KeyboardInterrupt:
                return done, True
            done[spec.hash] = record
            reporter.finished(record, reused)
            if interruption:
                return done, True
    return done, False


#: Held back until a worker is ready for them.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Worker:
    """A process of its own, on one core, that runs one spec at a time."""

    def __init__(self, core: int | None, arguments: tuple[Path, str, int, bool]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, core, *arguments), daemon=True
        )
        # A signal before `_work` listens would end it with a traceback. The tracker first: when it
        # starts it unblocks them.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.spec: Spec | None = None

    def give(self, spec: Spec) -> None:
        """Start a spec."""
        self.spec = spec
        self.connection.send_bytes(msgspec.json.encode(spec))

    def interrupt(self) -> None:
        """Ask it to save its run and stop."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Let it end."""
        self.connection.close()
        self.process.join()


def _run_in_processes(
    specs: Sequence[Spec], store: Store, device: str, jobs: int, rerun: bool, reporter: Reporter
) -> tuple[dict[str, Record], bool]:
    cores: list[int | None] = [None] * jobs
    if hasattr(os, "sched_getaffinity") and device == "cpu":
        allowed = sorted(os.sched_getaffinity(0))
        cores = [allowed[k % len(allowed)] for k in range(jobs)]
    waiting = list(reversed(specs))
    done: dict[str, Record] = {}
    told = False
    arguments = (store.root, device, jobs, rerun)
    with Interruption() as interruption:
        workers = [_Worker(core, arguments) for core in cores]
        try:
            for worker in workers:
                worker.give(waiting.pop())
            while any(worker.spec for worker in workers):
                if interruption and not told:
                    told = True
                    for worker in workers:
                        worker.interrupt()
                busy = {worker.connection: worker for worker in workers if worker.spec}
                for connection in wait(list(busy), timeout=0.2):
                    k = workers.index(busy[connection])  # type: ignore[index]
                    record = _receive(workers[k], store, reporter, told)
                    if record is None:
                        continue
                    done[record.spec_hash] = record
                    workers[k].spec = None
                    if not waiting or interruption:
                        continue
                    if not workers[k].process.is_alive():
                        workers[k].close()
                        workers[k] = _Worker(cores[k], arguments)
                    workers[k].give(waiting.pop())
        except KeyboardInterrupt:
            # The second Ctrl-C: do not wait.
            for worker in workers:
                worker.process.kill()
            return done, True
        finally:
            for worker in workers:
                worker.close()
    return done, bool(interruption)


def _receive(worker: _Worker, store: Store, reporter: Reporter, told: bool) -> Record | None:
    """One message of a worker; the record if its run has ended."""
    spec = worker.spec
    assert spec is not None
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        if told and worker.process.exitcode == 0:  # before it began the run
            worker.spec = None
            return None
        record = _died(spec, store, worker.process.exitcode)
        reporter.finished(record, reused=False)
        return record
    if message[0] == "progress":
        reporter.progress(spec, *message[1:])
        return None
    record = msgspec.json.decode(message[1], type=Record)
    reporter.finished(record, reused=message[2])
    return record


def _died(spec: Spec, store: Store, exitcode: int | None) -> Record:
    """The record of a run whose process ended without one (killed, out of memory, crashed)."""
    from bench.run import record_of_failure

    record = record_of_failure(spec, store, f"its process ended with exit code {exitcode}")
    store.write(record)
    return record


def _work(
    connection: Connection, core: int | None, root: Path, device: str, jobs: int, rerun: bool
) -> None:
    """The main function of a worker."""
    # A group of its own: Ctrl-C on a terminal reaches the parent, which passes it on once.
    os.setpgrp()
    if core is not None:
        os.sched_setaffinity(0, {core})
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    store = Store(root)

    def progress(*what: Any) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: `_stop_with_parent` ends the run
            connection.send(("progress", *what))

    with Interruption() as interruption:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        while not interruption:
            try:
                spec = msgspec.json.decode(connection.recv_bytes(), type=Spec)
                record, reused = _obtain(spec, store, device, jobs, rerun, progress, interruption)
                connection.send(("record", msgspec.json.encode(record), reused))
            except (EOFError, OSError):  # the parent is gone or needs no more
                return


def _stop_with_parent() -> None:
    """If the parent is killed, save the run as after Ctrl-C and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
