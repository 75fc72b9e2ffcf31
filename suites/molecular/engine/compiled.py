"""The compiled training step of a run, and why there is none."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.text.errors import typed
from bench.training.gradients import training_mode
from bench.training.parameters import FlatParameters
from suites.molecular.data.static_batches import StaticBatch, StaticFrames
from suites.molecular.engine.captured import CapturedFunction
from suites.molecular.engine.step import Result, StepFunction

#: Largest relative difference of loss and gradient between the paths, by the type.
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-2}


class LossAndGradient(NamedTuple):
    """What a training step needs of a batch.

    Attributes:
        terms: Loss terms in the labels' unit, and ``loss``, which is minimised; without a graph.
        gradient: Of ``loss`` by the vector of the parameters.
    """

    terms: Mapping[str, Tensor]
    gradient: Tensor


class CompiledStep:
    """Loss terms of batches and their gradient, computed in one compiled function.

    Args:
        function: Of the network that is trained.
        frames: Of training.
        parameters: Those that are trained.
        net: The network.
        plain: The same of frames as the modules compute them.
        insist: Whether a failure is an error.
        captured: The same function on a CUDA device, where its kernels are captured.
    """

    def __init__(
        self,
        function: StepFunction,
        frames: StaticFrames,
        parameters: FlatParameters,
        net: nn.Module,
        plain: Callable[[np.ndarray], LossAndGradient],
        insist: bool,
        captured: CapturedFunction | None = None,
    ) -> None:
        self._function = function
        self._frames = frames
        self._parameters = parameters
        self._net = net
        self._plain = plain
        self._insist = insist
        self._captured = captured
        self._usable: bool | None = None
        self._plainly = False
        #: How steps are run, for the record; ``setup_s``: seconds that compiling took.
        self.how: dict[str, Any] = {"executed": "compiled", "setup_s": 0.0, "shapes": 0}

    def uncompiled(self) -> CompiledStep:
        """The same steps on the same padded batches, neither compiled nor checked at the first.

        For what counts their operators, and compares their numbers.
        """
        found = copy.copy(self)
        found._plainly = found._usable = True
        found.how = {"executed": "padded", "setup_s": 0.0, "shapes": 0}
        return found

    def __call__(self, rows: np.ndarray) -> LossAndGradient:
        """Of the frames `rows`.

        Raises:
            Exception: Whatever tracing or the compiler raises, if it is insisted on them.
        """
        if self._usable is None:
            self._usable = self._agrees(rows)
        result = self._compiled(rows) if self._usable else None
        if result is None:
            return self._plain(rows)
        self._function.keep(result)
        return LossAndGradient(result.terms, result.gradient)

    def loss_and_gradients(self, rows: np.ndarray) -> list[Tensor]:
        """Loss of the frames `rows` and its gradient by each parameter.

        On padded batches, but not compiled.
        """
        captured = self._captured
        uncompiled = self._function if captured is None or captured.compiled else captured
        found = uncompiled(self._frames.batch(rows))
        return [found.terms["loss"], *self._parameters.split(found.gradient).values()]

    def _compiled(self, rows: np.ndarray) -> Result | None:
        batch = self._frames.batch(rows)
        if self._captured is not None:
            return self._replayed(self._captured, batch)
        start = time.perf_counter()
        new = not self._plainly and not self._function.knows(batch)
        try:
            function = self._function
            result = function(batch) if self._plainly else function.compiled(batch)
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

    def _replayed(self, captured: CapturedFunction, batch: StaticBatch) -> Result | None:
        try:
            result = captured(batch)
        except Exception as error:
            if self._insist:
                raise
            self._usable = False
            self.how = {"executed": "eager", "not_captured": typed(error)}
            return None
        self.how = captured.how
        if "not_captured" in self.how and not captured.compiled:
            # Without a graph padded batches launch more kernels than the plain ones.
            self._usable = False
            self.how = {"executed": "eager", "not_captured": self.how["not_captured"]}
            return None
        return result

    def _agrees(self, rows: np.ndarray) -> bool:
        """Whether the padded batch gives the plain one's loss and gradients.

        A user's own part may look at more than the row that it is given.
        """
        try:
            with training_mode(self._net):
                plain = self._plain(rows)
                found = self.loss_and_gradients(rows)
        except Exception as error:
            if self._insist:
                raise
            self.how = {"executed": "eager", "not_compiled": typed(error)}
            return False
        expected = [plain.terms["loss"], *self._parameters.split(plain.gradient).values()]
        pairs = zip(found, expected, strict=True)
        differences = torch.stack([(a - b).double().norm() for a, b in pairs])
        scale = torch.stack([b.double().norm() for b in expected]).max()
        difference = float(differences.max() / scale) if scale > 0 else float(differences.max())
        if difference <= _TOLERANCE[plain.gradient.dtype] or not bool(torch.isfinite(scale)):
            return True
        reason = f"padded batches give another loss or gradient, by {difference:.1e}"
        if self._insist:
            raise RuntimeError(reason)
        self.how = {"executed": "eager", "not_compiled": reason}
        return False
