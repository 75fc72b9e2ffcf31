"""The compiled training step of a run, and why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.text.errors import typed
from bench.training.gradients import training_mode
from suites.molecular.data.static_batches import StaticFrames
from suites.molecular.engine.step import Result, StepFunction

#: Largest relative difference of loss and gradient between the paths, by the type.
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-2}

Losses = Callable[[np.ndarray], Mapping[str, Tensor]]


class _Precomputed(torch.autograd.Function):
    """Lets an optimiser's ``backward`` find gradients that were computed with the loss."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[:count])
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        scaled = torch._foreach_mul(list(gradients), by_loss)
        return None, None, *[None] * len(gradients), *scaled


class CompiledStep:
    """Loss terms of batches, whose gradient was computed with them in one compiled function.

    Args:
        function: Of the network that is trained.
        frames: Of training.
        parameters: Those that are trained.
        net: The network.
        plain: The loss terms of frames as the modules compute them.
        insist: Whether a failure is an error.
    """

    def __init__(
        self,
        function: StepFunction,
        frames: StaticFrames,
        parameters: Sequence[nn.Parameter],
        net: nn.Module,
        plain: Losses,
        insist: bool,
    ) -> None:
        self._function = function
        self._frames = frames
        self._parameters = list(parameters)
        self._net = net
        self._plain = plain
        self._insist = insist
        self._usable: bool | None = None
        #: How steps are run, for the record; ``setup_s``: seconds that compiling took.
        self.how: dict[str, Any] = {"executed": "compiled", "setup_s": 0.0, "shapes": 0}

    def losses(self, rows: np.ndarray) -> Mapping[str, Tensor]:
        """Loss terms of the frames `rows`, ``loss`` with a graph to the parameters.

        Raises:
            Exception: Whatever tracing or the compiler raises, if it is insisted on them.
        """
        if self._usable is None:
            self._usable = self._agrees(rows)
        result = self._compiled(rows) if self._usable else None
        if result is None:
            return self._plain(rows)
        self._function.keep(result)
        loss = _Precomputed.apply(
            result.terms["loss"], len(self._parameters), *result.gradients, *self._parameters
        )
        return {**result.terms, "loss": loss}

    def loss_and_gradients(self, rows: np.ndarray) -> list[Tensor]:
        """Loss of the frames `rows` and its gradients, on padded batches but not compiled."""
        found = self._function(self._frames.batch(rows))
        return [found.terms["loss"], *found.gradients]

    def _compiled(self, rows: np.ndarray) -> Result | None:
        batch = self._frames.batch(rows)
        start = time.perf_counter()
        new = not self._function.knows(batch)
        try:
            result = self._function.compiled(batch)
        except Exception as error:  # no compiler, a user's own part that cannot be traced
            if self._insist:
                raise
            self._usable = False
            self.how = {"executed": "eager", "not_compiled": typed(error)}
            return None
        if new:
            self.how["shapes"] += 1
            self.how["setup_s"] += time.perf_counter() - start
        return result

    def _agrees(self, rows: np.ndarray) -> bool:
        """Whether the padded batch gives the plain one's loss and gradients.

        A user's own part may look at more than the row that it is given.
        """
        try:
            with training_mode(self._net):
                plain = self._plain(rows)["loss"]
                expected = torch.autograd.grad(plain, self._parameters, materialize_grads=True)
                found = self.loss_and_gradients(rows)
        except Exception as error:
            if self._insist:
                raise
            self.how = {"executed": "eager", "not_compiled": typed(error)}
            return False
        pairs = zip(found, [plain, *expected], strict=True)
        differences = torch.stack([(a - b).detach().double().norm() for a, b in pairs])
        scale = torch.stack([b.detach().double().norm() for b in (plain, *expected)]).max()
        difference = float(differences.max() / scale) if scale > 0 else float(differences.max())
        if difference <= _TOLERANCE[plain.dtype] or not bool(torch.isfinite(scale)):
            return True
        reason = f"padded batches give another loss or gradient, by {difference:.1e}"
        if self._insist:
            raise RuntimeError(reason)
        self.how = {"executed": "eager", "not_compiled": reason}
        return False
