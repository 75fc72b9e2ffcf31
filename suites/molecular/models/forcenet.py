"""A ForceNet-style potential: its blocks, with forces that are −∂E/∂R and an invariant energy.

W. Hu, M. Shuaibi, A. Das, S. Goyal, A. Sriram, J. Leskovec, D. Parikh and C. L. Zitnick, ForceNet:
A Graph Neural Network for Large-Scale Quantum Calculations, arXiv 2103.01436.

As published: messages with filters that depend on both atoms and on the pair, distances less the
atomic radii, a self term, residual updates, batch norm in the node networks and in the decoder
(none in the filters), swish.

Different from the publication:

* Forces are −∂E/∂R. ForceNet's decoder gives them directly; here it gives an energy per atom.
* The energy does not change under rotation and reflection, because a pair enters by distances
  only, as in ForceNet's own ablation "onlydist". The published spherical harmonics of the raw
  direction are not invariant; they need training on rotated copies.
* Distances are expanded in the radial basis, not in powers of sines, and not clamped to be
  positive, which would be a kink.
* A cosine cutoff whose slope vanishes there as well, so that forces are continuous. ForceNet
  weighs pairs by cos(πd/2r_c), which ends in a kink.
* Covalent radii of B. Cordero et al., Dalton Transactions 2008, 2832, by ASE.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from ase.data import covalent_radii
from schnetpack import properties
from schnetpack.nn import CosineCutoff, Dense, GaussianRBF, scatter_add
from torch import Tensor, nn
from torch.nn import functional

from bench.techniques.normalization import Normalization
from suites.molecular.models.dense import torch_dense
from suites.molecular.models.nonlinearity import Nonlinearity
from suites.molecular.models.starts import FORCENET_ELEMENTS

#: Rows of the tables by atomic number.
_ELEMENTS = 100


def normalized_mlp(
    n_in: int,
    n_out: int,
    normalization: Normalization,
    last: Callable[[int, int], nn.Module] = Dense,
) -> nn.Sequential:
    """Linear, normalisation, swish, linear; the order of ForceNet's node networks.

    Args:
        n_in: Features of a row and of the hidden layer.
        n_out: Features of the result.
        normalization: Makes the layer ``norm``.
        last: Makes the layer ``linear``.
    """
    network = nn.Sequential()
    network.add_module("hidden", Dense(n_in, n_in))
    network.add_module("norm", normalization(n_in))
    network.add_module("nonlinearity", Nonlinearity(functional.silu, n_in))
    network.add_module("linear", last(n_in, n_out))
    return network


class ForceNetInteraction(nn.Module):
    """One convolution with conditional filters, to be added to the features (residual).

    With h̃ = V h + c and the filter network f, m_i = Σ_j f(W e_ij + b, h_i, h_j) · w_ij · h̃_j
    + s · h̃_i; the result is ``node_network``(m_i). Products are feature by feature.

    Args:
        n_atom_basis: Features of an atom.
        n_edge: Features of a pair.
        normalization: Makes ``node_network.norm``, whose rows are atoms; published: batch norm.
    """

    def __init__(self, n_atom_basis: int, n_edge: int, normalization: Normalization) -> None:
        super().__init__()
        self.edge_linear = Dense(n_edge, n_atom_basis)
        self.filter_network = nn.Sequential(
            Dense(3 * n_atom_basis, n_atom_basis, activation=functional.silu),
            Dense(n_atom_basis, n_atom_basis, activation=functional.silu),
            Dense(n_atom_basis, n_atom_basis),
        )
        self.linear = Dense(n_atom_basis, n_atom_basis)
        self.self_weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, n_atom_basis)))
        self.node_network = normalized_mlp(n_atom_basis, n_atom_basis, normalization)

    def forward(
        self, h: Tensor, e_ij: Tensor, w_ij: Tensor, idx_i: Tensor, idx_j: Tensor
    ) -> Tensor:
        """Change of the atoms' features.

        Args:
            h: (atoms, n_atom_basis) features of the atoms.
            e_ij: (pairs, n_edge) features of the pairs.
            w_ij: (pairs,) cutoff envelope.
            idx_i: (pairs,) the atom that receives the message.
            idx_j: (pairs,) the atom that sends it.
        """
        conditions = torch.cat([self.edge_linear(e_ij), h[idx_i], h[idx_j]], dim=1)
        filters = self.filter_network(conditions) * w_ij[:, None]
        x = self.linear(h)
        received = scatter_add(filters * x[idx_j], idx_i, dim_size=h.shape[0])
        result: Tensor = self.node_network(received + self.self_weight * x)
        return result


class ForceNet(nn.Module):
    """Features of the atoms from `n_interactions` convolutions with conditional filters.

    The atoms start from a learned embedding of the element (the published "simple" features): a
    network behind it would add nothing, because every element has its own row already. It starts
    with the deviation of the published "full" features, which the paper trained. A pair has
    four distances in the radial basis: d, d − r_i, d − r_j and d − r_i − r_j, with covalent radii
    r. Pairs at or beyond the cutoff have no influence.

    Batch norm runs over all atoms of the batch: in training mode −∂ΣE/∂R mixes the frames, and
    `torch.nn.BatchNorm1d` raises ValueError for a batch of a single atom.
    "Denormalised" means ``normalization=nn.Identity``, here and in the decoder.

    Activation sites: ``filter_network.0``, ``filter_network.1`` and ``node_network.nonlinearity``
    of every interaction, and ``output``.

    Args:
        n_atom_basis: Features of an atom.
        n_interactions: Convolutions.
        radial_basis: Expands distances, (pairs, 4) to (pairs, 4, n_rbf). Some are negative, where
            Gaussians are smooth.
        cutoff_fn: Envelope of the distance, (pairs,) to the same, which keeps forces continuous.
        normalization: Called with the number of features; makes ``node_network.norm``.

    Shape:
        Reads SchNetPack's ``Z`` (atoms,), ``Rij`` (pairs, 3), ``idx_i`` and ``idx_j`` (pairs,),
        and sets ``scalar_representation`` (atoms, n_atom_basis).
    """

    radii: Tensor

    def __init__(
        self,
        n_atom_basis: int,
        n_interactions: int,
        radial_basis: GaussianRBF,
        cutoff_fn: CosineCutoff,
        normalization: Normalization = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.n_atom_basis = n_atom_basis
        self.radial_basis = radial_basis
        self.cutoff_fn = cutoff_fn
        radii = torch.tensor(covalent_radii[:_ELEMENTS], dtype=torch.get_default_dtype())
        self.register_buffer("radii", radii)
        self.embedding = nn.Embedding(_ELEMENTS, n_atom_basis)
        nn.init.normal_(self.embedding.weight, std=FORCENET_ELEMENTS)
        self.interactions = nn.ModuleList(
            ForceNetInteraction(n_atom_basis, 4 * radial_basis.n_rbf, normalization)
            for _ in range(n_interactions)
        )
        self.output = torch_dense(n_atom_basis, n_atom_basis, activation=functional.silu)

    @property
    def cutoff(self) -> Tensor:
        """(1,) the cutoff radius of the envelope, in Å."""
        result: Tensor = self.cutoff_fn.cutoff
        return result

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        idx_i, idx_j = inputs[properties.idx_i], inputs[properties.idx_j]
        numbers = inputs[properties.Z]
        d_ij = torch.linalg.vector_norm(inputs[properties.Rij], dim=1)
        radii = self.radii[numbers]
        r_i, r_j = radii[idx_i], radii[idx_j]
        distances = torch.stack([d_ij, d_ij - r_i, d_ij - r_j, d_ij - r_i - r_j], dim=1)
        e_ij = self.radial_basis(distances).flatten(1)
        w_ij = self.cutoff_fn(d_ij)
        h = self.embedding(numbers)
        for interaction in self.interactions:
            h = h + interaction(h, e_ij, w_ij, idx_i, idx_j)
        inputs["scalar_representation"] = self.output(h)
        return inputs


class ForceNetDecoder(nn.Module):
    """The energy of a frame, the sum of one energy per atom.

    The order of layers is that of ForceNet's decoder of forces. Batch norm runs over all atoms of
    the batch, as in `ForceNet`.

    Activation sites: ``network.nonlinearity``.

    Args:
        n_in: Features of an atom.
        normalization: Called with the number of features; makes ``network.norm``.
        output_key: Name under which the energy is stored.

    Shape:
        Reads ``scalar_representation`` (atoms, n_in) and SchNetPack's ``idx_m`` (atoms,) and
        ``n_atoms`` (frames,), and sets `output_key` (frames,).
    """

    def __init__(
        self,
        n_in: int,
        normalization: Normalization = nn.BatchNorm1d,
        output_key: str = properties.energy,
    ) -> None:
        super().__init__()
        self.output_key = output_key
        self.model_outputs = [output_key]
        self.network = normalized_mlp(n_in, 1, normalization, last=torch_dense)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        y = self.network(inputs["scalar_representation"])
        frames = inputs[properties.n_atoms].shape[0]
        energy = scatter_add(y, inputs[properties.idx_m], dim_size=frames)
        inputs[self.output_key] = energy.squeeze(-1)
        return inputs
