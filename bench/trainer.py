"""The training loop: step, evaluate, checkpoint, divergence, timing, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.device import StepTimer
from bench.interruption import Interruption
from bench.record import Metric, Status, Timing
from bench.spec import Training
from bench.streams import global_state, set_global_state
from bench.task import Diagnosis, Task

#: Losses are read from the device, and NaN is looked for, every so many steps.
BLOCK = 50
_WARM_UP = 10
_LOSS_ROWS = 200
_CHECKPOINT_SECONDS = 20.0

#: Called with the steps done, all steps and the loss.
Progress = Callable[[int, int, float], None]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass
class Log:
    """What a run has left behind so far; part of its checkpoint.

    Attributes:
        step: Steps done.
        losses: Loss terms by name, a row every so many steps.
        history: Metrics by name, a row an evaluation.
        selection: Held-out loss of each row of `history`.
        step_seconds: Time of every step.
        evaluate_seconds: Time of all evaluations.
        start: What the task found out about its health before the first step.
        resumed: How many times the run was continued.
    """

    step: int = 0
    losses: dict[str, list[float | None]] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=dict)
    selection: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    evaluate_seconds: float = 0.0
    start: dict[str, Any] = field(default_factory=dict)
    resumed: int = 0

    def best_row(self) -> int | None:
        """The row of `history` with the lowest held-out loss."""
        rows = [row for row, value in enumerate(self.selection) if math.isfinite(value)]
        return min(rows, key=self.selection.__getitem__, default=None)

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
    """The task's diagnosis; one that fails costs a warning and not the run."""
    try:
        return task.diagnose()
    except Exception as error:  # it looks into whatever a user's module does
        return Diagnosis({}, [f"the diagnosis failed: {type(error).__name__}: {error}"])


class Trainer:
    """Trains a task and keeps its log.

    Args:
        task: What to train.
        training: How long.
        device: Where the task is.
        save: Writes a checkpoint of the given state.
        progress: Told of the progress after each block of steps.
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
        self.log = Log()
        self._save = save
        self._progress = progress
        self._device = device
        self._timer = StepTimer(device)
        self._evaluations = evaluation_steps(training)
        self._loss_every = max(1, training.total_steps // _LOSS_ROWS)

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.task.load_state_dict(state["task"])
        set_global_state(state["generators"], self._device)
        self.log = Log(**state["log"])
        self.log.resumed += 1

    def run(self, interruption: Interruption) -> tuple[Status, str | None]:
        """Train to the end, to divergence, or to an interruption.

        Returns:
            The status, and the reason where it is not ``done``.
        """
        total = self.training.total_steps
        saved = time.monotonic()
        if not self.log.history:
            self._evaluate()
            start = examine(self.task)
            self.log.start = {**start.measurements, "warnings": list(start.warnings)}
        while self.log.step < total:
            following = min(step for step in self._evaluations if step > self.log.step)
            loss = self._block(min(BLOCK, following - self.log.step), interruption)
            if not math.isfinite(loss):
                self._evaluate()
                return "diverged", f"the loss was {loss} at step {self.log.step}"
            self._progress(self.log.step, total, loss)
            evaluated = self.log.step == following
            if evaluated:
                self._evaluate()
            if interruption:
                self.checkpoint()
                return "interrupted", f"signal {interruption.signal} at step {self.log.step}"
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.checkpoint()
                saved = time.monotonic()
        if not math.isfinite(self.log.selection[-1]):
            # A loss is that before its step: the last step shows in the evaluation alone.
            return "diverged", f"the held-out loss was {self.log.selection[-1]} at step {total}"
        return "done", None

    def checkpoint(self) -> None:
        """Write what the remaining steps depend on."""
        self._save(
            {
                "task": self.task.state_dict(),
                "generators": global_state(self._device),
                "log": dict(vars(self.log)),
            }
        )

    def _block(self, steps: int, interruption: Interruption) -> float:
        """Up to `steps` steps; the last loss, or the first that is not finite."""
        first = self.log.step
        totals: list[Tensor] = []
        rows: list[tuple[int, Mapping[str, Tensor]]] = []
        for step in range(first, first + steps):
            with self._timer.step():
                losses = self.task.step()
            totals.append(losses["loss"])
            if step % self._loss_every == 0:
                rows.append((step, losses))
            if interruption:
                break
        values: list[float] = torch.stack(totals).tolist()
        self.log.step_seconds.extend(self._timer.flush())
        bad = next((k for k, value in enumerate(values) if not math.isfinite(value)), None)
        for step, losses in rows:
            if bad is not None and step > first + bad:
                break
            row = {"step": float(step), **{name: float(x) for name, x in losses.items()}}
            for name, value in row.items():
                self.log.losses.setdefault(name, []).append(_finite(value))
        self.log.step = first + (len(values) if bad is None else bad)
        return values[-1] if bad is None else values[bad]

    def _evaluate(self) -> None:
        start = time.perf_counter()
        # An evaluation that drew numbers would change the training that follows.
        before = global_state(self._device)
        result = self.task.evaluate()
        set_global_state(before, self._device)
        self.log.evaluate_seconds += time.perf_counter() - start
        row = {
            "step": float(self.log.step),
            "seconds": sum(self.log.step_seconds),
            **result.metrics,
        }
        for name, value in row.items():
            self.log.history.setdefault(name, []).append(_finite(value))
        self.log.selection.append(result.selection)
