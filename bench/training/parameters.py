"""A network's parameters, and the unknowns of an inverse problem, as one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType

import torch
from torch import Tensor, nn


class FlatParameters:
    """The trained parameters of a network, moved into one vector that they become views of.

    One kernel updates them all.

    Args:
        net: Its parameters, of one dtype, keep their names, shapes and values; they may be written
            to in place, not replaced.
        unknowns: Further parameters by name, which come last.

    Attributes:
        vector: Shape ``(n_parameters,)``, all of them.
        parts: What an optimiser updates: the vector, or with unknowns its two parts, the network's
            and the unknowns', as parameters of their own in the same memory.
    """

    def __init__(
        self, net: nn.Module, unknowns: Mapping[str, nn.Parameter] = MappingProxyType({})
    ) -> None:
        of_net = {name: p for name, p in net.named_parameters() if p.requires_grad}
        named = {**of_net, **unknowns}
        self.parameters = list(named.values())
        self._shapes = {name: parameter.shape for name, parameter in named.items()}
        self._sizes = [parameter.numel() for parameter in self.parameters]
        starts = accumulate(self._sizes, initial=0)
        self._starts = {id(p): start for p, start in zip(self.parameters, starts, strict=False)}
        self.vector = nn.Parameter(self.join(self.parameters))
        last = sum(unknown.numel() for unknown in unknowns.values())
        self._ends = [self.vector.numel() - last, last]
        self.parts = [self.vector]
        if unknowns:
            self.parts = [nn.Parameter(part) for part in self.vector.detach().split(self._ends)]
        self.move_to(self.vector.detach())

    def move_to(self, vector: Tensor) -> None:
        """Make the parameters, and `vector` itself, views of a vector that has their values."""
        self.vector.data = vector
        if len(self.parts) > 1:
            for part, view in zip(self.parts, vector.split(self._ends), strict=True):
                part.data = view
        for parameter, view in zip(self.parameters, self.split(vector).values(), strict=True):
            parameter.data = view

    def holds(self, parameter: Tensor) -> bool:
        """Whether a tensor is one of the parameters, and a view of the vector still."""
        start = self._starts.get(id(parameter))
        if start is None:
            return False
        vector = self.vector
        # What has no element has no memory.
        return (
            not parameter.numel()
            or parameter.data_ptr() == vector.data_ptr() + start * vector.element_size()
        )

    def split_parts(self, vector: Tensor) -> Sequence[Tensor]:
        """A vector as `vector` is, as views of what `parts` are."""
        return vector.split(self._ends) if len(self.parts) > 1 else [vector]

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
