"""Energies, forces and stresses of a batch of static shape, by a potential's own modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import schnetpack.properties as structure
import torch
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor

from bench.techniques.norm_layers import BatchNorm1d, apart_statistics
from suites.molecular.data.static_batches import StaticBatch
from suites.molecular.engine.operators import FixedRows, StaticOperators, rows_of_batch
from suites.molecular.models.potential import predict_energies
from suites.molecular.models.triplet_keys import JI, KJ


class Predicted:
    """Predictions with their graph.

    Attributes:
        energies: (B,)
        forces: (A, 3), 0 for padding.
        stresses: (B, 3, 3), NaN for a frame that is not periodic along all three lattice vectors;
            ``None`` if not asked for.
    """

    def __init__(self, energies: Tensor, forces: Tensor, stresses: Tensor | None) -> None:
        self.energies = energies
        self.forces = forces
        self.stresses = stresses


class PaddedPotential(Protocol):
    """A potential on batches of static shape.

    Attributes:
        net: The network whose parameters it has.
        norms: Its batch norms, which put their new running statistics in ``updated``.
    """

    net: NeuralNetworkPotential
    norms: list[BatchNorm1d]

    def __call__(self, batch: StaticBatch, stressed: bool = False) -> Predicted:
        """Predictions, with a graph for their derivatives where the network is in training mode.

        Args:
            batch: Frames.
            stressed: With stresses, as `suites.molecular.stress.predict_with_stress` has them.
        """


class StaticPotential:
    """Implements `PaddedPotential` by the network's own modules.

    Args:
        net: The potential.
    """

    def __init__(self, net: NeuralNetworkPotential) -> None:
        self.net = net
        self.norms = [module for module in net.modules() if isinstance(module, BatchNorm1d)]
        self._fixed = FixedRows(net)

    def __call__(self, batch: StaticBatch, stressed: bool = False) -> Predicted:
        """See `PaddedPotential`."""
        create = self.net.training
        tensors = batch.tensors
        positions = tensors[structure.R].detach().requires_grad_()
        given = dict(tensors)
        given[structure.R] = positions
        wanted = [positions]
        with self._static(batch), torch.enable_grad():
            if stressed:
                strain = torch.zeros_like(tensors[structure.cell]).requires_grad_()
                wanted.append(strain)
                _strain(given, strain)
            energies = predict_energies(self.net, self._schnetpack_batch(batch, given))
            gradients = torch.autograd.grad(
                energies.sum(), wanted, create_graph=create, materialize_grads=True
            )
        forces = -gradients[0]
        if not stressed:
            return Predicted(energies, forces, None)
        return Predicted(energies, forces, stress_of_virial(gradients[1], tensors))

    @contextmanager
    def _static(self, batch: StaticBatch) -> Iterator[None]:
        layout, tensors = batch
        weights = {}
        if not layout.full:
            weights[layout.pairs] = tensors["pair_mask"][:, None]
        if not layout.same_size:
            weights[layout.atoms] = tensors["atom_mask"][:, None]
        rows = rows_of_batch(layout, tensors)
        operators = StaticOperators(rows, self._fixed.rows, layout.frames, tensors[structure.idx_m])
        with apart_statistics(self.norms, weights), operators:
            yield

    def _schnetpack_batch(self, batch: StaticBatch, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch by the names that the modules read."""
        found = {**given, structure.n_atoms: given["frame_atoms"]}
        if batch.layout.triplets:
            found |= {JI: given["ji"], KJ: given["kj"]}
        return found


def stress_of_virial(virial: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """(B, 3, 3) stresses, NaN for a frame that is not periodic along all three lattice vectors.

    Args:
        virial: (B, 3, 3), the derivative of the energies by a symmetric strain.
        tensors: Of the batch.
    """
    volume = _volume(tensors[structure.cell])
    periodic = (tensors["periodic"] > 0) & (volume > 0)
    # Never divided by 0, since NaN times a gradient of 0 is NaN.
    stress = virial / torch.where(periodic, volume, 1.0)[:, None, None]
    return torch.where(periodic[:, None, None], stress, torch.nan)


def _strain(given: dict[str, Tensor], strain: Tensor) -> None:
    """Deform positions and offsets, in place of the dictionary's; see `suites.molecular.stress`."""
    symmetric = (strain + strain.mT) / 2
    of_atoms = symmetric[given[structure.idx_m]]
    of_pairs = of_atoms[given[structure.idx_i]]
    for key, matrices in ((structure.R, of_atoms), (structure.offsets, of_pairs)):
        vectors = given[key]
        given[key] = vectors + (vectors[:, :, None] * matrices).sum(1)


def _volume(cell: Tensor) -> Tensor:
    """(B,) volumes of (B, 3, 3) cells; a determinant of small matrices in plain operators."""
    a, b, c = cell.unbind(1)
    return (a * torch.linalg.cross(b, c)).sum(1).abs()
