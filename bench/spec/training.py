"""How long and how to train: the part of a spec that every suite has."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from bench.spec.table import Table
from bench.text.errors import BadInput, unknown

#: Factor on the learning rate as a function of the fraction of Adam's steps done.
SCHEDULES: Table[Callable[[float], float]] = Table(
    {
        "constant": "bench.training.optimization:constant",
        "stable-decay": "bench.training.optimization:stable_decay",
        "warmup-stable-decay": "bench.training.optimization:warmup_stable_decay",
        "cosine": "bench.training.optimization:cosine",
        "exponential": "bench.training.optimization:exponential",
    }
)
SCHEDULE_NAMES = tuple(SCHEDULES)

#: The least and the most of each number of `Training`. More would only be found out after years,
#: or by the memory that a list of the evaluations takes.
_RANGES = {"steps": (0, 10**9), "lbfgs_steps": (0, 10**9), "evaluations": (1, 10**6)}


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long and how to train.

    Attributes:
        steps: Adam steps.
        lbfgs_steps: L-BFGS steps after them (0: none).
        lr: Learning rate of Adam.
        schedule: ``constant``, ``stable-decay`` (constant, then linear to 0 over the last fifth),
            ``warmup-stable-decay`` (the same after a linear warm-up over the first twentieth),
            ``cosine`` or ``exponential``.
        eps: Adam's eps.
        weight_decay: Decoupled weight decay (AdamW); 0: Adam.
        evaluations: How many times the metrics are evaluated, evenly spaced, the last at the end.
    """

    steps: int
    lbfgs_steps: int = 0
    lr: float = 1e-3
    schedule: str = "constant"
    eps: float = 1e-8
    weight_decay: float = 0.0
    evaluations: int = 20

    @property
    def total_steps(self) -> int:
        """Steps of both optimisers."""
        return self.steps + self.lbfgs_steps

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            BadInput: A number is out of its range, or the schedule is unknown.
        """
        if self.schedule not in SCHEDULE_NAMES:
            raise unknown("schedule", self.schedule, SCHEDULE_NAMES)
        for name, (least, most) in _RANGES.items():
            number = getattr(self, name)
            if not least <= number <= most:
                raise BadInput(f"{name} must be from {least} to {most}, got {number}")
        if self.total_steps < 1:
            raise BadInput("steps and lbfgs_steps are both 0: nothing to train")
        for name in ("lr", "eps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} must be positive and finite, got {value}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise BadInput(f"weight_decay must be 0 or more and finite, got {self.weight_decay}")
