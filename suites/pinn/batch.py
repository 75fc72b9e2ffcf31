"""Seeds of one problem, trained as one batched model where that gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bench.spec.spec import Spec
from bench.training.optimization import JointOptimization
from suites.pinn.engine.choose_cuda import (
    hidden_elements,
    pays,
    rows_of_a_product,
    saved_by_compiling,
)
from suites.pinn.engine.evaluation import TaylorEvaluation
from suites.pinn.engine.taylor import Unsupported
from suites.pinn.engine.together import TogetherEvaluation, TogetherGradient
from suites.pinn.options import COMPILE
from suites.pinn.task import PINNTask, build

#: Relative difference of loss terms that is no rounding, by dtype.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}


class InTurn:
    """Implements `bench.task.Batch` one seed after the other.

    Args:
        tasks: One per seed.
        reason: Why they cannot be one batched model.
    """

    def __init__(self, tasks: Sequence[PINNTask], reason: str) -> None:
        self.tasks = tasks
        for task in tasks:
            task.gradient.how["not_batched"] = reason

    def step(self) -> Mapping[str, Tensor]:
        """One step of each seed, in turn."""
        found = [task.step() for task in self.tasks]
        return {name: torch.stack([losses[name] for losses in found]) for name in found[0]}


class Batched:
    """Implements `bench.task.Batch` as one model.

    Args:
        tasks: One per seed; their parameters become parts of one tensor.

    Attributes:
        vector: All parameters, ``(seeds, n_parameters)``.
        gradient: The computation of loss, terms and gradients of a step.

    Raises:
        Unsupported: Trained together, the seeds would give other numbers than alone.
    """

    def __init__(self, tasks: Sequence[PINNTask]) -> None:
        self.tasks = tasks
        if any(task.unknowns for task in tasks):
            raise Unsupported("each seed has unknowns of its own")
        evaluations = [task.evaluation for task in tasks]
        alike = [e for e in evaluations if isinstance(e, TaylorEvaluation)]
        if len(alike) < len(tasks):
            path = next(e.path for e in evaluations if not isinstance(e, TaylorEvaluation))
            raise Unsupported(f"derivatives are evaluated by {path}")
        evaluation = TogetherEvaluation(alike, rows_of_a_product(tasks[0].device))
        buffers = [dict(task.net.named_buffers()) for task in tasks]
        self.vector = torch.stack([task.parameters.vector.detach() for task in tasks])
        self.gradient = TogetherGradient(
            evaluation,
            torch.stack([task.loss.weights for task in tasks]),
            tasks[0].parameters,
            {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]},
            compile=_is_compiled(tasks, alike),
            insist=tasks[0].spec.settings.get("compile") == "on",
        )
        self._check()
        for task, own in zip(tasks, self.vector, strict=True):
            task.parameters.move_to(own)
            task.gradient.how = self.gradient.how
        self._optimization = JointOptimization([task.optimization for task in tasks])

    def _check(self) -> None:
        """Refuse a PDE that looks at more than its row (a mean): on all seeds' rows it differs."""
        together = self.gradient.eager(self.vector).terms
        alone = torch.stack([task.evaluation(training=True).detach() for task in self.tasks])
        # A term may be rounding alone: a periodic condition of periodic features.
        largest = alone.abs().amax(dim=1, keepdim=True)
        allowed = _TOLERANCE[alone.dtype] * (alone.abs() + 1e-3 * largest)
        same = (together - alone).abs() <= allowed
        if not bool((same | (together.isnan() & alone.isnan()) | (together == alone)).all()):
            raise Unsupported("together the loss terms are not those of each seed alone")

    def step(self) -> Mapping[str, Tensor]:
        """One step of all seeds at once."""
        loss, terms, gradient = self.gradient(self.vector)
        self._optimization.step(gradient.unbind())
        return {"loss": loss, **self.tasks[0].loss.named(terms.T)}


def _is_compiled(tasks: Sequence[PINNTask], evaluations: Sequence[TaylorEvaluation]) -> bool:
    """Whether the step of all is compiled: on a CPU only where that is asked for."""
    asked = tasks[0].spec.settings.get("compile", COMPILE[0])
    if asked != "auto" or tasks[0].device.type != "cuda":
        return bool(asked == "on")
    elements = sum(hidden_elements(evaluation) for evaluation in evaluations)
    return pays(saved_by_compiling(tasks[0].spec.training.total_steps, elements))


def build_together(specs: Sequence[Spec], device: torch.device) -> InTurn | Batched:
    """The batch of specs that differ in their seeds alone."""
    tasks = [build(spec, device) for spec in specs]
    try:
        return Batched(tasks)
    except Unsupported as reason:
        return InTurn(tasks, str(reason))
