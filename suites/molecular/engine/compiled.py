"""The compiled training step of a run, and why there is none."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from bench.text.errors import typed
from bench.training.gradients import training_mode
from bench.training.parameters import FlatParameters
from suites.molecular.data.static_batches import Layout, StaticBatch, StaticFrames
from suites.molecular.engine.agreement import Computed, Sizes, disagreement, sizes
from suites.molecular.engine.captured import CapturedFunction
from suites.molecular.engine.step import Result, StepFunction


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
        self._usable = True
        #: Shapes whose first batch agreed with the plain one.
        self._checked: set[Layout] = set()
        self._first: Sizes | None = None
        self._plainly = False
        #: How steps are run, for the record; ``setup_s``: seconds that compiling took.
        self.how: dict[str, Any] = {"executed": "compiled", "setup_s": 0.0, "shapes": 0}

    def uncompiled(self) -> CompiledStep:
        """The same steps on the same padded batches, neither compiled nor checked.

        For what counts their operators, and compares their numbers.
        """
        found = copy.copy(self)
        found._plainly = True
        found.how = {"executed": "padded", "setup_s": 0.0, "shapes": 0}
        return found

    def __call__(self, rows: np.ndarray) -> LossAndGradient:
        """Of the frames `rows`.

        Raises:
            Exception: Whatever tracing or the compiler raises, if it is insisted on them.
        """
        result = self._usable_result(rows) if self._usable else None
        if result is None:
            return self._plain(rows)
        self._function.keep(result)
        return LossAndGradient(result.terms, result.gradient)

    def loss_and_gradients(self, rows: np.ndarray) -> list[Tensor]:
        """Loss of the frames `rows` and its gradients, on padded batches but not compiled."""
        return self._listed(self._padded(self._frames.batch(rows)))

    def executed_loss_and_gradients(self, rows: np.ndarray) -> list[Tensor]:
        """The same as steps are executed, compiled or captured.

        Raises:
            Exception: Whatever tracing or the compiler raises.
        """
        batch = self._frames.batch(rows)
        with training_mode(self._net):
            if self._captured is not None:
                return self._listed(self._captured(batch))
            return self._listed(self._function.compiled(batch))

    def _padded(self, batch: StaticBatch) -> Result:
        captured = self._captured
        uncompiled = self._function if captured is None or captured.compiled else captured
        return uncompiled(batch)

    def _usable_result(self, rows: np.ndarray) -> Result | None:
        batch = self._frames.batch(rows)
        if not (self._plainly or batch.layout in self._checked or self._agrees(rows, batch)):
            return None
        return self._compiled(batch)

    def _fall_back(self, key: str, reason: str) -> None:
        """Go on without; the record keeps what was compiled before."""
        executed = "eager"
        if self.how["shapes"]:
            executed = f"{self.how['executed']}, then eager"
        kept = self.how if self.how["shapes"] else {}
        self._usable = False
        self.how = {**kept, "executed": executed, key: reason}

    def _compiled(self, batch: StaticBatch) -> Result | None:
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
            self._fall_back("not_compiled", typed(error))
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
            self._fall_back("not_captured", typed(error))
            return None
        self.how = captured.how
        if "not_captured" in self.how and not captured.compiled:
            # Without a graph padded batches launch more kernels than the plain ones.
            self._usable = False
            self.how = {"executed": "eager", "not_captured": self.how["not_captured"]}
            return None
        return result

    def _agrees(self, rows: np.ndarray, batch: StaticBatch) -> bool:
        """Whether the padded batch gives the plain one's loss, gradient and buffers.

        A user's own part may look at more than the row that it is given.
        """
        try:
            reason = self._difference(rows, batch)
        except Exception as error:
            if self._insist:
                raise
            self._fall_back("not_compiled", typed(error))
            return False
        if reason is None:
            self._checked.add(batch.layout)
            return True
        reason = f"padded batches give {reason}"
        if self._insist:
            raise RuntimeError(reason)
        self._fall_back("not_compiled", reason)
        return False

    def _difference(self, rows: np.ndarray, batch: StaticBatch) -> str | None:
        before = self._buffers()
        with training_mode(self._net):
            plain = self._plain(rows)
            expected = Computed(plain.terms["loss"], [plain.gradient], self._buffers())
        with training_mode(self._net):
            result = self._padded(batch)
            self._function.keep(result)
            found = Computed(result.terms["loss"], [result.gradient], self._buffers())
        if self._first is None:
            self._first = sizes(expected)
        return disagreement(found, expected, before, self._first)

    def _buffers(self) -> dict[str, Tensor]:
        return {name: buffer.detach().clone() for name, buffer in self._net.named_buffers()}

    def _listed(self, result: Result) -> list[Tensor]:
        return [result.terms["loss"], *self._parameters.split(result.gradient).values()]
