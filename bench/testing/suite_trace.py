"""Tasks of a suite, built and trained step by step as the harness does it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from bench.spec.randomness import global_state, global_streams, set_global_state
from bench.spec.spec import Spec
from bench.task import Evaluation, Suite, Task
from bench.testing.states import bits
from bench.training.device import deterministic

CPU = torch.device("cpu")


@dataclass
class Trace:
    """What some steps of a run left behind.

    Attributes:
        losses: Loss terms by name, of each step.
        metrics: Of the state after them.
        state: Everything that further steps depend on, as `bits` has it.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def loss(self, step: int) -> float:
        """The loss of a step."""
        return self.losses[step]["loss"]


@contextlib.contextmanager
def built(suite: Suite, spec: Spec) -> Iterator[Task]:
    """The task of a spec on the CPU, where the harness builds and trains it."""
    with deterministic(CPU), global_streams(spec.seed, CPU):
        yield suite.build(spec, CPU)


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Where the harness evaluates: what is drawn from the global generators is given back."""
    before = global_state(CPU)
    try:
        yield
    finally:
        set_global_state(before, CPU)


def evaluated(task: Task) -> Evaluation:
    """The metrics of the present state."""
    with apart():
        return task.evaluate()


def steps(task: Task, count: int, trace: Trace, *, looking: bool = False) -> None:
    """Train, and write it into a trace.

    Args:
        task: What is trained.
        count: How many steps.
        trace: What they leave behind.
        looking: Evaluate and examine the task before each step.
    """
    for _ in range(count):
        if looking:
            with apart():
                task.evaluate()
            with apart():
                task.diagnose()
        trace.losses.append({name: float(value) for name, value in task.step().items()})
    trace.state = bits(task.state_dict())
    trace.metrics = dict(evaluated(task).metrics)


def trained(suite: Suite, spec: Spec, count: int, *, looking: bool = False) -> Trace:
    """The trace of so many steps of a new run."""
    trace = Trace()
    with built(suite, spec) as task:
        steps(task, count, trace, looking=looking)
    return trace
