"""DimeNet++: messages along pairs, which see the angles between them.

J. Gasteiger, S. Giri, J. T. Margraf and S. Günnemann, Fast and Uncertainty-Aware Directional
Message Passing for Non-Equilibrium Molecules, arXiv 2011.14115, and J. Gasteiger, J. Groß and
S. Günnemann, Directional Message Passing for Molecular Graphs, arXiv 2003.03123 ("DimeNet").

The blocks are PyTorch Geometric's. Its own model is not used: it searches neighbours itself, needs
compiled extensions that have no wheels, knows no periodic images, and has forces that are not
finite where three atoms are in a line.
"""

from __future__ import annotations

import importlib
import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from schnetpack import properties
from schnetpack.nn import scatter_add
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn
from torch.nn import functional

from bench.text.errors import BadInput
from suites.molecular.models.nonlinearity import Nonlinearity
from suites.molecular.models.triplet_keys import JI, KJ

_MESSAGES = "dimenet_messages"
_RADIAL_BASIS = "dimenet_radial_basis"

#: In Å; far above the rounding of coordinates, far below any lattice vector.
_SAME_IMAGE = 1e-2


def _library() -> Any:
    # Imported here because it takes seconds, which the other models need not wait for.
    try:
        return importlib.import_module("torch_geometric.nn.models.dimenet")
    except ImportError as error:
        raise BadInput(
            f"dimenet++ needs PyTorch Geometric ({error}): pip install torch_geometric"
        ) from error


def triplets(idx_i: Tensor, idx_j: Tensor, r_ij: Tensor, n_atoms: int) -> tuple[Tensor, Tensor]:
    """All pairs of messages k→j and j→i, without those that come straight back (k = i).

    Under periodic boundary conditions k may be another image of i: only the same image is left
    out, which is where the two vectors cancel.

    Args:
        idx_i: (pairs,) int64, the atom that receives the message, in any order.
        idx_j: (pairs,) int64, the atom that sends it.
        r_ij: (pairs, 3) vectors from i to the image of j, in Å.
        n_atoms: Atoms in the batch.

    Returns:
        (triplets,) int64 twice: the pair j→i, ascending, and the pair k→j, as rows of `idx_i`.
    """
    received = torch.bincount(idx_i, minlength=n_atoms)
    by_receiver = torch.argsort(idx_i, stable=True)
    first = received.cumsum(0) - received
    # Pair j→i has one candidate for each message that j receives.
    candidates = received[idx_j]
    ji = torch.repeat_interleave(torch.arange(len(idx_i), device=idx_i.device), candidates)
    begin = candidates.cumsum(0) - candidates
    rank = torch.arange(len(ji), device=idx_i.device) - begin[ji]
    kj = by_receiver[first[idx_j[ji]] + rank]
    back = (idx_i[ji] == idx_j[kj]) & ((r_ij[ji] + r_ij[kj]).abs().amax(1) < _SAME_IMAGE)
    return ji[~back], kj[~back]


def bessel_zeros(num_orders: int, num_zeros: int) -> np.ndarray:
    """(num_orders, num_zeros) float64, first positive zeros of the spherical Bessel functions j_l.

    The zeros of j_{l+1} lie one between each two of j_l, and those of j_0 are nπ.
    """

    def bessel(x: float, order: int) -> float:
        return float(spherical_jn(order, x))

    zeros = np.pi * np.arange(1, num_zeros + num_orders)
    rows = [zeros[:num_zeros]]
    for order in range(1, num_orders):
        zeros = np.array([brentq(bessel, a, b, args=(order,)) for a, b in pairwise(zeros)])
        rows.append(zeros[:num_zeros])
    return np.stack(rows)


class SphericalBasis(nn.Module):
    """The joint basis of distance and angle (DimeNet, equation 6, with its envelope).

    a_ln(d, θ) = u(d/c) · N_ln · j_l(z_ln d/c) · Y_l0(θ), N_ln = √(2 / j_{l+1}(z_ln)²), where z_ln
    is the n-th zero of j_l and u the envelope, which contains the factor c/d. The values are those
    of PyTorch Geometric's `SphericalBasisLayer`, with three differences:

    * Y_l0 is a polynomial of cos θ by the recurrence of Legendre's polynomials, and θ itself does
      not occur. So all derivatives are finite where three atoms are in a line; those of θ are not.
    * j_l comes from its recurrence in l, always in float64: where z_ln d/c is small that loses
      digits, as closed forms do, and float32 has none to spare.
    * No computer algebra, which takes 20 s for the published sizes.

    Args:
        num_spherical: Orders l, from 0.
        num_radial: Zeros n of each.
        cutoff: c, in Å.
        envelope: Maps d/c to u(d/c).
    """

    zeros: Tensor
    scale: Tensor

    def __init__(
        self, num_spherical: int, num_radial: int, cutoff: float, envelope: nn.Module
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.envelope = envelope
        orders = np.arange(num_spherical)[:, None]
        zeros = bessel_zeros(num_spherical, num_radial)
        norms = math.sqrt(2) / np.abs(spherical_jn(orders + 1, zeros))
        scale = norms * np.sqrt((2 * orders + 1) / (4 * np.pi))
        self.register_buffer("zeros", torch.from_numpy(zeros), persistent=False)
        self.register_buffer("scale", torch.from_numpy(scale), persistent=False)

    def forward(self, d: Tensor, cosine: Tensor, kj: Tensor) -> Tensor:
        """The basis of each triplet.

        Args:
            d: (pairs,) distances, in Å.
            cosine: (triplets,) cos θ.
            kj: (triplets,) int64, the pair whose distance counts.

        Returns:
            (triplets, num_spherical · num_radial), l slower than n.
        """
        x = d / self.cutoff
        radial = self._bessel(x.double()).to(d.dtype) * self.scale
        radial = self.envelope(x)[:, None, None] * radial
        return (radial[kj] * self._legendre(cosine)[:, :, None]).flatten(1)

    def _bessel(self, x: Tensor) -> Tensor:
        # (pairs, l, n) j_l(z_ln x). The row of order l takes l steps from j_{−1} and j_0.
        z = x[:, None, None] * self.zeros
        before, j = torch.cos(z) / z, torch.sin(z) / z
        rows = [j[:, 0]]
        for order in range(1, self.zeros.shape[0]):
            z, before, j = z[:, 1:], j[:, 1:], (2 * order - 1) / z[:, 1:] * j[:, 1:] - before[:, 1:]
            rows.append(j[:, 0])
        return torch.stack(rows, dim=1)

    def _legendre(self, cosine: Tensor) -> Tensor:
        # (triplets, l) P_l(cos θ).
        before, p = torch.zeros_like(cosine), torch.ones_like(cosine)
        rows = [p]
        for order in range(1, self.zeros.shape[0]):
            before, p = p, ((2 * order - 1) * cosine * p - (order - 1) * before) / order
            rows.append(p)
        return torch.stack(rows, dim=1)


class DimeNetPlusPlus(nn.Module):
    """DimeNet++'s embedding and interaction blocks: messages along the pairs.

    * θ is the angle between the vectors k→j and j→i, as in the authors' code: π less that at j.
    * Pairs at the cutoff add nothing to the energy and its first two derivatives, whatever the
      activation: the envelope multiplies everything that leaves a pair.
    * All pairs of the neighbour list count; PyTorch Geometric keeps 32 for each atom by default.

    Activation sites: ``act`` of the embedding and of every interaction block, whose residual
    layers share it.

    Args:
        hidden_channels: Features of a message.
        num_blocks: Interaction blocks.
        cutoff: Cutoff radius of the neighbour list, in Å.
        int_emb_size: Features of a message while it meets the angles.
        basis_emb_size: Features that the bases are first reduced to.
        num_spherical: Orders of the spherical basis.
        num_radial: Radial functions of both bases; the frequencies of one are trained.
        envelope_exponent: p − 1, where the envelope is 1/x + a·x^(p−1) + b·x^p + c·x^(p+1).
        num_before_skip: Residual layers of a block before its skip connection.
        num_after_skip: Residual layers after it.

    Shape:
        Reads SchNetPack's ``Z`` (atoms,), ``Rij`` (pairs, 3), ``idx_i`` and ``idx_j`` (pairs,),
        and `JI` and `KJ` (triplets,), as `triplets` has them, where they are given, and sets
        ``dimenet_messages`` (num_blocks + 1, pairs, hidden_channels) and
        ``dimenet_radial_basis`` (pairs, num_radial) for `DimeNetReadout`.

    Raises:
        BadInput: PyTorch Geometric is not installed.
    """

    cutoff: Tensor

    def __init__(
        self,
        hidden_channels: int,
        num_blocks: int,
        cutoff: float,
        *,
        int_emb_size: int = 64,
        basis_emb_size: int = 8,
        num_spherical: int = 7,
        num_radial: int = 6,
        envelope_exponent: int = 5,
        num_before_skip: int = 1,
        num_after_skip: int = 2,
    ) -> None:
        super().__init__()
        library = _library()
        self.register_buffer("cutoff", torch.tensor([float(cutoff)]))
        self.radial_basis = library.BesselBasisLayer(num_radial, cutoff, envelope_exponent)
        self.spherical_basis = SphericalBasis(
            num_spherical, num_radial, cutoff, library.Envelope(envelope_exponent)
        )
        self.embedding = library.EmbeddingBlock(
            num_radial, hidden_channels, act=Nonlinearity(functional.silu, hidden_channels)
        )
        # The library's ends at element 94; this size is SchNetPack's.
        self.embedding.emb = nn.Embedding(100, hidden_channels)
        self.embedding.reset_parameters()
        self.interaction_blocks = nn.ModuleList(
            library.InteractionPPBlock(
                hidden_channels,
                int_emb_size,
                basis_emb_size,
                num_spherical,
                num_radial,
                num_before_skip,
                num_after_skip,
                # For features of messages and of triplets, which are not equally many.
                act=Nonlinearity(functional.silu, width=None),
            )
            for _ in range(num_blocks)
        )

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        numbers, r_ij = inputs[properties.Z], inputs[properties.Rij]
        idx_i, idx_j = inputs[properties.idx_i], inputs[properties.idx_j]
        if JI in inputs:
            ji, kj = inputs[JI], inputs[KJ]
        else:
            ji, kj = triplets(idx_i, idx_j, r_ij.detach(), len(numbers))
        d = torch.linalg.vector_norm(r_ij, dim=1)
        cosine = (r_ij[ji] * r_ij[kj]).sum(1) / (d[ji] * d[kj])
        rbf = self.radial_basis(d)
        sbf = self.spherical_basis(d, cosine, kj)
        messages = [self.embedding(numbers, rbf, idx_i, idx_j)]
        for block in self.interaction_blocks:
            messages.append(block(messages[-1], rbf, sbf, kj, ji))
        inputs[_MESSAGES] = torch.stack(messages)
        inputs[_RADIAL_BASIS] = rbf
        return inputs


class DimeNetReadout(nn.Module):
    """DimeNet++'s output blocks: the energy of a frame, from the messages after every block.

    Activation sites: ``act`` of every output block.

    Args:
        hidden_channels: Features of a message.
        num_blocks: Interaction blocks of the representation; it has one output block more.
        num_radial: Radial functions of the representation.
        out_emb_channels: Features of an atom.
        num_output_layers: Hidden layers of a block.
        output_initializer: Initialisation of a block's last layer: ``zeros`` or
            ``glorot_orthogonal``. With ``zeros``, the library's default, the energies of a new
            network are 0 and its first gradient reaches that layer only.
        output_key: Name under which the energy is stored.

    Shape:
        Reads what `DimeNetPlusPlus` sets and SchNetPack's ``Z`` and ``idx_m`` (atoms,), ``idx_i``
        (pairs,) and ``n_atoms`` (frames,), and sets `output_key` (frames,).

    Raises:
        BadInput: PyTorch Geometric is not installed.
    """

    def __init__(
        self,
        hidden_channels: int,
        num_blocks: int,
        *,
        num_radial: int = 6,
        out_emb_channels: int = 256,
        num_output_layers: int = 3,
        output_initializer: str = "zeros",
        output_key: str = properties.energy,
    ) -> None:
        super().__init__()
        library = _library()
        self.output_key = output_key
        self.model_outputs = [output_key]
        self.output_blocks = nn.ModuleList(
            library.OutputPPBlock(
                num_radial,
                hidden_channels,
                out_emb_channels,
                out_channels=1,
                num_layers=num_output_layers,
                act=Nonlinearity(functional.silu, out_emb_channels),
                output_initializer=output_initializer,
            )
            for _ in range(num_blocks + 1)
        )

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        idx_i, n_atoms = inputs[properties.idx_i], len(inputs[properties.Z])
        rbf = inputs[_RADIAL_BASIS]
        atomic = sum(
            block(messages, rbf, idx_i, num_nodes=n_atoms)
            for block, messages in zip(self.output_blocks, inputs[_MESSAGES], strict=True)
        )
        n_frames = inputs[properties.n_atoms].shape[0]
        energy = scatter_add(atomic, inputs[properties.idx_m], dim_size=n_frames)
        inputs[self.output_key] = energy.squeeze(-1)
        return inputs
