"""A potential's step on a CUDA device: loss and gradients captured once for each shape of batch.

A step of SchNet launches 757 kernels, which takes 28 ms on an H100 whatever the batch; replaying
them takes one launch. The parameters are read where they lie, the batch from buffers of the graph.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.training.capture import Captured, NotCaptured, capture
from bench.training.gradients import training_mode
from bench.training.traced import Function, compile_traced
from suites.molecular.data.static_batches import Layout, StaticBatch
from suites.molecular.engine.step import Result, StepFunction


class _Shape(NamedTuple):
    """What runs batches of one shape.

    Attributes:
        run: Of the parameters and the batch; as it is, or compiled.
        shapes: Of its results, by which they are cut out of the captured ones.
        captured: The results as one vector, captured; ``None``: they cannot be.
    """

    run: Function
    shapes: list[torch.Size]
    captured: Captured | None


class CapturedFunction:
    """Loss terms, gradients and statistics of batches on a CUDA device.

    Args:
        function: Computes them.
        compiled: Whether what is captured is compiled.

    Attributes:
        compiled: The same.
        how: For the record: how it is executed, seconds and number of shapes that were set up.
    """

    def __init__(self, function: StepFunction, compiled: bool) -> None:
        self._function = function
        self.compiled = compiled
        self._shapes: dict[Layout, _Shape] = {}
        self._pool: Any = None
        executed = "compiled" if compiled else "static"
        self.how: dict[str, Any] = {"executed": executed, "setup_s": 0.0, "shapes": 0}

    def __call__(self, batch: StaticBatch) -> Result:
        """Of a batch; set up when a batch of its shape is first met.

        Raises:
            Exception: Whatever tracing or the compiler raises.
        """
        shape = self._shapes.get(batch.layout)
        if shape is None:
            start = time.perf_counter()
            # What is tried changes a user's running statistics, which a step does once.
            with training_mode(self._function.net):
                shape = self._shapes[batch.layout] = self._set_up(batch)
            self.how["shapes"] += 1
            self.how["setup_s"] += time.perf_counter() - start
        if shape.captured is None:
            return self._function.result(shape.run(*self._function.arguments(batch)))
        (found,) = shape.captured(*batch.tensors.values())
        parts = found.split([size.numel() for size in shape.shapes])
        return self._function.result(
            [part.view(size) for part, size in zip(parts, shape.shapes, strict=True)]
        )

    def _set_up(self, batch: StaticBatch) -> _Shape:
        arguments = self._function.arguments(batch)
        run = self._function.function(batch)
        if self.compiled:
            run = compile_traced(run, *arguments)
        parameters = arguments[0]
        shapes = [tensor.shape for tensor in run(*arguments)]

        def joined(*tensors: Tensor) -> tuple[Tensor]:
            # One result is copied out of the graph by one kernel.
            return (torch.cat([part.flatten() for part in run(parameters, *tensors)]),)

        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        try:
            captured = capture(joined, *batch.tensors.values(), pool=self._pool)
        except NotCaptured as reason:
            self.how["not_captured"] = str(reason)
            return _Shape(run, shapes, None)
        if not self.how["executed"].endswith("graph"):
            self.how["executed"] += ", CUDA graph"
        return _Shape(run, shapes, captured)
