"""A trained PINN, rebuilt from its weights, and as a function of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import overload

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import ArrayLike
from torch import Tensor

from bench.spec.spec import Spec
from bench.text.errors import BadInput
from suites.pinn.models.network import FNN
from suites.pinn.task import PINNTask, build

#: Points that go through the network at a time.
_ROWS = 65_536


def trained_task(spec: Spec, weights: Mapping[str, Tensor], device: torch.device) -> PINNTask:
    """The task of a run at its end. It has no labels, so training cannot go on with it.

    Args:
        spec: The spec of the run.
        weights: The weights of the trained network.
        device: The device of the task.

    Raises:
        BadInput: The run has trained other unknowns than the problem has now.
    """
    # Unchecked, and without the labels, which can be most of the points: nothing is trained.
    unlabelled = {**spec.settings, "supervised": {"fraction": 0.0, "most": None}}
    task = build(replace(spec, settings=unlabelled), device)
    task.load_weights(weights)
    # The scales are those of the weights, whether or not they are one without the labels.
    task.net.get_submodule("_output_transform").plain = False
    return task


class Solution:
    """The solution that a PINN has found, as a function of points.

    Args:
        module: The network, which maps ``(n, inputs)`` to ``(n, outputs)`` in the problem's units.
        inputs: Number of its inputs; space first, time last.
        outputs: Names of the outputs.
        unknowns: The unknowns of an inverse problem by name, as they were found.
    """

    def __init__(
        self,
        module: FNN,
        inputs: int,
        outputs: Sequence[str],
        unknowns: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        self.module = module.eval()
        self.inputs = inputs
        self.outputs = tuple(outputs)
        self.unknowns = dict(unknowns)

    @overload
    def __call__(self, points: Tensor) -> Tensor: ...

    @overload
    def __call__(self, points: ArrayLike) -> np.ndarray: ...

    def __call__(self, points: ArrayLike | Tensor) -> np.ndarray | Tensor:
        """The solution at points.

        Args:
            points: Points of shape ``(n, inputs)``. Of a tensor, the solution can be
                differentiated by them.

        Returns:
            The outputs, of shape ``(n, outputs)`` and in the problem's units; a tensor of a tensor.

        Raises:
            BadInput: The points have another shape.
        """
        given = points if isinstance(points, Tensor) else np.asarray(points)
        if given.ndim != 2 or given.shape[1] != self.inputs:
            raise BadInput(f"points have the shape (n, {self.inputs}), got {tuple(given.shape)}")
        parameter = next(self.module.parameters())
        if isinstance(given, Tensor):
            return self.module(given.to(parameter.device, parameter.dtype))
        rows = torch.as_tensor(given, dtype=parameter.dtype, device=parameter.device)
        with torch.no_grad():
            parts = [self.module(part).cpu() for part in rows.split(_ROWS)]
        return torch.cat(parts).numpy()

    def __repr__(self) -> str:
        return f"<solution ({', '.join(self.outputs)}) of {self.inputs} inputs>"


def solution(spec: Spec, weights: Mapping[str, Tensor], device: torch.device) -> Solution:
    """The solution that a run has found; the arguments are those of `trained_task`."""
    task = trained_task(spec, weights, device)
    values = task.unknowns.state_dict().items()
    unknowns = {name: value.cpu().numpy() for name, value in values}
    return Solution(task.net, task.data.train_x.shape[1], task.problem.outputs, unknowns)
