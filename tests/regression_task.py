"""A small task for tests of the trainer: regression of a sine."""

from __future__ import annotations

import copy
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.spec.training import Training
from bench.task import Diagnosis, Evaluation
from bench.training.loop import Trainer
from bench.training.optimization import Optimization
from bench.training.signals import Interruption

CPU = torch.device("cpu")


@dataclass
class Regression:
    """Implements `bench.task.Task`: a tiny network fitted to a sine.

    Attributes:
        training: How long.
        before_step: Called with the number of the step before it is done.
        loss_of: Changes the loss of the step of that number.
        scores: Error and selection of the evaluations in turn, instead of the real ones.
        evaluate_seconds: How long an evaluation takes.
        seed: Of the points and the weights.
    """

    training: Training
    before_step: Callable[[int], None] = lambda step: None
    loss_of: Callable[[int, Tensor], Tensor] = lambda step, loss: loss
    scores: list[tuple[float, float]] = field(default_factory=list)
    evaluate_seconds: float = 0.0
    seed: int = 0
    description: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.x = torch.rand(16, 1, generator=generator, dtype=torch.float64)
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                )
        self.optimization = Optimization(list(self.net.parameters()), self.training)
        self.evaluations = 0
        self.steps_asked: list[int] = []

    def unit(self, metric: str) -> str:
        return "1"

    def _error(self) -> Tensor:
        return (self.net(self.x) - (6 * self.x).sin()).square().mean()

    def step(self) -> Mapping[str, Tensor]:
        step = self.optimization.steps_done
        self.steps_asked.append(step)
        self.before_step(step)

        def losses() -> dict[str, Tensor]:
            error = self._error()
            return {"loss": self.loss_of(step, error), "error": error.detach()}

        return self.optimization.step(losses)

    def evaluate(self) -> Evaluation:
        time.sleep(self.evaluate_seconds)
        with torch.no_grad():
            error = self._error().item()
        selection = error
        if self.scores:
            error, selection = self.scores[self.evaluations]
        self.evaluations += 1
        return Evaluation({"error": error, "bias": 2.0}, selection)

    def diagnose(self) -> Diagnosis:
        return Diagnosis({}, [])

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimization": self.optimization.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimization.load_state_dict(state["optimization"])

    def weights(self) -> dict[str, Tensor]:
        return dict(self.net.state_dict())


@dataclass
class Run:
    """A trainer, and what it told."""

    task: Regression
    trainer: Trainer
    saved: list[dict[str, Any]] = field(default_factory=list)
    progress: list[tuple[int, int, float]] = field(default_factory=list)
    interruption: Interruption = field(default_factory=Interruption)


def start(training: Training, **options: Any) -> Run:
    task = Regression(training, **options)
    saved: list[dict[str, Any]] = []
    progress: list[tuple[int, int, float]] = []
    run = Trainer(
        task,
        training,
        CPU,
        lambda state: saved.append(copy.deepcopy(state)),
        lambda *what: progress.append(what),
    )
    return Run(task, run, saved, progress)


def interrupt_at(run: Run, step: int) -> None:
    def raise_flag(at: int) -> None:
        if at == step:
            run.interruption.signal = signal.SIGINT

    run.task.before_step = raise_flag
