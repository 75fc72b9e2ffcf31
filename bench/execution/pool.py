"""Worker processes, fed with units of runs, and buried when they die or hang."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from bench.execution.processes import main_module_hidden
from bench.execution.queue import Waiting
from bench.execution.reporter import Reporter
from bench.execution.worker_messages import (
    DECODER,
    Anew,
    Began,
    Ended,
    Full,
    Idle,
    Message,
    Progressed,
)
from bench.files.atomic import CannotWrite
from bench.spec.spec import Spec
from bench.store.record import Record, Status, timestamp
from bench.training.policy import RunPolicy
from bench.training.signals import EXIT_CODE, GRACE_S, SIGNALS, Interruption
from bench.training.time_limit import CALL_OVER

#: What a run whose time is over has left to save its state, before its process is killed.
_OVERTIME_S = 10.0
#: For a process that has nothing more to do.
_ENDING_S = 5.0
#: What the workers have beyond their own grace before they are killed.
_MARGIN_S = 0.3


def _work(*arguments: Any) -> None:
    """The child's side. Imported there: this process needs no torch, which takes seconds."""
    from bench.execution.worker import work

    work(*arguments)
    gc.freeze()  # see `bench.suite.leave`


class _Worker:
    """A process of its own, on one core, that runs one unit at a time.

    Attributes:
        connection: To it.
        busy: Whether it has a unit.
        specs: What of the unit it has not yet sent a record of, by hash.
        running: What is being trained, or was in the same model.
        started: Since when.
        limit_s: How long it may.
        deadline: When its process is killed, by `time.monotonic`; ``None``: never.
    """

    def __init__(self, core: int | None, policy: RunPolicy) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, core, policy), daemon=True
        )
        # A signal before it listens would end it with a traceback. The tracker first: when it
        # starts it unblocks them.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with main_module_hidden():
            self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._kills: str | None = None
        self._until = policy.until
        self.busy = False
        self.specs: dict[str, Spec] = {}
        self.running: list[str] = []
        self.started = timestamp()
        self.limit_s: float | None = None
        self.deadline: float | None = None

    def give(self, unit: Sequence[Spec]) -> None:
        """Start a unit."""
        self.busy, self.specs = True, {spec.hash: spec for spec in unit}
        self._kills, self.started = _kills_for_memory(), timestamp()
        with contextlib.suppress(OSError):  # it has just died, which is heard of
            self.connection.send_bytes(msgspec.json.encode(unit))

    def began(self, message: Began) -> None:
        """Note what it trains and until when."""
        self.running, self.limit_s, self.started = message.runs, message.limit_s, timestamp()
        self.deadline = None
        if message.limit_s is not None:
            self.deadline = time.monotonic() + message.limit_s + _OVERTIME_S

    @property
    def late(self) -> tuple[Status, str] | None:
        """What becomes of the runs that it should have ended by now, if there are any."""
        inside = "inside a step, an evaluation or the building: its process was killed"
        if self.deadline is not None and time.monotonic() > self.deadline:
            return "timeout", f"{self.limit_s:g} s were over {inside}"
        if self.busy and self._until is not None and time.time() > self._until + _OVERTIME_S:
            return "interrupted", f"{CALL_OVER} {inside}"
        return None

    def rest(self) -> None:
        """Note that it has no unit any more."""
        self.busy, self.specs, self.running, self.deadline = False, {}, [], None

    def stop(self) -> None:
        """Ask it to save its runs, if it has any, and end."""
        if not self.busy:
            self.connection.close()
        elif self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        """Wait for a process that has nothing more to do; a thread of a user's may hold it."""
        self.process.join(_ENDING_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def close(self) -> None:
        """Let it end."""
        self.connection.close()
        self.end()

    def how_it_died(self) -> tuple[Status, str]:
        """Of a process that ended within a run."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return "failed", f"its process ended with exit code {code}"
        name = signal.strsignal(-code)
        if -code == signal.SIGKILL and _kills_for_memory() != self._kills:
            return "out-of-memory", "the kernel killed its process because memory was at an end"
        return "failed", f"its process was killed by signal {-code} ({name})"


class Pool:
    """Runs units in worker processes, each pinned to a core.

    A process that dies, or that hangs beyond the time limit, costs its own runs alone: these get a
    record that says so, and another process takes its place.

    Args:
        units: What is run at a time.
        policy: Where and how; `RunPolicy.jobs` at a time.
        reporter: Told of what happens.
    """

    def __init__(
        self, units: Sequence[Sequence[Spec]], policy: RunPolicy, reporter: Reporter
    ) -> None:
        self._policy = policy
        self._reporter = reporter
        self._waiting = Waiting(units)
        self._done: dict[str, Record] = {}
        self._workers: list[_Worker] = []
        self._full: CannotWrite | None = None

    def run(self) -> tuple[dict[str, Record], bool]:
        """The records by hash, and whether there was an interruption.

        Raises:
            CannotWrite: The store takes no more; the other workers have saved what they could.
        """
        cores = self._cores()
        # The workers' grace is shorter: this process ends after them, also where it notices the
        # signal late and is late to see that theirs is over.
        grace_s = None if self._policy.embedded else GRACE_S + 4 * _MARGIN_S
        with Interruption(grace_s) as interruption:
            self._workers = [_Worker(core, self._policy) for core in cores]
            stopped_at: float | None = None
            try:
                while self._waiting or any(worker.busy for worker in self._workers):
                    stop = bool(interruption) or self._full is not None
                    if stop and stopped_at is None:
                        stopped_at = time.monotonic()
                        for worker in self._workers:
                            worker.stop()
                    if stopped_at is not None and (
                        not any(worker.busy for worker in self._workers)
                        or time.monotonic() > stopped_at + GRACE_S + _MARGIN_S
                    ):
                        break
                    if self._policy.over and not any(worker.busy for worker in self._workers):
                        break
                    if not stop and not self._policy.over:
                        self._hand_out(cores)
                    self._listen(stop)
                    self._end_what_hangs()
            except KeyboardInterrupt:
                # The second Ctrl-C: do not wait.
                return self._done, True
            finally:
                for worker in self._workers:
                    # One without a unit has nothing to save, and takes its time to end.
                    if worker.busy or interruption:
                        worker.process.kill()
                    worker.close()
        if self._full is not None:
            raise self._full
        return self._done, bool(interruption)

    def _cores(self) -> list[int | None]:
        """Where each worker runs."""
        jobs = self._policy.jobs
        if self._policy.device != "cpu" or not hasattr(os, "sched_getaffinity"):
            return [None] * jobs
        allowed = sorted(os.sched_getaffinity(0))
        return [allowed[k % len(allowed)] for k in range(jobs)]

    def _hand_out(self, cores: Sequence[int | None]) -> None:
        """A unit to every worker that has none."""
        for k, worker in enumerate(self._workers):
            if worker.busy or (unit := self._next()) is None:
                continue
            if not worker.process.is_alive():
                worker.close()
                worker = self._workers[k] = _Worker(cores[k], self._policy)
            worker.give(unit)

    def _next(self) -> Sequence[Spec] | None:
        """The next unit that can end in time; those before it are dropped."""
        while (unit := self._waiting.next()) is not None:
            if self._policy.in_time(unit):
                return unit
        return None

    def _listen(self, stop: bool) -> None:
        """One message of every worker that has sent some."""
        busy = {worker.connection: worker for worker in self._workers if worker.busy}
        if not busy:
            time.sleep(0.05)
        for connection in wait(list(busy), timeout=0.2):
            worker = busy[connection]  # type: ignore[index]
            try:
                message = DECODER.decode(worker.connection.recv_bytes())
            except (EOFError, OSError):
                self._lose(worker, stop)
            else:
                self._heed(worker, message)
        for worker in self._workers:
            # What it has forked may hold its end of the connection.
            if worker.busy and not worker.process.is_alive() and not worker.connection.poll():
                self._lose(worker, stop)

    def _lose(self, worker: _Worker, stop: bool) -> None:
        """A process that has ended with a unit."""
        worker.end()
        # When asked to stop it leaves what it has not begun.
        if not (stop and worker.process.exitcode in (0, EXIT_CODE)):
            self._bury(worker, worker.how_it_died())
        worker.rest()

    def _heed(self, worker: _Worker, message: Message) -> None:
        match message:
            case Anew(run=run):
                self._reporter.anew(worker.specs[run], message.why)
            case Began():
                worker.began(message)
            case Progressed(run=run):
                self._reporter.progress(
                    worker.specs[run], message.step, message.total, message.loss
                )
            case Ended(record=record):
                del worker.specs[record.spec_hash]
                self._keep(record, message.reused)
            case Idle():
                if message.held:
                    held = [worker.specs[name] for name in message.held]
                    self._reporter.held(held)
                    self._waiting.put_off(held)
                if not message.usable:
                    worker.end()
                worker.rest()
            case Full():
                self._full = CannotWrite(message.errno, message.reason, message.path)
                worker.end()
                worker.rest()

    def _end_what_hangs(self) -> None:
        """Kill the processes whose runs have not ended by their deadline."""
        for worker in self._workers:
            # One that has something to say was not heard: this process may have been stopped.
            if (outcome := worker.late) is not None and not worker.connection.poll():
                worker.process.kill()
                worker.process.join()
                if worker.running:  # else it has not begun
                    self._bury(worker, outcome)
                worker.rest()

    def _bury(self, worker: _Worker, outcome: tuple[Status, str]) -> None:
        """Records of the runs that a process has died in; others of its unit come again."""
        begun = worker.running or list(worker.specs)
        rest = [spec for name, spec in worker.specs.items() if name not in begun]
        for name in begun:
            if (spec := worker.specs.get(name)) is None:
                continue
            claim = self._policy.store.claim(name)
            try:
                if not claim.take():  # another process trains it by now
                    rest.append(spec)
                    continue
                try:
                    self._record_loss(spec, outcome, worker.started, len(worker.running) or 1)
                finally:
                    claim.release()
            except CannotWrite as error:
                self._full = error
                return
        if rest:
            self._waiting.put_off(rest)

    def _record_loss(
        self, spec: Spec, outcome: tuple[Status, str], started: str, together: int
    ) -> None:
        """Of a run that is claimed."""
        from bench.training.run import record_of_loss

        store = self._policy.store
        record = store.read(spec.hash)
        if record is not None and self._policy.is_new(record):
            self._keep(record, reused=True)
            return
        record = record_of_loss(spec, self._policy, outcome, started, together)
        store.write(record)
        self._keep(record, reused=False)

    def _keep(self, record: Record, reused: bool) -> None:
        self._done[record.spec_hash] = record
        self._reporter.finished(record, reused)


def _kills_for_memory() -> str | None:
    """How many processes this machine's kernel has killed for their memory; ``None``: unknown."""
    path = Path("/proc/vmstat")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split()[1] for line in lines if line.startswith("oom_kill ")), None)
