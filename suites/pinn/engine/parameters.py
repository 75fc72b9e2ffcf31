"""A network's parameters as one vector: one kernel updates them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class FlatParameters:
    """The parameters of a network, moved into one vector that they become views of.

    Args:
        net: Its parameters keep their names, shapes and values; they may be written to in place,
            not replaced.

    Attributes:
        vector: Shape ``(n_parameters,)``, what an optimiser updates.
    """

    def __init__(self, net: nn.Module) -> None:
        named = dict(net.named_parameters())
        self.parameters = list(named.values())
        self._shapes = {name: parameter.shape for name, parameter in named.items()}
        self._sizes = [parameter.numel() for parameter in self.parameters]
        self.vector = nn.Parameter(self.join(self.parameters))
        views = self.split(self.vector.detach())
        for name, parameter in named.items():
            parameter.data = views[name]

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Tensors of the parameters' shapes as one vector."""
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])

    def split(self, vector: Tensor) -> Mapping[str, Tensor]:
        """A vector as views of the parameters' shapes, by name.

        Args:
            vector: Shape ``(…, n_parameters)``; a leading axis stays.
        """
        parts = vector.split(self._sizes, dim=-1)
        return {
            name: part.view(*vector.shape[:-1], *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
