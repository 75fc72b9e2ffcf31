"""Stress of a potential: the derivative of its energy with respect to a strain of the cell."""

from __future__ import annotations

import torch
from schnetpack import properties
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor

from suites.molecular.models.potential import ENERGY, FORCES, predict_energies

STRESS = properties.stress


def predict_with_stress(
    potential: NeuralNetworkPotential, batch: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Energies, forces and stresses of a batch, from one energy.

    Under a strain ε of a frame every vector r of it, of atoms and of cell, is r·(1 + ε), with ε
    symmetric. The stress is σ = (1/V) ∂E/∂ε at ε = 0 (F. Knuth et al., Comput. Phys. Commun. 190,
    33 (2015), equation 2), as ASE has it: negative where the cell wants to expand.

    Args:
        potential: In training mode the result has a graph.
        batch: As `suites.molecular.data.batches.FrameTensors.batch` makes it; it is changed.

    Returns:
        ``energy`` (frames,), ``forces`` (atoms, 3) as without the stress, and ``stress``
        (frames, 3, 3), symmetric, in the energy's unit / Å³; NaN for a frame that is not periodic
        along all three lattice vectors.
    """
    cell = batch[properties.cell]
    positions = batch[properties.R].requires_grad_()
    strain = torch.zeros_like(cell, requires_grad=True)
    symmetric = (strain + strain.mT) / 2
    of_atoms = symmetric[batch[properties.idx_m]]
    of_pairs = of_atoms[batch[properties.idx_i]]
    strained = {
        **batch,
        properties.R: positions + _times(positions, of_atoms),
        properties.offsets: batch[properties.offsets] + _times(batch[properties.offsets], of_pairs),
        properties.cell: cell + cell @ symmetric,
    }
    with torch.enable_grad():
        energies = predict_energies(potential, strained)
    gradient, virial = torch.autograd.grad(
        energies.sum(), [positions, strain], create_graph=potential.training
    )
    volume = torch.linalg.det(cell).abs()
    periodic = batch[properties.pbc].view(-1, 3).all(dim=1) & (volume > 0)
    # Never divided by 0, since NaN times a gradient of 0 is NaN.
    stress = virial / torch.where(periodic, volume, 1.0)[:, None, None]
    return {
        ENERGY: energies,
        FORCES: -gradient,
        STRESS: torch.where(periodic[:, None, None], stress, torch.nan),
    }


def _times(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Each of (n, 3) vectors times its (n, 3, 3) matrix."""
    return (vectors[:, None, :] @ matrices).squeeze(1)
