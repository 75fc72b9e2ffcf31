"""The training loop: step, evaluate, checkpoint, divergence, timing, progress."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from bench.spec.randomness import global_state, set_global_state
from bench.spec.training import Training
from bench.spec.user_frames import is_own, place_of
from bench.store.record import Metric, Status, Timing
from bench.task import RESERVED, SELECTION, Batch, Diagnosis, Evaluation, Scaled, Task
from bench.text.errors import one_line, typed
from bench.training.device import StepTimer, is_out_of_memory

#: Losses are read from the device, and NaN is looked for, every so many steps.
BLOCK = 50
_WARM_UP = 10
_LOSS_ROWS = 200
_CHECKPOINT_SECONDS = 20.0
#: A loss that is this many times that of a network of output 0 does not come back, unless it is
#: still falling from a bad start; a spike of Adam's grows by 1e4.
_EXPLODED = 1e8

#: What is the failure of a run: a user's technique that calls ``sys.exit`` does not end a study.
RAISED = (Exception, SystemExit)

#: Called with the steps done, all steps and the loss.
Progress = Callable[[int, int, float], None]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass
class Log:
    """The results of a run so far; a part of its checkpoint.

    Attributes:
        step: Steps done.
        losses: Loss terms by name, sampled every so many steps.
        history: Metrics by name, a row for each evaluation, with its `RESERVED` columns.
        step_seconds: Time of every step.
        evaluate_seconds: Time of all evaluations.
        start: The task's diagnosis before the first step.
        resumed: How many times the run was continued.
    """

    step: int = 0
    losses: dict[str, list[float | None]] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=dict)
    step_seconds: list[float] = field(default_factory=list)
    evaluate_seconds: float = 0.0
    start: dict[str, Any] = field(default_factory=dict)
    resumed: int = 0

    @property
    def selection(self) -> list[float | None]:
        """Held-out loss of each row of `history`; ``None`` where it is not finite."""
        return self.history.get(SELECTION, [])

    def best_row(self) -> int | None:
        """The row of `history` with the lowest held-out loss."""
        known = [(value, row) for row, value in enumerate(self.selection) if value is not None]
        return min(known)[1] if known else None

    def enter(self, seconds: float, result: Evaluation) -> None:
        """Add a row to the history.

        Args:
            seconds: Time of all steps so far.
            result: Of the evaluation.

        Raises:
            ValueError: A metric has the name of a column that the harness enters.
        """
        if taken := sorted(result.metrics.keys() & set(RESERVED)):
            raise ValueError(f"a metric is called {taken[0]!r}, as what the harness records")
        own = {"step": float(self.step), "seconds": seconds}
        for name, value in {**own, **result.metrics, SELECTION: result.selection}.items():
            self.history.setdefault(name, []).append(_finite(value))

    def metrics(self) -> dict[str, Metric]:
        """Final and best value of every metric."""
        best = self.best_row()
        return {
            name: Metric(final=rows[-1], best=None if best is None else rows[best])
            for name, rows in self.history.items()
            if name not in ("step", "seconds")
        }

    def timing(self, build_s: float) -> Timing:
        """Where the time went."""
        timed = self.step_seconds[min(_WARM_UP, len(self.step_seconds) // 2) :]

        def quantile(q: float) -> float | None:
            return 1e3 * float(np.quantile(timed, q)) if timed else None

        return Timing(
            build_s=build_s,
            train_s=sum(self.step_seconds),
            evaluate_s=self.evaluate_seconds,
            step_ms_median=quantile(0.5),
            step_ms_p10=quantile(0.1),
            step_ms_p90=quantile(0.9),
            steps_timed=len(timed),
        )


def evaluation_steps(training: Training) -> list[int]:
    """The steps after which the metrics are evaluated: 0, and evenly spaced up to the end."""
    total = training.total_steps
    return sorted(
        {round(total * k / training.evaluations) for k in range(training.evaluations + 1)}
    )


def examine(task: Task) -> Diagnosis:
    """The task's diagnosis. If it fails, that is a warning, and the run goes on."""
    try:
        return task.diagnose()
    except RAISED as error:  # it looks into whatever a user's module does
        return Diagnosis({}, [f"the diagnosis failed: {typed(error)}"])


Outcome = tuple[Status, str | None]


class Stop(Protocol):
    """Ends training between two steps once it is true."""

    def __bool__(self) -> bool:
        """Whether to stop."""

    def outcome(self, step: int) -> Outcome:
        """The status and reason of a run that this stops after so many steps."""


def failure(error: BaseException) -> Outcome:
    """The status and reason of a run in which a suite or a user's technique raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    status: Status = "out-of-memory" if is_out_of_memory(error) else "failed"
    raised = f"{last.filename}:{last.lineno}"
    own = place_of(error)
    if own:
        raised = own if is_own(last.filename) else f"{own}; raised at {raised}"
    return status, f"{type(error).__name__}: {one_line(str(error))} ({raised})"


class Alone:
    """Implements `bench.task.Batch` for a single task."""

    def __init__(self, task: Task) -> None:
        self.tasks = [task]

    def step(self) -> Mapping[str, Tensor]:
        """The task's own step."""
        return {name: value[None] for name, value in self.tasks[0].step().items()}


class Block(NamedTuple):
    """The results of a block of steps of one run.

    Attributes:
        totals: The minimised ``loss`` of each step.
        rows: Some of the steps, with all their loss terms by name.
        seconds: Seconds of each step.
    """

    totals: Sequence[float]
    rows: Sequence[tuple[int, Mapping[str, float]]]
    seconds: Sequence[float]


class Trainer:
    """A run in training: its task, its log and how it ended.

    Args:
        task: The task that is trained.
        training: How long and how to train.
        device: The device that the task is on.
        save: Is called with a state, and writes a checkpoint of it.
        progress: Is told of the progress after each block of steps.

    Attributes:
        log: The results so far.
        outcome: The status, and the reason if that is not ``done``; ``None`` while the run goes on.
        generators: State of the global generators (`bench.spec.randomness`) for a run that is
            trained together with others, whose steps draw nothing from them. ``None``: this run has
            the generators to itself.
    """

    def __init__(
        self,
        task: Task,
        training: Training,
        device: torch.device,
        save: Callable[[dict[str, Any]], None],
        progress: Progress,
    ) -> None:
        self.task = task
        self.training = training
        self.device = device
        self.log = Log()
        self.outcome: Outcome | None = None
        self.generators: dict[str, Any] | None = None
        self._save = save
        self._progress = progress
        self._evaluations = evaluation_steps(training)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.task.load_state_dict(state["task"])
        if self.generators is None:
            set_global_state(state["generators"], self.device)
        else:
            self.generators = state["generators"]
        self.log = Log(**state["log"])
        self.log.resumed += 1

    def run(self, *stops: Stop) -> Outcome:
        """Train alone; see `Lockstep.run`."""
        (ended,) = Lockstep(Alone(self.task), [self]).run(*stops)
        assert ended.outcome is not None
        return ended.outcome

    def begin(self) -> None:
        """Score and examine the task before the first step."""
        if not self.log.history:
            self._evaluate()
            start = self.examine()
            self.log.start = {**start.measurements, "warnings": list(start.warnings)}
            if isinstance(self.task, Scaled):
                self.log.start["zero_loss"] = self._zero_loss(self.task)

    def follow(self, block: Block) -> None:
        """Take a block of steps that was done into account."""
        loss = self._account(block)
        if not math.isfinite(loss):
            self._evaluate()
            self.outcome = "diverged", f"the loss was {loss} at step {self.log.step}"
            return
        if (exploded := self._exploded(block)) is not None:
            self._evaluate()
            self.outcome = "diverged", exploded
            return
        self._progress(self.log.step, self.training.total_steps, loss)
        if self.log.step in self._evaluations:
            self._evaluate()

    def stop(self, by: Stop) -> None:
        """Save the state and end."""
        self.checkpoint()
        self.outcome = by.outcome(self.log.step)

    def end(self) -> None:
        """End after the last step."""
        self.outcome = "done", None
        if self.log.selection[-1] is None:
            # A loss is that before its step: the last step shows in the evaluation alone.
            reason = f"the held-out loss was not finite at step {self.log.step}"
            self.outcome = "diverged", reason
            return
        last, scale = self.log.losses["loss"][-1], self._scale()
        if last is not None and scale is not None and last > _EXPLODED * scale:
            reason = f"the loss was {last:.3g} at the end; that of a network of output 0 is"
            self.outcome = "diverged", f"{reason} {scale:.3g}"

    def checkpoint(self) -> None:
        """Write what the remaining steps depend on."""
        self._save(
            {
                "task": self.task.state_dict(),
                "generators": self.generators or global_state(self.device),
                "log": dict(vars(self.log)),
            }
        )

    def examine(self) -> Diagnosis:
        """The task's diagnosis. If it fails, that is a warning, and the run goes on."""
        with self._apart():
            return examine(self.task)

    def _account(self, block: Block) -> float:
        """Enter a block in the log. Returns its last loss, or the first that is not finite."""
        first, log = self.log.step, self.log
        log.step_seconds.extend(block.seconds)
        bad = next((k for k, value in enumerate(block.totals) if not math.isfinite(value)), None)
        for step, losses in block.rows:
            if bad is not None and step > first + bad:
                break
            for name, value in {"step": float(step), **losses}.items():
                log.losses.setdefault(name, []).append(_finite(value))
        log.step = first + (len(block.totals) if bad is None else bad)
        return block.totals[-1 if bad is None else bad]

    def _exploded(self, block: Block) -> str | None:
        """Why a block is a divergence although its losses are finite; ``None`` if it is not."""
        first, scale = self.log.losses["loss"][0], self._scale()
        least = min(block.totals)
        if first is None or scale is None or least <= max(_EXPLODED * scale, first):
            return None
        return f"the loss grew from {first:.3g} to {least:.3g} by step {self.log.step}"

    def _zero_loss(self, task: Scaled) -> float | None:
        """The loss of a network of output 0; ``None`` where the equations have none there."""
        with self._apart():
            try:
                return _finite(task.zero_loss())
            except RAISED:  # a user's equations may refuse a solution of 0
                return None

    def _scale(self) -> float | None:
        """The loss of a network of output 0; where that is 0 or unknown, the first loss.

        It is no less than 1, the size of what a network gives before it has learnt anything, nor
        than the first loss where that is less: 0 may be all but the solution.
        """
        zero, first = self.log.start.get("zero_loss"), self.log.losses["loss"][0]
        if not zero:
            return first or None
        return max(zero, 0.0 if first is None else min(first, 1.0))

    def _evaluate(self) -> None:
        start = time.perf_counter()
        with self._apart():
            result = self.task.evaluate()
        self.log.evaluate_seconds += time.perf_counter() - start
        self.log.enter(sum(self.log.step_seconds), result)

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """Use the run's global generators; draws in the body change nothing that follows."""
        before = global_state(self.device)
        if self.generators is not None:
            set_global_state(self.generators, self.device)
        try:
            yield
        finally:
            set_global_state(before, self.device)


class Lockstep:
    """The training loop of one run, or of several that are stepped as one.

    Args:
        batch: The model. Its tasks are those of the trainers, in order.
        trainers: Runs that are at the same step of the same training.
    """

    def __init__(self, batch: Batch, trainers: Sequence[Trainer]) -> None:
        self.batch = batch
        self.trainers = trainers
        self._training = trainers[0].training
        self._timer = StepTimer(trainers[0].device)
        self._loss_every = max(1, self._training.total_steps // _LOSS_ROWS)

    def run(self, *stops: Stop) -> Iterator[Trainer]:
        """Train each run to its end, divergence or failure, or all runs until one of `stops`.

        Yields:
            Each trainer once, when its run has ended. The batch goes on computing such a run until
            all have ended, but nothing of it is used any more.
        """
        saved = time.monotonic()
        yield from self._each(Trainer.begin)
        while self._going and (step := self._going[0].log.step) < self._training.total_steps:
            following = min(k for k in evaluation_steps(self._training) if k > step)
            try:
                blocks = self._steps(step, min(step + BLOCK, following), stops)
            except RAISED as error:  # of the batch, and so of all
                failed = self._going
                for trainer in failed:
                    trainer.outcome = failure(error)
                yield from failed
                return
            yield from self._each(Trainer.follow, blocks)
            # Looked at once, so that all are stopped at the same step.
            if (stop := next(filter(None, stops), None)) is not None:
                yield from self._each(Trainer.stop, [stop] * len(blocks))
            elif time.monotonic() - saved > _CHECKPOINT_SECONDS:
                yield from self._each(Trainer.checkpoint)
                saved = time.monotonic()
        yield from self._each(Trainer.end)

    @property
    def _going(self) -> list[Trainer]:
        """The runs that have not ended."""
        return [trainer for trainer in self.trainers if trainer.outcome is None]

    def _each(self, action: Callable[..., None], *parts: Sequence[Any]) -> Iterator[Trainer]:
        """Do something to each run that goes on, with its own part; yield those that this ends."""
        for trainer, *part in zip(self.trainers, *parts, strict=True):
            if trainer.outcome is not None:
                continue
            try:
                action(trainer, *part)
            except RAISED as error:  # one run's, so that the others go on
                trainer.outcome = failure(error)
            if trainer.outcome is not None:
                yield trainer

    def _steps(self, first: int, end: int, stops: Sequence[Stop]) -> list[Block]:
        """Do the steps from `first` up to `end`, or to a stop. Returns a block for each run."""
        totals: list[Tensor] = []
        rows: list[tuple[int, Mapping[str, Tensor]]] = []
        for step in range(first, end):
            with self._timer.step():
                losses = self.batch.step()
            totals.append(losses["loss"])
            if step % self._loss_every == 0:
                rows.append((step, losses))
            if any(stops):
                break
        of_runs: list[list[float]] = torch.stack(totals, dim=1).tolist()
        seconds = self._timer.flush()
        read = [(step, {name: x.tolist() for name, x in losses.items()}) for step, losses in rows]
        return [
            Block(
                of_run,
                [(step, {name: x[k] for name, x in losses.items()}) for step, losses in read],
                seconds,
            )
            for k, of_run in enumerate(of_runs)
        ]
