"""CGCNN: gated convolutions over pairs, with batch norm and layer norm, and a mean over atoms.

T. Xie and J. C. Grossman, Crystal Graph Convolutional Neural Networks for an Accurate and
Interpretable Prediction of Material Properties, Physical Review Letters 120, 145301 (2018), in
the form of the Open Catalyst Project (L. Chanussot et al., arXiv 2010.09990), which normalises
the summed messages by a layer norm and takes forces from the energy. arXiv 2310.01649 trained
that form.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from schnetpack import properties
from schnetpack.nn import Dense, GaussianRBF, scatter_add
from torch import Tensor, nn
from torch.nn import functional

from bench.techniques.normalization import Normalization
from suites.molecular.models.dense import torch_dense
from suites.molecular.models.nonlinearity import Nonlinearity
from suites.molecular.models.starts import CGCNN_ELEMENTS


class CGCNNInteraction(nn.Module):
    """One gated convolution (Xie and Grossman, equation 5).

    With z_ij = norm(W [x_i, x_j, e_ij] + b) in two halves g_ij and c_ij,
    x_i ← softplus(x_i + LN(Σ_j sigmoid(g_ij) · softplus(c_ij))).

    Args:
        n_atom_basis: Features of an atom.
        n_rbf: Features of a pair.
        normalization: Makes ``norm``, whose rows are pairs; published: batch norm.
    """

    def __init__(self, n_atom_basis: int, n_rbf: int, normalization: Normalization) -> None:
        super().__init__()
        self.linear = Dense(2 * n_atom_basis + n_rbf, 2 * n_atom_basis)
        self.norm = normalization(2 * n_atom_basis)
        self.message_nonlinearity = Nonlinearity(functional.softplus, n_atom_basis)
        self.layer_norm = nn.LayerNorm(n_atom_basis)
        self.update_nonlinearity = Nonlinearity(functional.softplus, n_atom_basis)

    def forward(self, x: Tensor, e_ij: Tensor, idx_i: Tensor, idx_j: Tensor) -> Tensor:
        """New features of the atoms.

        Args:
            x: (atoms, n_atom_basis) features of the atoms.
            e_ij: (pairs, n_rbf) features of the pairs.
            idx_i: (pairs,) the atom that receives the message.
            idx_j: (pairs,) the atom that sends it.
        """
        z_ij = self.norm(self.linear(torch.cat([x[idx_i], x[idx_j], e_ij], dim=1)))
        gate, core = z_ij.chunk(2, dim=1)
        # The gate stays a sigmoid whatever the arm: it is no activation for the hook to find.
        messages = torch.sigmoid(gate) * self.message_nonlinearity(core)
        received = scatter_add(messages, idx_i, dim_size=x.shape[0])
        result: Tensor = self.update_nonlinearity(x + self.layer_norm(received))
        return result


class CGCNN(nn.Module):
    """Features of the atoms from `n_interactions` gated convolutions.

    * The atoms start from a learned embedding of the element, as in SchNetPack's models. The
      Open Catalyst Project has fixed k-hot properties of the element and a linear layer; the
      embedding starts with the deviation that this layer's features have.
    * A convolution's batch norm runs over all pairs of the batch: in training mode −∂ΣE/∂R mixes
      the frames, and the result depends on which pairs the neighbour list holds.
      "Denormalised" means ``normalization=nn.Identity``; the layer norm, atom by atom, stays.
    * There is no cutoff envelope, as published: a pair counts in full until it leaves the
      neighbour list, so the energy jumps there. The list must hold just the pairs within `cutoff`.
    * An atom without neighbours is allowed. Batch statistics of a batch without any pair are
      those of no rows: `torch.nn.BatchNorm1d` leaves its running ones as they are.

    Activation sites: ``message_nonlinearity`` and ``update_nonlinearity`` of every interaction.

    Args:
        n_atom_basis: Features of an atom.
        n_interactions: Convolutions.
        radial_basis: Expands distances, (pairs,) to (pairs, n_rbf).
        cutoff: Cutoff radius of the neighbour list, in Å.
        normalization: Called with the number of features; makes the convolutions' ``norm``.

    Shape:
        Reads SchNetPack's ``Z`` (atoms,), ``Rij`` (pairs, 3), ``idx_i`` and ``idx_j`` (pairs,),
        and sets ``scalar_representation`` (atoms, n_atom_basis).
    """

    cutoff: Tensor

    def __init__(
        self,
        n_atom_basis: int,
        n_interactions: int,
        radial_basis: GaussianRBF,
        cutoff: float,
        normalization: Normalization = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.n_atom_basis = n_atom_basis
        self.register_buffer("cutoff", torch.tensor([float(cutoff)]))
        self.embedding = nn.Embedding(100, n_atom_basis)
        nn.init.normal_(self.embedding.weight, std=CGCNN_ELEMENTS)
        self.radial_basis = radial_basis
        self.interactions = nn.ModuleList(
            CGCNNInteraction(n_atom_basis, radial_basis.n_rbf, normalization)
            for _ in range(n_interactions)
        )

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        idx_i, idx_j = inputs[properties.idx_i], inputs[properties.idx_j]
        e_ij = self.radial_basis(torch.linalg.vector_norm(inputs[properties.Rij], dim=1))
        x = self.embedding(inputs[properties.Z])
        for interaction in self.interactions:
            x = interaction(x, e_ij, idx_i, idx_j)
        inputs["scalar_representation"] = x
        return inputs


class CGCNNReadout(nn.Module):
    """The energy of a frame from the mean of its atoms' features.

    The mean makes the energy intensive: that of two distant copies of a molecule is the energy of
    one, not twice. Frames of one size, as in MD17, do not notice.

    Activation sites: every layer of ``hidden``.

    Args:
        n_in: Features of an atom.
        n_hidden: Features of the fully connected layers.
        n_layers: Fully connected layers with an activation, softplus as published. The Open
            Catalyst Project's configuration has 3 of 128 behind three convolutions of 512.
        output_key: Name under which the energy is stored.

    Shape:
        Reads ``scalar_representation`` (atoms, n_in) and SchNetPack's ``idx_m`` (atoms,) and
        ``n_atoms`` (frames,), and sets `output_key` (frames,).
    """

    def __init__(
        self, n_in: int, n_hidden: int, n_layers: int = 3, output_key: str = properties.energy
    ) -> None:
        super().__init__()
        self.output_key = output_key
        self.model_outputs = [output_key]
        sizes = [n_in, *[n_hidden] * n_layers]
        self.hidden = nn.Sequential(
            *(torch_dense(i, o, activation=functional.softplus) for i, o in pairwise(sizes))
        )
        self.linear = torch_dense(sizes[-1], 1)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        n_atoms = inputs[properties.n_atoms]
        x = inputs["scalar_representation"]
        total = scatter_add(x, inputs[properties.idx_m], dim_size=n_atoms.shape[0])
        inputs[self.output_key] = self.linear(self.hidden(total / n_atoms[:, None])).squeeze(-1)
        return inputs
