"""A network's parameters as one vector: one kernel updates them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class FlatParameters:
    """The trained parameters of a network, moved into one vector that they become views of.

    Args:
        net: Its parameters, of one dtype, keep their names, shapes and values; they may be written
            to in place, not replaced.

    Attributes:
        vector: Shape ``(n_parameters,)``, what an optimiser updates.
    """

    def __init__(self, net: nn.Module) -> None:
        named = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.parameters = list(named.values())
        self._shapes = {name: parameter.shape for name, parameter in named.items()}
        self._sizes = [parameter.numel() for parameter in self.parameters]
        self.vector = nn.Parameter(self.join(self.parameters))
        self.move_to(self.vector.detach())

    def move_to(self, vector: Tensor) -> None:
        """Make the parameters, and `vector` itself, views of a vector that has their values."""
        self.vector.data = vector
        for parameter, view in zip(self.parameters, self.split(vector).values(), strict=True):
            parameter.data = view

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Tensors of the parameters' shapes as one vector; the opposite of `split`."""
        lead = tensors[0].shape[: tensors[0].ndim - len(next(iter(self._shapes.values())))]
        return torch.cat([tensor.detach().reshape(*lead, -1) for tensor in tensors], dim=-1)

    def split(self, vector: Tensor) -> Mapping[str, Tensor]:
        """A vector as views of the parameters' shapes, by name.

        Args:
            vector: Shape ``(…, n_parameters)``; a leading axis stays.
        """
        parts = vector.split(self._sizes, dim=-1)
        return {
            name: part.view((*vector.shape[:-1], *shape))
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
