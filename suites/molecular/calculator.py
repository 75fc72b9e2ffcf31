"""ASE's calculator for an exported potential."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from bench.text.errors import BadInput
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.export import ExportedPotential, load_potential
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.units import in_ev


class PotentialCalculator(Calculator):
    """Energies in eV and forces in eV/Å of a trained potential, for molecular dynamics.

    Args:
        potential: A file that ``python -m bench.suite molecular --export`` wrote, or what
            `suites.molecular.export.load_potential` has read.
        device: Where the network runs.
        own_code: See `suites.molecular.export.load_potential`.

    Raises:
        BadInput: The file is wrong.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 (ASE's own declaration)

    def __init__(
        self,
        potential: ExportedPotential | Path | str,
        device: str = "cpu",
        own_code: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(potential, ExportedPotential):
            potential = load_potential(Path(potential), own_code)
        self.potential = potential
        self._device = torch.device(device)
        self._net = self.potential.net.to(self._device)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces"),
        system_changes: Any = all_changes,
    ) -> None:
        """Energy and forces of `atoms`.

        Raises:
            BadInput: It has an element that the potential has never seen.
        """
        super().calculate(atoms, properties, system_changes)
        present = self.atoms
        assert present is not None
        found = _frame(present, self.potential.energy_unit)
        self._check_elements(found)
        pairs = neighbor_pairs(found, self.potential.cutoff)
        tensors = FrameTensors(
            found, pairs, found.energies, found.forces, self._device, self.potential.dtype
        )
        output = self._net(tensors.batch(np.array([0])))
        scale, unit = self.potential.scale, in_ev(self.potential.energy_unit)
        energy = float(output[ENERGY][0].detach()) * scale.factor + float(scale.reference(found)[0])
        forces = output[FORCES].detach().double().cpu().numpy() * scale.factor
        self.results = {"energy": energy * unit, "forces": forces * unit}

    def _check_elements(self, found: Frames) -> None:
        """An element outside the training has a random embedding."""
        known = self.potential.elements
        strange = sorted(set(found.numbers.tolist()) - set(known))
        if strange:
            raise BadInput(
                f"the potential ({self.potential.title}) knows the elements {sorted(known)}, not"
                f" {strange}"
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
