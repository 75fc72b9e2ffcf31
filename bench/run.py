"""Runs, from their specs to their records."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from bench import checkpoint
from bench.device import deterministic, peak_memory_mb, reset_peak_memory
from bench.environment import environment
from bench.interruption import Interruption
from bench.record import FINAL, SCHEMA, Record
from bench.spec import Spec
from bench.store import Store
from bench.streams import global_state, global_streams
from bench.task import Batch, Batchable, Suite, Task, load_suite
from bench.trainer import Alone, Lockstep, Log, Outcome, Progress, Trainer, failure

#: Called with the spec of a run and what `Progress` is called with.
ProgressOf = Callable[[Spec, int, int, float], None]


def execute(
    spec: Spec,
    store: Store,
    device: torch.device,
    jobs: int,
    progress: Progress,
    interruption: Interruption,
) -> Record:
    """Train and score a spec alone; see `execute_together`."""
    ended: list[Record] = []
    execute_together(
        [spec], store, device, jobs, lambda _, *what: progress(*what), ended.append, interruption
    )
    return ended[0]


def execute_together(
    specs: Sequence[Spec],
    store: Store,
    device: torch.device,
    jobs: int,
    progress: ProgressOf,
    ended: Callable[[Record], None],
    interruption: Interruption,
) -> None:
    """Train and score specs as one model, each continuing from its checkpoint if there is one.

    Those whose checkpoints are at one step are in lockstep; after a kill there may be several such
    steps, and each has its turn. A record is written to the store when its run has ended. An
    exception of the suite becomes a record with the status ``failed`` and the reason.

    Args:
        specs: What to run: one, or several of a suite that takes them together.
        store: Where the checkpoints, the weights and the records go.
        device: Where to train.
        jobs: How many processes run side by side, for the record.
        progress: Told of the progress.
        ended: Told of each record that was written.
        interruption: Looked at between steps. What has not begun by then leaves no record.
    """
    suite = load_suite(specs[0].suite)
    where = environment(suite, str(device), jobs)
    by_step = _by_step([_Run(spec, store, device, where) for spec in specs])
    while by_step:
        # Taken out, so that nothing of them is on the device any more when others are measured.
        _train(by_step.pop(min(by_step)), suite, device, progress, ended, interruption)
        if interruption:
            return


def record_of_failure(spec: Spec, store: Store, reason: str) -> Record:
    """The record of a run that could not leave one itself."""
    run = _Run(spec, store, torch.device("cpu"), environment(load_suite(spec.suite), "cpu", 1))
    run.outcome = "failed", reason
    return run.record()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _by_step(runs: Sequence[_Run]) -> dict[int, list[_Run]]:
    """The runs by the step of their checkpoints, 0 where there is none."""
    found: dict[int, list[_Run]] = {}
    for run in runs:
        found.setdefault(run.find_checkpoint(), []).append(run)
    return found


def _train(
    runs: Sequence[_Run],
    suite: Suite,
    device: torch.device,
    progress: ProgressOf,
    ended: Callable[[Record], None],
    interruption: Interruption,
) -> None:
    """Train runs that are at the same step, and write the record of each when it has ended."""
    left = list(runs)
    for run in runs:
        run.started, run.together = _now(), len(runs)

    def write(run: _Run) -> None:
        left.remove(run)
        record = run.record()
        run.store.write(record)
        if record.status in FINAL:
            run.store.checkpoint(run.spec.hash).unlink(missing_ok=True)
        ended(record)

    with deterministic(device), global_streams(runs[0].spec.seed, device):
        try:
            for run in _endings(runs, suite, device, progress, interruption):
                write(run)
        except KeyboardInterrupt:
            for run in list(left):
                run.outcome = "interrupted", "interrupted before its state was saved"
                write(run)


def _endings(
    runs: Sequence[_Run],
    suite: Suite,
    device: torch.device,
    progress: ProgressOf,
    interruption: Interruption,
) -> Iterator[_Run]:
    """Build and train; yields each run when it has ended."""
    reset_peak_memory(device)
    start = time.perf_counter()
    try:
        batch = _build(suite, [run.spec for run in runs], device)
        build_s = time.perf_counter() - start
        pairs = zip(runs, batch.tasks, strict=True)
        of_trainers = {run.begin(task, build_s, progress): run for run, task in pairs}
    except Exception as error:  # whatever a suite or a user's technique raises is a result
        for run in runs:
            run.outcome = failure(error)
        yield from runs
        return
    for trainer in Lockstep(batch, list(of_trainers)).run(interruption):
        run = of_trainers[trainer]
        run.end(trainer)
        yield run


def _build(suite: Suite, specs: Sequence[Spec], device: torch.device) -> Batch:
    if len(specs) == 1:
        return Alone(suite.build(specs[0], device))
    assert isinstance(suite, Batchable)
    return suite.build_together(specs, device)


class _Run:
    """The state of one execution."""

    def __init__(
        self, spec: Spec, store: Store, device: torch.device, where: dict[str, Any]
    ) -> None:
        self.spec = spec
        self.store = store
        self.device = device
        self.environment = where
        self.started = _now()
        self.together = 1
        self.outcome: Outcome = "failed", None
        self.log = Log()
        self.build_s = 0.0
        self.task: Task | None = None
        self.measurements: dict[str, Any] = {}
        self.warnings: list[str] = []
        self._state: dict[str, Any] | None = None

    @property
    def _made_by(self) -> str:
        """The code and the versions, in one string."""
        return f"{self.environment['code']} {self.environment['versions']}"

    def find_checkpoint(self) -> int:
        """Read the state to continue from, if there is one; its step."""
        path = self.store.checkpoint(self.spec.hash)
        self._state, refused = checkpoint.load(path, self.spec.hash, self._made_by)
        if refused:
            self.warnings.append(refused)
        return self._state["log"]["step"] if self._state else 0

    def begin(self, task: Task, build_s: float, progress: ProgressOf) -> Trainer:
        """The trainer of the task that was built, at the step where the run goes on."""
        self.task, self.build_s = task, build_s
        trainer = Trainer(
            task,
            self.spec.training,
            self.device,
            self._save,
            lambda *what: progress(self.spec, *what),
        )
        if self.together > 1:
            with global_streams(self.spec.seed, self.device):
                trainer.generators = global_state(self.device)
        if self._state is not None:
            trainer.resume(self._state)
        self.log = trainer.log
        return trainer

    def end(self, trainer: Trainer) -> None:
        """Keep the outcome, the weights and the diagnosis of a run that has ended."""
        assert trainer.outcome is not None
        self.outcome = trainer.outcome
        if self.outcome[0] == "failed":
            return
        try:
            if self.outcome[0] in FINAL:
                checkpoint.save(self.store.weights(self.spec.hash), trainer.task.weights())
            diagnosis = trainer.examine()
        except Exception as error:
            self.outcome = failure(error)
            return
        self.measurements = {**diagnosis.measurements, "start": self.log.start}
        # Weights that are NaN say nothing; how the run began may say why they are.
        began = self.log.start["warnings"] if self.outcome[0] == "diverged" else []
        self.warnings.extend(dict.fromkeys([*began, *diagnosis.warnings]))

    def _save(self, state: dict[str, Any]) -> None:
        marked = {**state, "spec_hash": self.spec.hash, "made_by": self._made_by}
        checkpoint.save(self.store.checkpoint(self.spec.hash), marked)

    def record(self) -> Record:
        """The row that the run leaves behind, as it is now."""
        spec, log = self.spec, self.log
        status, reason = self.outcome
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
            status=status,
            reason=reason,
            metrics=metrics,
            units={name: self.task.unit(name) for name in metrics} if self.task else {},
            timing=log.timing(self.build_s),
            environment={**self.environment, "seeds_together": self.together},
            spec=spec,
            steps_done=log.step,
            best_step=None if best is None else int(steps[best] or 0),
            losses=log.losses,
            history=log.history,
            peak_memory_mb=peak_memory_mb(self.device),
            diagnostics=self.measurements,
            task=dict(self.task.description) if self.task else {},
            warnings=self.warnings,
            started=self.started,
            resumed=log.resumed,
        )
