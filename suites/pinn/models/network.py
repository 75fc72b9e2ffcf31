"""The fully connected network with pluggable activation and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.techniques.activation import make_activations
from bench.techniques.norm_layers import measuring, pointwise_norms, statistics_of
from bench.techniques.normalization import make_normalization
from bench.techniques.rescaling import Scale
from suites.pinn.backend import dde

OutputTransform = Callable[[Tensor, Tensor], Tensor]


class FNN(dde.nn.NN):
    """Fully connected network: (linear, normalisation, activation) × depth, then linear.

    In training mode the rows of a call are the training rows, of which
    `bench.techniques.norm_layers.PointwiseBatchNorm` takes its statistics.

    Args:
        n_inputs: Number of inputs.
        n_outputs: Number of outputs.
        width: Features of each hidden layer.
        depth: Number of hidden layers.
        activation: Token of the activation axis.
        normalization: Token of the normalisation axis.
        norm_last: The normalisation stands after the activation, as in the published network, but
            in a module list, so that it is trained (there it is in a plain list and is not).

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
        norm_last: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.norm_last = norm_last
        self.initialized: Mapping[str, Any] = {}
        sizes = [n_inputs, *[width] * depth, n_outputs]
        dtype = dde.config.real(torch)
        self.linears = nn.ModuleList(nn.Linear(i, o, dtype=dtype) for i, o in pairwise(sizes))
        self.activations = nn.ModuleList(
            module.to(dtype) for module in make_activations(activation, [width] * depth)
        )
        self.norms = nn.ModuleList(
            make_normalization(normalization, width).to(dtype) for _ in range(depth)
        )

    @property
    def hidden_ends(self) -> nn.ModuleList:
        """The last module of each hidden layer."""
        return self.norms if self.norm_last else self.activations

    def forward(self, inputs: Tensor) -> Tensor:
        norms = [norm for norm in pointwise_norms(self.norms) if norm.training]
        if not norms:
            return self._outputs(inputs, self._hidden(inputs))
        if not (inputs.requires_grad and torch.is_grad_enabled()):
            # Nothing is differentiated by the inputs: one pass does for both.
            with measuring(norms):
                return self._outputs(inputs, self._hidden(inputs))
        with statistics_of(norms, lambda: self._hidden(inputs.detach())):
            return self._outputs(inputs, self._hidden(inputs))

    def keep_statistics(self, points: Tensor) -> None:
        """Evaluate with the statistics that the present parameters give over training points.

        Args:
            points: All training rows, each as often as the loss has it, shape ``(n, n_inputs)``.
        """
        norms = pointwise_norms(self.norms)
        if norms:
            with torch.no_grad(), measuring(norms):
                self._hidden(points)
                for norm in norms:
                    norm.keep()

    def compute_inside(
        self, within: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
    ) -> None:
        """Let the problem's own transforms compute inside something.

        Args:
            within: Makes such a function of a transform.
        """
        given: Any = vars(self).get("_input_transform")
        if given is not None:  # else none, or a module, which is a part of this network
            self._input_transform = within(given)
        if isinstance(self._output_transform, RescaledOutput):
            self._output_transform.then = within(self._output_transform.then)

    def _hidden(self, inputs: Tensor) -> Tensor:
        """Features of the last hidden layer."""
        x = inputs if self._input_transform is None else self._input_transform(inputs)
        hidden = zip(self.linears[:-1], self.activations, self.norms, strict=True)
        for linear, activation, norm in hidden:
            x = linear(x)
            x = norm(activation(x)) if self.norm_last else activation(norm(x))
        return x

    def _outputs(self, inputs: Tensor, features: Tensor) -> Tensor:
        x: Tensor = self.linears[-1](features)
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
        self.plain = all((scale.factor, scale.offset) == (1, 0) for scale in scales)
        self.then = then

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        scaled = outputs if self.plain else outputs * self.factor + self.offset
        return self.then(inputs, scaled)
