"""The fully connected network with pluggable activation and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.techniques.activation import make_activation
from bench.techniques.normalization import make_normalization
from bench.techniques.rescaling import Scale
from suites.pinn.backend import dde

OutputTransform = Callable[[Tensor, Tensor], Tensor]


class FNN(dde.nn.NN):
    """Fully connected network: (linear, activation, normalisation) × depth, then linear.

    The normalisation stands after the activation, as in the published ``fnn-bn``, but in a module
    list, so that it is trained (there it is in a plain list and is not).

    Args:
        n_inputs: Number of inputs.
        n_outputs: Number of outputs.
        width: Features of each hidden layer.
        depth: Number of hidden layers.
        activation: Token of the activation axis.
        normalization: Token of the normalisation axis.

    Attributes:
        initialized: For the record: what its initialisation says of itself.

    Shape:
        ``(rows, n_inputs)`` to ``(rows, n_outputs)``.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        width: int,
        depth: int,
        activation: str,
        normalization: str,
    ) -> None:
        super().__init__()
        self.width = width
        self.initialized: Mapping[str, Any] = {}
        sizes = [n_inputs, *[width] * depth, n_outputs]
        dtype = dde.config.real(torch)
        self.linears = nn.ModuleList(nn.Linear(i, o, dtype=dtype) for i, o in pairwise(sizes))
        self.activations = nn.ModuleList(
            make_activation(activation).to(dtype) for _ in range(depth)
        )
        self.norms = nn.ModuleList(
            make_normalization(normalization, width).to(dtype) for _ in range(depth)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        hidden = zip(self.linears[:-1], self.activations, self.norms, strict=True)
        for linear, activation, norm in hidden:
            x = norm(activation(linear(x)))
        x = self.linears[-1](x)
        return x if self._output_transform is None else self._output_transform(inputs, x)


class RescaledOutput(nn.Module):
    """u_i = C_i·N_i + b_i, followed by the problem's own output transform in the outputs' units.

    Args:
        scales: C_i and b_i of every output.
        then: The problem's output transform.

    Attributes:
        plain: Whether no output is rescaled.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, scales: Sequence[Scale], then: OutputTransform) -> None:
        super().__init__()
        dtype = dde.config.real(torch)
        self.register_buffer("factor", torch.tensor([s.factor for s in scales], dtype=dtype))
        self.register_buffer("offset", torch.tensor([s.offset for s in scales], dtype=dtype))
        self.plain = all(scale == Scale() for scale in scales)
        self.then = then

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        scaled = outputs if self.plain else outputs * self.factor + self.offset
        return self.then(inputs, scaled)
