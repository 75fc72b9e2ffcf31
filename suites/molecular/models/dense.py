"""A dense layer with torch's start."""

from __future__ import annotations

from collections.abc import Callable

from schnetpack.nn import Dense
from torch import Tensor, nn


def torch_dense(
    n_in: int, n_out: int, activation: Callable[[Tensor], Tensor] | None = None
) -> Dense:
    """SchNetPack's layer, which the hooks know, with the first weights of `torch.nn.Linear`.

    Args:
        n_in: Features of a row.
        n_out: Features of the result.
        activation: What follows the linear map.
    """
    layer = Dense(n_in, n_out, activation=activation)
    # Dense overrides it by Glorot's weights and zero biases.
    nn.Linear.reset_parameters(layer)
    return layer
