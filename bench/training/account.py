"""What a run leaves behind, gathered while it goes on, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from bench.spec.spec import Spec
from bench.store.record import SCHEMA, Record, timestamp
from bench.task import Task
from bench.training.device import peak_memory_mb
from bench.training.loop import Log, Outcome


class Account:
    """The account of one run.

    Args:
        spec: What is run.
        environment: Where, as of `bench.store.environment.environment`.

    Attributes:
        started: UTC time, ISO 8601.
        together: Seeds that are trained as one model.
        parts: In how many a step computes its batch.
        outcome: Status, and the reason if it is not ``done``.
        log: What training has left so far.
        build_s: Seconds that building the task took.
        task: The task, once it is built.
        measurements: What the task found out about itself at the end.
        warnings: Sentences for the reader of the metrics, each once.
    """

    def __init__(self, spec: Spec, environment: Mapping[str, Any]) -> None:
        self.spec = spec
        self.environment = environment
        self.started = timestamp()
        self.together = 1
        self.parts = 1
        self.outcome: Outcome = "failed", None
        self.log = Log()
        self.build_s = 0.0
        self.task: Task | None = None
        self.measurements: dict[str, Any] = {}
        self.warnings: list[str] = []

    def warn(self, texts: Iterable[str]) -> None:
        """Add sentences that are not there yet."""
        self.warnings = list(dict.fromkeys([*self.warnings, *texts]))

    def record(self, device: torch.device | None) -> Record:
        """The row that the run leaves behind, as it is now.

        Args:
            device: Where it ran in this process; ``None`` if it did not, and its memory is unknown.
        """
        spec, log = self.spec, self.log
        status, reason = self.outcome
        best = log.best_row()
        metrics = log.metrics()
        steps = log.history.get("step", [])
        parts = {"parts": self.parts} if self.parts > 1 else {}
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
            environment={**self.environment, "seeds_together": self.together, **parts},
            spec=spec,
            steps_done=log.step,
            best_step=None if best is None else int(steps[best] or 0),
            losses=log.losses,
            history=log.history,
            peak_memory_mb=None if device is None else peak_memory_mb(device),
            diagnostics=self.measurements,
            task=dict(self.task.description) if self.task else {},
            warnings=self.warnings,
            started=self.started,
            resumed=log.resumed,
        )
