"""SchNet's features of atoms, on unique pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from schnetpack.nn import Dense
from schnetpack.representation import SchNet
from schnetpack.representation.schnet import SchNetInteraction
from torch import Tensor

from suites.molecular.engine.unique_pairs.known import Obstacle, require, require_dense
from suites.molecular.engine.unique_pairs.pair_algebra import PairTable, pair_sum
from suites.molecular.engine.unique_pairs.radial import Filter, Radial
from suites.molecular.engine.unique_pairs.row_operators import dense, linear


class SchNetOnPairs:
    """Implements `suites.molecular.engine.unique_pairs.potential.Representation`.

    A filter is a function of the distance, so that the two directions of a pair share it. Its slope
    comes from the tangents of the filter network.

    Args:
        module: SchNetPack's module, whose weights are used.

    Raises:
        Obstacle: The module is not one that is known.
    """

    directed = False

    def __init__(self, module: SchNet) -> None:
        require(module, SchNet)
        if len(module.electronic_embeddings):
            raise Obstacle("SchNet has electronic embeddings")
        self._module = module
        self._filters: list[list[Dense]] = []
        for block in module.interactions:
            require(block, SchNetInteraction)
            require_dense([block.in2f])
            require_dense(block.f2out)
            self._filters.append(require_dense(block.filter_network, of_pairs=True))

    def filters(self, radial: Radial) -> list[Filter]:
        """One for each interaction."""
        made: dict[int, Filter] = {}
        for layers in self._filters:
            # Interactions may share their layers.
            if id(layers[0]) not in made:
                made[id(layers[0])] = _filter(layers, radial)
        return [made[id(layers[0])] for layers in self._filters]

    def features(
        self, table: PairTable, numbers: Tensor, directions: Tensor, filters: Sequence[Tensor]
    ) -> Tensor:
        """(A, features); see `Representation`."""
        del directions
        x: Tensor = self._module.embedding(numbers)
        for block, w in zip(self._module.interactions, filters, strict=True):
            x = x + dense(block.f2out, pair_sum(table, w, dense([block.in2f], x)))
        return x


def _filter(layers: Sequence[Dense], radial: Radial) -> Filter:
    """The result of the filter network and its tangent, times the cutoff."""
    x, tangent = radial.basis, radial.basis_slope
    for layer in layers:
        # Values and tangents in one product.
        y, tangent = (torch.cat([x, tangent]) @ layer.weight.mT).split(len(x))
        if layer.bias is not None:
            y = y - (-layer.bias)
        x = layer.activation(y)
        if not isinstance(layer.activation, torch.nn.Identity):
            tangent = _slope(x, y) * tangent
    return Filter(
        x * radial.cutoff, tangent * radial.cutoff + x * radial.cutoff_slope
    )


def _slope(y: Tensor, x: Tensor) -> Tensor:
    """dy/dx, element by element, with its graph."""
    (found,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return found
