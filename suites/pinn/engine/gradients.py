"""The loss and its gradient as one function of the parameters: run, compiled, or captured.

There are four ways. ``eager``: by torch's autograd. ``inductor``: the whole step is compiled.
``kernel``: the network by the native kernel, the loss by autograd on its outputs. And
``kernel+inductor``: the same, and the loss is compiled.

A compiled network whose loss differentiates by its inputs has no gradient in torch (AOTAutograd has
no double backward). So the whole computation, gradient included, is traced into one graph of plain
operators, and that is compiled. On a CUDA device its kernels are captured once and replayed, since
launching them takes longer than running them.
"""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.text.errors import typed
from bench.training.capture import NotCaptured, can_capture, capture
from bench.training.parameters import FlatParameters
from bench.training.traced import compile_traced
from suites.pinn.engine.evaluation import FastEvaluation, TaylorEvaluation
from suites.pinn.engine.kernel_step import KernelStep
from suites.pinn.engine.stock import LossEvaluation
from suites.pinn.engine.taylor import Unsupported


class Result(NamedTuple):
    """The result of one computation.

    Attributes:
        loss: The weighted sum, a scalar.
        terms: Loss terms, shape ``(n_terms,)``.
        gradient: Gradient of the loss, shape ``(n_parameters,)``.
    """

    loss: Tensor
    terms: Tensor
    gradient: Tensor


Compute = Callable[[Tensor], Result]


class _LossAndGradient(torch.autograd.Function):
    """Lets an optimiser's ``backward`` find the gradient that was computed with the loss."""

    @staticmethod
    def forward(
        ctx: Any, compute: Compute, vector: Tensor, *parts: Tensor
    ) -> tuple[Tensor, Tensor]:
        loss, terms, gradient = compute(vector)
        ctx.save_for_backward(gradient)
        ctx.sizes = [part.numel() for part in parts]
        ctx.mark_non_differentiable(terms)
        return loss, terms

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return None, None, *(by_loss * part for part in gradient.split(ctx.sizes))


def loss_and_terms(parameters: FlatParameters, compute: Compute) -> tuple[Tensor, Tensor]:
    """The loss, which has a graph to `FlatParameters.parts` alone, and the terms, detached."""
    loss, terms = _LossAndGradient.apply(compute, parameters.vector.detach(), *parameters.parts)
    return loss, terms


class StepComputation(ABC):
    """A computation of loss, terms and gradient, set up when it is first called.

    Args:
        fast: Whether it can be traced, and captured.
        compiled: Whether it is to be compiled.
        insist: Whether a failure to compile is an error.
    """

    def __init__(self, fast: bool, compiled: bool, insist: bool) -> None:
        self._fast = fast
        self._compiled = compiled
        self._insist = insist
        self._ready = False
        #: ``None``: as it is. Not the method itself, which would keep this alive in a cycle.
        self._run: Compute | None = None
        #: How it is run, for the record, and the seconds that setting it up took.
        self.how: dict[str, Any] = {"executed": "eager"}

    def __call__(self, vector: Tensor) -> Result:
        """Loss, terms and gradient.

        Args:
            vector: The parameters' own vector, detached.
        """
        if not self._ready:
            self._run, self._ready = self._set_up(vector), True
        return (self._run or self.eager)(vector)

    @abstractmethod
    def eager(self, vector: Tensor) -> Result:
        """Run by autograd."""

    @abstractmethod
    def functional(self, vector: Tensor) -> Result:
        """The result as a function of the vector alone, which can be traced."""

    def _set_up(self, vector: Tensor) -> Compute | None:
        start = time.perf_counter()
        run: Compute | None = None
        if self._compiled and not self._fast:
            self.how["not_compiled"] = "DeepXDE's own evaluation is run as it is"
        if self._fast and self._compiled:
            try:
                run = self._compile(vector)
                own = self.how["executed"]
                self.how["executed"] = "inductor" if own == "eager" else f"{own}+inductor"
            except Exception as error:  # no compiler, or one that fails
                if self._insist:
                    raise
                self.how["not_compiled"] = _reason(error)
        if self._fast and can_capture(vector.device):
            try:
                run = _capture(run or self.eager, vector)
                self.how["executed"] += ", CUDA graph"
            except NotCaptured as reason:  # as of a PDE that copies from the host
                self.how["not_captured"] = str(reason)
        if self.how["executed"] != "eager":
            before = self.how.get("setup_s", 0.0)
            self.how["setup_s"] = before + time.perf_counter() - start
        return run

    def _compile(self, vector: Tensor) -> Compute:
        return _compile(self.functional, vector)


#: The ways of a step, the slowest first.
WAYS = ("eager", "inductor", "kernel", "kernel+inductor")


class TrainingGradient(StepComputation):
    """The computation of a training step of one network.

    Args:
        evaluation: The loss terms.
        weights: Of the terms.
        parameters: Of the network, and the unknowns.
        buffers: Of the network, and whatever else is not trained, by name.
        way: How it is computed, one of `ways`.
        insist: Whether a way that fails is an error; otherwise what works of it is taken, and `how`
            has the reason.
        why: Why it is this way, for the record.
        instead: Chooses another way, and says why, if the kernel fails for a reason that it gets;
            without it, the step is computed by plain torch.

    Attributes:
        evaluation: The loss terms; with the native kernel, if the way has that.
        way: The way; another, if the kernel failed.
        missing: The ways that this evaluation does not have, each with the reason.

    Raises:
        Exception: The kernel failed, and may not.
    """

    def __init__(
        self,
        evaluation: LossEvaluation,
        weights: Tensor,
        parameters: FlatParameters,
        buffers: Mapping[str, Tensor],
        way: str = "eager",
        insist: bool = False,
        why: str | None = None,
        instead: Callable[[str], tuple[str, str | None]] | None = None,
    ) -> None:
        fast = isinstance(evaluation, FastEvaluation)
        super().__init__(fast, way.endswith("inductor"), insist)
        self._rest = weights, parameters, buffers
        self._weights, self._parameters, self._buffers = self._rest
        self.evaluation = self._without_kernel(evaluation)
        self.missing = missing_ways(self.evaluation)
        self._step: KernelStep | None = None
        if way.startswith("kernel"):
            self._take_kernel()
            if self._step is None:
                way, why = instead(self.how["not_kernel"]) if instead else ("eager", why)
                self._compiled = way == "inductor"
        self.way, self._why = way, why
        if why:
            self.how["why"] = why

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which this evaluation's step can be computed, of `WAYS`."""
        return tuple(way for way in WAYS if way not in self.missing)

    def with_(
        self, *, way: str | None = None, evaluation: LossEvaluation | None = None
    ) -> TrainingGradient:
        """The same in another way, which then may not fail, or of other points."""
        if way is not None:
            return TrainingGradient(evaluation or self.evaluation, *self._rest, way, insist=True)
        found = TrainingGradient(
            evaluation or self.evaluation, *self._rest, self.way, self._insist, self._why
        )
        if "setup_s" in self.how:  # of the same run
            found.how["setup_s"] = self.how["setup_s"] + found.how.get("setup_s", 0.0)
        return found

    @staticmethod
    def _without_kernel(evaluation: LossEvaluation) -> LossEvaluation:
        if isinstance(evaluation, TaylorEvaluation) and evaluation.kernel is not None:
            return evaluation.without_kernel()
        return evaluation

    def _take_kernel(self) -> None:
        start = time.perf_counter()
        try:
            if "kernel" in self.missing:
                raise Unsupported(self.missing["kernel"])
            assert isinstance(self.evaluation, TaylorEvaluation)
            found = self.evaluation.with_kernel()
        except Exception as error:  # no compiler, or one that fails
            if self._insist:
                raise
            self.how["not_kernel"] = _reason(error)
            return
        self.evaluation = found
        self._step = KernelStep(found, *self._rest)
        self.how |= {"executed": "kernel", "setup_s": time.perf_counter() - start}

    def _compile(self, vector: Tensor) -> Compute:
        if self._step is None:
            return super()._compile(vector)
        compiled = self._step.compiled(vector)
        return lambda vector: Result(*compiled(vector))

    def eager(self, vector: Tensor) -> Result:
        """By autograd on the network's own parameters, which are views of the vector, or on the
        outputs of the kernel."""
        if self._step is not None:
            return Result(*self._step(vector))
        with torch.enable_grad():
            terms = self.evaluation(training=True)
            loss = (terms * self._weights).sum()
            found = torch.autograd.grad(loss, self._parameters.parameters, materialize_grads=True)
        return Result(loss.detach(), terms.detach(), self._parameters.join(found))

    def functional(self, vector: Tensor) -> Result:
        """As a function of the vector alone."""
        assert isinstance(self.evaluation, FastEvaluation)
        self.evaluation.net.train()
        with torch.enable_grad():
            named = {
                name: part.detach().requires_grad_()
                for name, part in self._parameters.split(vector).items()
            }
            terms = self.evaluation.of({**named, **self._buffers}, traced=True)
            loss = (terms * self._weights).sum()
            found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
        return Result(loss.detach(), terms.detach(), self._parameters.join(found))


def missing_ways(evaluation: LossEvaluation) -> dict[str, str]:
    """The ways that an evaluation does not have, and why."""
    if not isinstance(evaluation, FastEvaluation):
        return dict.fromkeys(WAYS[1:], "DeepXDE's own evaluation is run as it is")
    kernels = ("kernel", "kernel+inductor")
    if not isinstance(evaluation, TaylorEvaluation):
        return dict.fromkeys(kernels, "derivatives are taken by reverse mode")
    try:
        evaluation.make_kernel()
    except Unsupported as reason:
        return dict.fromkeys(kernels, str(reason))
    return {}


def _compile(compute: Compute, vector: Tensor) -> Compute:
    """The computation traced and compiled by inductor."""
    run = compile_traced(compute, vector)
    return lambda vector: Result(*run(vector))


def _capture(compute: Compute, vector: Tensor) -> Compute:
    """The computation's kernels captured in a CUDA graph, on the vector where it lies now."""
    captured = capture(functools.partial(compute, vector))

    def run(other: Tensor) -> Result:
        assert other.data_ptr() == vector.data_ptr()
        return Result(*captured())

    return run


def _reason(error: Exception) -> str:
    # What follows from a failure may hide what made it fail.
    cause = error.__context__ or error
    return str(cause) if isinstance(cause, Unsupported) else typed(cause)
