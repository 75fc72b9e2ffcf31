"""ASE's calculator for a potential that is in memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from bench.text.errors import BadInput
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.exported import ExportedPotential
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.units import in_ev


class LoadedCalculator(Calculator):
    """A trained potential, for molecular dynamics and relaxation of atoms and cells.

    Energies in eV, forces in eV/Å and, of structures that are periodic along all three lattice
    vectors, stresses in eV/Å³. ``free_energy`` is the energy: there are no electrons to smear.

    The first structure whose composition is unlike those of the training frames is a warning.

    Args:
        potential: A trained potential.
        device: The device on which the network runs.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's own declaration)

    def __init__(self, potential: ExportedPotential, device: str = "cpu") -> None:
        super().__init__()
        self.potential = potential
        self._device = torch.device(device)
        self._net = self.potential.net.to(self._device)
        self._warned = False

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces"),
        system_changes: Any = all_changes,
    ) -> None:
        """Energy, forces and stress of `atoms`; all of them, whatever `properties` are asked for.

        Raises:
            BadInput: The atoms have an element that the potential has never seen.
        """
        super().calculate(atoms, properties, system_changes)
        present = self.atoms
        assert present is not None
        found = _frame(present, self.potential.energy_unit)
        self._check_elements(found)
        self._warn_once(found)
        pairs = neighbor_pairs(found, self.potential.cutoff)
        tensors = FrameTensors(
            found, pairs, found.energies, found.forces, self._device, self.potential.dtype
        )
        batch = tensors.batch(np.array([0]))
        periodic = bool(found.pbc.all())
        output = predict_with_stress(self._net, batch) if periodic else self._net(batch)
        scale, unit = self.potential.scale, in_ev(self.potential.energy_unit)
        energy = float(output[ENERGY][0].detach()) * scale.factor + float(scale.reference(found)[0])
        forces = output[FORCES].detach().double().cpu().numpy() * scale.factor
        self.results = {
            "energy": energy * unit,
            "free_energy": energy * unit,
            "forces": forces * unit,
        }
        if periodic:
            stress = output[STRESS][0].detach().double().cpu().numpy() * scale.factor * unit
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def _check_elements(self, found: Frames) -> None:
        """An element outside the training has a random embedding."""
        known = self.potential.elements
        strange = sorted(set(found.numbers.tolist()) - set(known))
        if strange:
            raise BadInput(
                f"the potential ({self.potential.title}) knows the elements {sorted(known)}, not"
                f" {strange}"
            )

    def _warn_once(self, found: Frames) -> None:
        """Say that the structure is unlike those of the training."""
        compositions = self.potential.compositions
        if self._warned or compositions is None:
            return
        reason = compositions.unlike(found)
        if reason is not None:
            self._warned = True
            warnings.warn(
                f"the potential ({self.potential.title}) was not trained on structures like"
                f" {found.source}: {reason}",
                stacklevel=2,
            )


def _frame(atoms: Atoms, energy_unit: str) -> Frames:
    """One frame without labels."""
    return Frames(
        numbers=atoms.numbers.astype(np.int64),
        positions=atoms.positions.astype(np.float64),
        energies=np.zeros(1),
        forces=np.zeros((len(atoms), 3)),
        first=np.array([0, len(atoms)]),
        cells=np.asarray(atoms.cell)[None].astype(np.float64),
        pbc=np.asarray(atoms.pbc)[None],
        energy_unit=energy_unit,
        sequential=False,
        source=f"{atoms.get_chemical_formula()}",
        digest="",
    ).check()
