"""Where runs run: in this process, or in several processes pinned to cores.

A run is held by a lock while it is trained, so that processes that share a store do each once. What
is run at a time is a unit: one spec, or several that differ in their seeds alone and are trained as
one model.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
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
from bench.task import Batchable, load_suite

if TYPE_CHECKING:
    from bench.run import ProgressOf

#: Seeds that are one unit at most: each holds a lock, and so a file, open.
_MOST_TOGETHER = 128

#: Called with a record, and whether it was found instead of made.
Finished = Callable[[Record, bool], None]


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
    together: bool,
    reporter: Reporter,
) -> tuple[list[Record], bool]:
    """The records of all specs, in order; those that are missing are run.

    Specs that mean the same (equal hashes) are run once. A finished run is found again unless
    `rerun`; an interrupted or failed one continues from its checkpoint.

    Args:
        specs: What is wanted.
        store: Where records are found and written.
        device: Name of the device, resolved.
        jobs: How many units run side by side.
        rerun: Repeat finished runs.
        together: Train seeds as one model where the suite can.
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
    units = _units(missing, together)
    jobs = min(jobs, len(units))
    run = _run_here if jobs <= 1 else _run_in_processes
    done, interrupted = run(units, store, device, max(jobs, 1), rerun, reporter)
    found.update(done)
    records = [found[spec.hash].labelled(spec) for spec in specs if spec.hash in found]
    return records, interrupted


def _units(specs: Sequence[Spec], together: bool) -> list[list[Spec]]:
    """What is run at a time, in the order of the first spec of each."""
    if not together:
        return [[spec] for spec in specs]
    alike: dict[str, list[Spec]] = {}
    for spec in specs:
        alike.setdefault(msgspec.structs.replace(spec, seed=0).hash, []).append(spec)
    units: list[list[Spec]] = []
    for seeds in alike.values():
        suite = load_suite(seeds[0].suite)
        batched = len(seeds) > 1 and isinstance(suite, Batchable) and suite.together(seeds)
        size = _MOST_TOGETHER if batched else 1
        units.extend(map(list, itertools.batched(seeds, size)))
    return units


def _obtain(
    unit: Sequence[Spec],
    store: Store,
    device: str,
    jobs: int,
    rerun: bool,
    progress: ProgressOf,
    finished: Finished,
    interruption: Interruption,
) -> None:
    """Run the specs of a unit, but those whose records another process has written meanwhile."""
    import torch

    from bench.run import execute_together

    with contextlib.ExitStack() as locks:
        # In one order everywhere, so that no two processes wait for each other.
        for spec_hash in sorted(spec.hash for spec in unit):
            locks.enter_context(store.lock(spec_hash))
        missing: list[Spec] = []
        for spec in unit:
            record = None if rerun else store.read(spec.hash)
            if record is not None and record.status in FINAL:
                finished(record, True)
                continue
            if rerun:
                store.checkpoint(spec.hash).unlink(missing_ok=True)
            missing.append(spec)
        if missing:
            execute_together(
                missing,
                store,
                torch.device(device),
                jobs,
                progress,
                lambda record: finished(record, False),
                interruption,
            )


def _run_here(
    units: Sequence[Sequence[Spec]],
    store: Store,
    device: str,
    jobs: int,
    rerun: bool,
    reporter: Reporter,
) -> tuple[dict[str, Record], bool]:
    done: dict[str, Record] = {}

    def finished(record: Record, reused: bool) -> None:
        done[record.spec_hash] = record
        reporter.finished(record, reused)

    with Interruption() as interruption:
        for unit in units:
            try:
                _obtain(unit, store, device, jobs, rerun, reporter.progress, finished, interruption)
            except KeyboardInterrupt:
                return done, True
            if interruption:
                return done, True
    return done, False


#: Held back until a worker is ready for them.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Worker:
    """A process of its own, on one core, that runs one unit at a time."""

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
        #: What it has not yet sent a record of, by hash.
        self.specs: dict[str, Spec] = {}

    def give(self, unit: Sequence[Spec]) -> None:
        """Start a unit."""
        self.specs = {spec.hash: spec for spec in unit}
        self.connection.send_bytes(msgspec.json.encode(unit))

    def interrupt(self) -> None:
        """Ask it to save its runs and stop."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Let it end."""
        self.connection.close()
        self.process.join()


def _run_in_processes(
    units: Sequence[Sequence[Spec]],
    store: Store,
    device: str,
    jobs: int,
    rerun: bool,
    reporter: Reporter,
) -> tuple[dict[str, Record], bool]:
    cores: list[int | None] = [None] * jobs
    if hasattr(os, "sched_getaffinity") and device == "cpu":
        allowed = sorted(os.sched_getaffinity(0))
        cores = [allowed[k % len(allowed)] for k in range(jobs)]
    waiting = list(reversed(units))
    done: dict[str, Record] = {}
    told = False
    arguments = (store.root, device, jobs, rerun)
    with Interruption() as interruption:
        workers = [_Worker(core, arguments) for core in cores]
        try:
            for worker in workers:
                worker.give(waiting.pop())
            while any(worker.specs for worker in workers):
                if interruption and not told:
                    told = True
                    for worker in workers:
                        worker.interrupt()
                busy = {worker.connection: worker for worker in workers if worker.specs}
                for connection in wait(list(busy), timeout=0.2):
                    k = workers.index(busy[connection])  # type: ignore[index]
                    for record in _receive(workers[k], store, reporter, told):
                        done[record.spec_hash] = record
                    if workers[k].specs or not waiting or interruption:
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


def _receive(worker: _Worker, store: Store, reporter: Reporter, told: bool) -> list[Record]:
    """One message of a worker; the records of the runs that have ended by it."""
    try:
        kind, *content = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        left, worker.specs = worker.specs, {}
        if told and worker.process.exitcode == 0:  # before it began these
            return []
        records = [_died(spec, store, worker.process.exitcode) for spec in left.values()]
        for record in records:
            reporter.finished(record, reused=False)
        return records
    if kind == "progress":
        spec_hash, *what = content
        reporter.progress(worker.specs[spec_hash], *what)
        return []
    record = msgspec.json.decode(content[0], type=Record)
    del worker.specs[record.spec_hash]
    reporter.finished(record, reused=content[1])
    return [record]


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

    def tell(*message: Any) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: `_stop_with_parent` ends the runs
            connection.send(message)

    def progress(spec: Spec, *what: Any) -> None:
        tell("progress", spec.hash, *what)

    def finished(record: Record, reused: bool) -> None:
        tell("record", msgspec.json.encode(record), reused)

    with Interruption() as interruption:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        while not interruption:
            try:
                unit = msgspec.json.decode(connection.recv_bytes(), type=list[Spec])
            except (EOFError, OSError):  # the parent is gone or needs no more
                return
            _obtain(unit, store, device, jobs, rerun, progress, finished, interruption)


def _stop_with_parent() -> None:
    """If the parent is killed, save the run as after Ctrl-C and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
