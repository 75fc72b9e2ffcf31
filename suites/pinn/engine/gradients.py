"""The loss and its gradient as one function of the parameters: run, compiled, or captured.

A compiled network whose loss differentiates by its inputs has no gradient in torch (AOTAutograd has
no double backward). So the whole computation, gradient included, is traced into one graph of plain
operators, and that is compiled. On a CUDA device its kernels are captured once and replayed, since
launching them takes longer than running them.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from suites.pinn.engine.evaluation import FastEvaluation
from suites.pinn.engine.parameters import FlatParameters

if TYPE_CHECKING:
    from suites.pinn.derivatives import LossEvaluation

#: Measured on a core of 46 to 65 GFLOP/s, see docs/measurements/pinn-engine.md: seconds to compile,
#: and what a step then saves: its operators' overhead, and a part of the matrix products' time.
_COMPILE_SECONDS = 25.0
_SAVED_OVERHEAD = 4e-3
_SAVED_PER_FLOP = 0.8 / 50e9
#: So many times the seconds to compile must be saved.
_MARGIN = 2.0


class Result(NamedTuple):
    """Of one computation.

    Attributes:
        loss: The weighted sum, a scalar.
        terms: Loss terms, shape ``(n_terms,)``.
        gradient: Of the loss, shape ``(n_parameters,)``.
    """

    loss: Tensor
    terms: Tensor
    gradient: Tensor


Compute = Callable[[Tensor], Result]


class _LossAndGradient(torch.autograd.Function):
    """Lets an optimiser's ``backward`` find the gradient that was computed with the loss."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, compute: Compute) -> tuple[Tensor, Tensor]:
        loss, terms, gradient = compute(vector.detach())
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(terms)
        return loss, terms

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return by_loss * gradient, None


def loss_and_terms(vector: Tensor, compute: Compute) -> tuple[Tensor, Tensor]:
    """The loss, which has a graph to `vector` alone, and the terms, detached."""
    loss, terms = _LossAndGradient.apply(vector, compute)
    return loss, terms


def worth_compiling(steps: int, flops: float) -> bool:
    """Whether a run saves more time by a compiled step than compiling takes.

    Decided from counts and not from the clock: it changes the last digits of a result, which must
    not depend on how busy a machine is.

    Args:
        steps: Of the run.
        flops: Floating-point operations of the matrix products of a step.
    """
    return steps * (_SAVED_OVERHEAD + _SAVED_PER_FLOP * flops) > _MARGIN * _COMPILE_SECONDS


@dataclass
class TrainingGradient:
    """What a training step computes, set up when it is first called.

    Args:
        evaluation: The loss terms.
        weights: Of the terms.
        parameters: Of the network.
        buffers: Of the network, by name.
        compile: ``on``, ``off``, or ``auto``: by `worth_compiling`.
        steps: Of the run.
    """

    evaluation: LossEvaluation
    weights: Tensor
    parameters: FlatParameters
    buffers: Mapping[str, Tensor]
    compile: str
    steps: int
    _run: Compute | None = field(default=None, init=False)
    _how: dict[str, Any] = field(default_factory=lambda: {"executed": "eager"}, init=False)

    def __call__(self, vector: Tensor) -> Result:
        """Loss, terms and gradient.

        Args:
            vector: The parameters' own, shape ``(n_parameters,)``, detached.
        """
        if self._run is None:
            self._run = self._set_up(vector)
        return self._run(vector)

    def describe(self) -> dict[str, Any]:
        """How it is run, and the seconds that setting it up took."""
        return self._how

    def of(self, evaluation: LossEvaluation) -> TrainingGradient:
        """The same for other points. Not compiled anew: that would take longer than it saves."""
        return replace(self, evaluation=evaluation, compile="off")

    @property
    def flops(self) -> float:
        """Floating-point operations of a step's matrix products, about; 0 for DeepXDE's own."""
        if not isinstance(self.evaluation, FastEvaluation):
            return 0.0
        return 6.0 * self.evaluation.row_passes * self.parameters.vector.numel()

    def _set_up(self, vector: Tensor) -> Compute:
        fast = isinstance(self.evaluation, FastEvaluation)
        cuda = vector.device.type == "cuda"
        wanted = self.compile == "on" or (
            # On a GPU replaying the kernels does what compiling them is for.
            self.compile == "auto" and not cuda and worth_compiling(self.steps, self.flops)
        )
        start = time.perf_counter()
        run: Compute = self._eager
        if fast and wanted:
            try:
                run = _compiled(self._functional, vector)
                self._how["executed"] = "compiled"
            except Exception as error:  # no compiler, or one that fails
                if self.compile == "on":
                    raise
                self._how["not_compiled"] = _reason(error)
        if fast and cuda:
            try:
                run = _captured(run, vector)
                self._how["executed"] += ", CUDA graph"
            except Exception as error:  # a PDE that copies from the host cannot be captured
                self._how["not_captured"] = _reason(error)
        if run is not self._eager:
            self._how["setup_s"] = time.perf_counter() - start
        return run

    def _eager(self, vector: Tensor) -> Result:
        """By autograd on the network's own parameters, which are views of the vector."""
        del vector
        with torch.enable_grad():
            terms = self.evaluation(training=True)
            loss = (terms * self.weights).sum()
            found = torch.autograd.grad(loss, self.parameters.parameters, materialize_grads=True)
        return Result(loss.detach(), terms.detach(), self.parameters.join(found))

    def _functional(self, vector: Tensor) -> Result:
        """As a function of the vector alone, which can be traced."""
        assert isinstance(self.evaluation, FastEvaluation)
        with torch.enable_grad():
            named = {
                name: part.detach().requires_grad_()
                for name, part in self.parameters.split(vector).items()
            }
            terms = self.evaluation.of({**named, **self.buffers})
            loss = (terms * self.weights).sum()
            found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
        return Result(loss.detach(), terms.detach(), self.parameters.join(found))


def _compiled(compute: Compute, vector: Tensor) -> Compute:
    """The computation traced and compiled by inductor."""
    with _compiler():
        graph = make_fx(compute)(vector.clone())
        function = torch.compile(graph, fullgraph=True, dynamic=False)

        def run(vector: Tensor) -> Result:
            with torch.no_grad():
                return Result(*function(vector))

        run(vector)
    return run


@contextlib.contextmanager
def _compiler() -> Iterator[None]:
    """Inductor, quiet and on this core alone."""
    import torch._inductor.config as inductor

    with warnings.catch_warnings(), inductor.patch(compile_threads=1):
        warnings.simplefilter("ignore")
        yield


def _captured(compute: Compute, vector: Tensor) -> Compute:
    """The computation's kernels captured in a CUDA graph, on the vector where it lies now."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # what is set up or remembered at the first call is not to be captured
            compute(vector)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = compute(vector)

    def run(other: Tensor) -> Result:
        assert other.data_ptr() == vector.data_ptr()
        graph.replay()
        # The next replay writes over them.
        return Result(*(tensor.clone() for tensor in found))

    return run


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
