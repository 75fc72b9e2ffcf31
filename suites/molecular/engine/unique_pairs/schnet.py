"""SchNet's features of atoms, on unique pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from schnetpack.nn import Dense
from schnetpack.representation import SchNet
from schnetpack.representation.schnet import SchNetInteraction
from torch import Tensor, nn

from suites.molecular.engine.unique_pairs.known import Obstacle, require, require_dense
from suites.molecular.engine.unique_pairs.pair_algebra import PairTable, pair_sum
from suites.molecular.engine.unique_pairs.radial import Filter, Radial
from suites.molecular.engine.unique_pairs.row_operators import dense


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
        #: For each interaction the place of its filter, which several may share.
        self._places: list[int] = []
        places: dict[nn.Module, int] = {}
        for block in module.interactions:
            require(block, SchNetInteraction)
            require_dense([block.in2f])
            require_dense(block.f2out)
            network = block.filter_network
            if network not in places:
                places[network] = len(places)
                self._filters.append(require_dense(network, of_pairs=True))
            self._places.append(places[network])

    def filters(self, radial: Radial) -> list[Filter]:
        """One for each filter network."""
        return [_filter(layers, radial) for layers in self._filters]

    def features(
        self, table: PairTable, numbers: Tensor, directions: Tensor, filters: Sequence[Tensor]
    ) -> Tensor:
        """(A, features); see `Representation`."""
        del directions
        x: Tensor = self._module.embedding(numbers)
        for block, place in zip(self._module.interactions, self._places, strict=True):
            x = x + dense(block.f2out, pair_sum(table, filters[place], dense([block.in2f], x)))
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
        if not isinstance(layer.activation, nn.Identity):
            tangent = _slope(x, y) * tangent
    return Filter(x * radial.cutoff, tangent * radial.cutoff + x * radial.cutoff_slope)


def _slope(y: Tensor, x: Tensor) -> Tensor:
    """dy/dx, element by element, with its graph."""
    (found,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return found
