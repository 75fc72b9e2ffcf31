"""PaiNN's features of atoms, on unique pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from schnetpack.nn import Dense
from schnetpack.representation import PaiNN
from schnetpack.representation.painn import PaiNNInteraction, PaiNNMixing
from torch import Tensor, nn

from suites.molecular.engine.unique_pairs.known import Obstacle, require, require_dense
from suites.molecular.engine.unique_pairs.pair_algebra import PairTable, pair_sum
from suites.molecular.engine.unique_pairs.radial import Filter, Radial
from suites.molecular.engine.unique_pairs.row_operators import linear_blocks, scale_rows

#: What the three blocks of a filter multiply: scalar messages, and vectors along the pair and of
#: the other atom.
_SCALAR, _ALONG, _OF_OTHER = range(3)


class PaiNNOnPairs:
    """Implements `suites.molecular.engine.unique_pairs.potential.Representation`.

    The two directions of a pair share the filters, and the vectors along it differ by their sign.
    What is multiplied by the first vectors, which are 0, and what the last are changed by is left
    out.

    Args:
        module: SchNetPack's module, whose weights are used.

    Raises:
        Obstacle: The module is not one that is known.
    """

    directed = True

    def __init__(self, module: PaiNN) -> None:
        require(module, PaiNN)
        if len(module.electronic_embeddings):
            raise Obstacle("PaiNN has electronic embeddings")
        self._module = module
        self._width: int = module.n_atom_basis
        self._contexts: list[list[Dense]] = []
        self._mixings: list[list[Dense]] = []
        _require_linear(module.filter_net)
        for interaction, mixing in zip(module.interactions, module.mixing, strict=True):
            require(interaction, PaiNNInteraction)
            require(mixing, PaiNNMixing)
            _require_linear(mixing.mu_channel_mix)
            for networks, layers in (
                (self._contexts, interaction.interatomic_context_net),
                (self._mixings, mixing.intraatomic_context_net),
            ):
                networks.append(require_dense(layers))
                _require_linear(networks[-1][-1])

    @property
    def _per_interaction(self) -> list[list[int]]:
        """The blocks of the filter layer by interaction: two of the first, three of others."""
        count = len(self._contexts)
        starts = [0 if self._module.share_filters else 3 * i for i in range(count)]
        return [
            [start + block for block in (_SCALAR, _ALONG, _OF_OTHER)[: 3 if i else 2]]
            for i, start in enumerate(starts)
        ]

    def filters(self, radial: Radial) -> list[Filter]:
        """The blocks of filters, without those of no interaction."""
        wanted = sorted({block for blocks in self._per_interaction for block in blocks})
        layer = self._module.filter_net
        # (φ W + b) f(r) has the slope φ' W f + (φ W + b) f': each is a product with W and b.
        basis = torch.cat(
            [
                torch.cat([radial.basis * radial.cutoff, radial.cutoff], 1),
                torch.cat(
                    [
                        radial.basis_slope * radial.cutoff + radial.basis * radial.cutoff_slope,
                        radial.cutoff_slope,
                    ],
                    1,
                ),
            ]
        )
        if layer.bias is None:
            basis, matrix = basis[:, :-1], layer.weight
        else:
            matrix = torch.cat([layer.weight, layer.bias[:, None]], 1)
        rows = matrix.split(self._width)
        matrix = torch.cat([rows[block] for block in wanted])
        values, slopes = (basis @ matrix.mT).split(len(radial.cutoff))
        pairs = zip(values.split(self._width, 1), slopes.split(self._width, 1), strict=True)
        return [Filter(*pair) for pair in pairs]

    def features(
        self, table: PairTable, numbers: Tensor, directions: Tensor, filters: Sequence[Tensor]
    ) -> Tensor:
        """(A, features); see `Representation`."""
        blocks = self._per_interaction
        wanted = sorted({block for some in blocks for block in some})
        by_block = dict(zip(wanted, filters, strict=True))
        along = directions.mT[:, :, None]
        q: Tensor = self._module.embedding(numbers)
        mu: Tensor | None = None
        last = len(blocks) - 1
        for i, of_filter in enumerate(blocks):
            x = linear_blocks(self._contexts[i], q, self._width, range(len(of_filter)))
            w = [by_block[block] for block in of_filter]
            dq = pair_sum(table, w[_SCALAR], x[_SCALAR])
            vectors = scale_rows(along, w[_ALONG])
            dmu = pair_sum(table, vectors, x[_ALONG].expand(3, -1, -1), odd=True)
            if mu is not None:
                of_other = x[_OF_OTHER] * mu
                dmu = mu + dmu + pair_sum(table, w[_OF_OTHER], of_other)
            q, mu = self._mixed(i, q + dq, dmu, i == last)
        return q

    def _mixed(self, i: int, q: Tensor, mu: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Scalars (A, features) and vectors (3, A, features) after the mixing of interaction i."""
        mixing = self._module.mixing[i]
        mixed = mu.flatten(0, 1) @ mixing.mu_channel_mix.weight.mT
        v, w = (half.view(mu.shape) for half in mixed.split(self._width, 1))
        norms = (v.square().sum(0) + mixing.epsilon).sqrt()
        wanted = (0, 2) if last else (0, 1, 2)
        found = linear_blocks(self._mixings[i], torch.cat([q, norms], 1), self._width, wanted)
        scalars, by_product = found[0], found[-1]
        q = q + scalars + by_product * (v * w).sum(0)
        return q, mu if last else mu + found[1] * w


def _require_linear(layer: nn.Module) -> None:
    """Raises Obstacle unless a layer is SchNetPack's without an activation."""
    (found,) = require_dense([layer])
    require(found.activation, nn.Identity)
