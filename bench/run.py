"""One run, from its spec to its record."""

from __future__ import annotations

import datetime
import time
import traceback
from typing import Any

import torch

from bench import checkpoint
from bench.device import deterministic, peak_memory_mb, reset_peak_memory
from bench.environment import environment
from bench.interruption import Interruption
from bench.record import FINAL, SCHEMA, Record, Status
from bench.spec import Spec
from bench.store import Store
from bench.streams import global_streams
from bench.task import Task, load_suite
from bench.trainer import Log, Progress, Trainer, examine


def execute(
    spec: Spec,
    store: Store,
    device: torch.device,
    jobs: int,
    progress: Progress,
    interruption: Interruption,
) -> Record:
    """Train and score a spec, continuing from its checkpoint if there is one.

    The record is written to the store before it is returned. An exception of the suite becomes a
    record with the status ``failed`` and the reason.

    Args:
        spec: What to run.
        store: Where the checkpoint, the weights and the record go.
        device: Where to train.
        jobs: How many runs run side by side, for the record.
        progress: Told of the progress.
        interruption: Looked at between steps.
    """
    started = _now()
    run = _Run(spec, store, device, environment(load_suite(spec.suite), str(device), jobs))
    with deterministic(device), global_streams(spec.seed, device):
        try:
            run.train(interruption, progress)
        except KeyboardInterrupt:
            run.status, run.reason = "interrupted", "interrupted before its state was saved"
        except Exception as error:  # whatever a suite or a user's technique raises is a result
            run.status = "failed"
            run.reason = _reason(error)
    record = run.record(started)
    store.write(record)
    if record.status in FINAL:
        store.checkpoint(spec.hash).unlink(missing_ok=True)
    return record


def record_of_failure(spec: Spec, store: Store, reason: str) -> Record:
    """The record of a run that could not leave one itself."""
    run = _Run(spec, store, torch.device("cpu"), environment(load_suite(spec.suite), "cpu", 1))
    run.reason = reason
    return run.record(_now())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _reason(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"


class _Run:
    """The state of one execution."""

    def __init__(
        self, spec: Spec, store: Store, device: torch.device, where: dict[str, Any]
    ) -> None:
        self.spec = spec
        self.store = store
        self.device = device
        self.environment = where
        self.status: Status = "failed"
        self.reason: str | None = None
        self.log = Log()
        self.build_s = 0.0
        self.task: Task | None = None
        self.measurements: dict[str, Any] = {}
        self.warnings: list[str] = []

    @property
    def _made_by(self) -> str:
        """The code and the versions, in one string."""
        return f"{self.environment['code']} {self.environment['versions']}"

    def train(self, interruption: Interruption, progress: Progress) -> None:
        reset_peak_memory(self.device)
        start = time.perf_counter()
        self.task = load_suite(self.spec.suite).build(self.spec, self.device)
        self.build_s = time.perf_counter() - start
        trainer = Trainer(self.task, self.spec.training, self.device, self._save, progress)
        state, refused = checkpoint.load(
            self.store.checkpoint(self.spec.hash), self.spec.hash, self._made_by
        )
        if refused:
            self.warnings.append(refused)
        if state is not None:
            trainer.resume(state)
        try:
            self.status, self.reason = trainer.run(interruption)
        finally:
            self.log = trainer.log
        if self.status in FINAL:
            checkpoint.save(self.store.weights(self.spec.hash), self.task.weights())
        diagnosis = examine(self.task)
        self.measurements = {**diagnosis.measurements, "start": self.log.start}
        # Weights that are NaN say nothing; how the run began may say why they are.
        began = self.log.start["warnings"] if self.status == "diverged" else []
        self.warnings.extend(dict.fromkeys([*began, *diagnosis.warnings]))

    def _save(self, state: dict[str, Any]) -> None:
        marked = {**state, "spec_hash": self.spec.hash, "made_by": self._made_by}
        checkpoint.save(self.store.checkpoint(self.spec.hash), marked)

    def record(self, started: str) -> Record:
        spec, log = self.spec, self.log
        best = log.best_row()
        metrics = log.metrics()
        steps = log.history.get("step", [])
        return Record(
            schema=SCHEMA,
            spec_hash=spec.hash,
            suite=spec.suite,
            problem=spec.problem,
            model=spec.model,
            arm=spec.arm,
            seed=spec.seed,
            budget=spec.budget,
            status=self.status,
            reason=self.reason,
            metrics=metrics,
            units={name: self.task.unit(name) for name in metrics} if self.task else {},
            timing=log.timing(self.build_s),
            environment=self.environment,
            spec=spec,
            steps_done=log.step,
            best_step=None if best is None else int(steps[best] or 0),
            losses=log.losses,
            history=log.history,
            peak_memory_mb=peak_memory_mb(self.device),
            diagnostics=self.measurements,
            task=dict(self.task.description) if self.task else {},
            warnings=self.warnings,
            started=started,
            resumed=log.resumed,
        )
