"""Energies, forces and stresses of a potential on unique pairs.

What depends on geometry alone is computed once for a pair and its reverse. The energy depends on
the positions through filters W(r) of distances r and, in PaiNN, directions u. Its derivative by
the filters comes from autograd, G = ∂E/∂W, and that of the filters by r from tangents, so that
dE/dr = Σ G·dW/dr, and no derivative passes the radial functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import schnetpack.properties as structure
import torch
from schnetpack.atomistic import Atomwise, Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential
from schnetpack.nn import CosineCutoff, GaussianRBF
from schnetpack.representation import PaiNN, SchNet
from torch import Tensor, nn

from bench.techniques.norm_layers import BatchNorm1d, apart_statistics
from suites.molecular.data.static_batches import StaticBatch
from suites.molecular.engine.operators import frame_rows
from suites.molecular.engine.prediction import Predicted, stress_of_virial
from suites.molecular.engine.unique_pairs.known import Obstacle, require, require_dense
from suites.molecular.engine.unique_pairs.painn import PaiNNOnPairs
from suites.molecular.engine.unique_pairs.pair_algebra import PairTable, pair_sum
from suites.molecular.engine.unique_pairs.radial import Filter, Radial, radial
from suites.molecular.engine.unique_pairs.row_operators import dense, row_sums
from suites.molecular.engine.unique_pairs.schnet import SchNetOnPairs


class Representation(Protocol):
    """Features of atoms from filters of unique pairs.

    Attributes:
        directed: The features depend on the directions of pairs.
    """

    directed: bool

    def filters(self, radial: Radial) -> list[Filter]:
        """The filters, of U pairs, with their slopes; each once, whatever uses it."""

    def features(
        self, table: PairTable, numbers: Tensor, directions: Tensor, filters: Sequence[Tensor]
    ) -> Tensor:
        """Features of the atoms, (A, features).

        Args:
            table: Of the pairs.
            numbers: (A,) atomic numbers.
            directions: (U, 3) unit vectors from the first atom of a pair to the second.
            filters: Values of `filters`.
        """


def unique_pair_form(net: nn.Module) -> UniquePairPotential | str:
    """A potential's form on unique pairs, or why there is none.

    Whatever normalises or activates atoms may be a user's own. What acts on pairs must act on each
    element alone, and all other modules must be exactly those of SchNetPack's SchNet and PaiNN with
    Gaussians and a cosine cutoff.
    """
    try:
        return UniquePairPotential(net)
    except Obstacle as obstacle:
        return str(obstacle)


class UniquePairPotential:
    """Implements `suites.molecular.engine.prediction.PaddedPotential` on unique pairs.

    Args:
        net: The potential, whose modules are read at every call.

    Raises:
        Obstacle: It has no form on unique pairs.
    """

    def __init__(self, net: nn.Module) -> None:
        require(net, NeuralNetworkPotential)
        assert isinstance(net, NeuralNetworkPotential)
        _require_chain(net)
        self.net = net
        self.norms = [module for module in net.modules() if isinstance(module, BatchNorm1d)]
        self._representation = _representation(net.representation)
        self._read_out = require_dense(net.output_modules[0].outnet)

    def __call__(self, batch: StaticBatch, stressed: bool = False) -> Predicted:
        """See `PaddedPotential`."""
        layout, tensors = batch
        table = PairTable(
            tensors["first"],
            tensors["second"],
            tensors["slot_pair"],
            tensors["slot_other"],
            tensors["slot_sign"],
            layout.full,
        )
        positions = tensors[structure.R].detach()
        vectors = positions[table.second] - positions[table.first] + tensors["offset"]
        weights = {} if layout.same_size else {layout.atoms: tensors["atom_mask"][:, None]}
        with apart_statistics(self.norms, weights), torch.enable_grad():
            energies, gradient = self._energies(batch, table, vectors)
        forces = pair_sum(table, gradient, torch.ones_like(positions), odd=True)
        if not stressed:
            return Predicted(energies, forces, None)
        outer = (vectors[:, :, None] * gradient[:, None, :]).flatten(1)
        # Half to each atom of a pair.
        of_atoms = 0.5 * pair_sum(table, outer, outer.new_ones(layout.atoms, 9))
        virial = frame_rows(layout, tensors).sum(of_atoms).unflatten(1, (3, 3))
        stresses = stress_of_virial((virial + virial.mT) / 2, tensors)
        return Predicted(energies, forces, stresses)

    def _energies(
        self, batch: StaticBatch, table: PairTable, vectors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energies, (B,), and the derivative of their sum by the pairs' vectors, (U, 3)."""
        layout, tensors = batch
        module = self.net.representation
        distances = vectors.square().sum(1, keepdim=True).sqrt()
        # Parts of one buffer: a compiler would divide anew for each feature along a direction.
        directions, distances = torch.cat([vectors / distances, distances], 1).split((3, 1), 1)
        functions = radial(module.radial_basis, module.cutoff_fn, distances)
        filters = self._representation.filters(functions)
        values = [f.value if f.value.requires_grad else f.value.requires_grad_() for f in filters]
        wanted = list(values)
        if self._representation.directed:
            wanted.append(directions.requires_grad_())
        features = self._representation.features(table, tensors[structure.Z], directions, values)
        of_atoms = dense(self._read_out, features)
        energies = frame_rows(layout, tensors).sum(of_atoms).squeeze(1)
        found = torch.autograd.grad(energies.sum(), wanted, create_graph=self.net.training)
        by_filters = zip(found, filters, strict=False)
        # Added before the features are, in one pass.
        products = [g * f.slope for g, f in by_filters]
        radial_part = row_sums(torch.stack(products).sum(0)) * directions
        if not self._representation.directed:
            return energies, radial_part
        across = found[-1]
        along = (across * directions).sum(1, keepdim=True)
        return energies, radial_part + (across - along * directions) / distances


def _representation(module: nn.Module) -> Representation:
    found: Representation
    if isinstance(module, SchNet):
        found = SchNetOnPairs(module)
    elif isinstance(module, PaiNN):
        found = PaiNNOnPairs(module)
    else:
        raise Obstacle(f"{type(module).__name__} has no form on unique pairs")
    require(module.radial_basis, GaussianRBF)
    require(module.cutoff_fn, CosineCutoff)
    require(module.embedding, nn.Embedding)
    return found


def _require_chain(net: NeuralNetworkPotential) -> None:
    """Raises Obstacle unless there are distances, a sum over atoms and forces, and no more."""
    for modules, known in (
        (net.input_modules, [PairwiseDistances]),
        (net.output_modules, [Atomwise, Forces]),
        (net.postprocessors, []),
    ):
        names = [type(module).__name__ for module in modules]
        if [type(module) for module in modules] != known:
            raise Obstacle(f"the potential has the modules {names}")
    read_out, forces = net.output_modules
    if read_out.aggregation_mode != "sum" or read_out.per_atom_output_key is not None:
        raise Obstacle("the energy is not the sum of atoms")
    if read_out.n_out != 1 or not forces.calc_forces or forces.calc_stress:
        raise Obstacle("the outputs are not an energy and forces")
