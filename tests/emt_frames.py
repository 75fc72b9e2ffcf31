"""Small frames with energies and forces by EMT, which belong together."""

from __future__ import annotations

import ase.build
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT

from suites.molecular.data.frames import Frames


def frames_from(images: list[Atoms]) -> Frames:
    """EMT's frames in eV and Å."""
    for atoms in images:
        atoms.calc = EMT()
    return Frames(
        numbers=np.concatenate([atoms.numbers for atoms in images]),
        positions=np.concatenate([atoms.positions for atoms in images]),
        energies=np.array([atoms.get_potential_energy() for atoms in images]),
        forces=np.concatenate([atoms.get_forces() for atoms in images]),
        first=np.concatenate([[0], np.cumsum([len(atoms) for atoms in images])]),
        cells=np.where([atoms.pbc[:, None] for atoms in images], [a.cell.array for a in images], 0),
        pbc=np.array([atoms.pbc for atoms in images]),
        energy_unit="eV",
        sequential=False,
        source="made up",
        digest="",
    )


def rattled(count: int, pbc: tuple[bool, bool, bool] = (True, True, True)) -> list[Atoms]:
    """Skewed cells of eight atoms of copper and gold, each different."""
    random = np.random.default_rng(3)
    found = []
    for index in range(count):
        atoms = ase.build.bulk("Cu", a=3.7).repeat((2, 2, 2))
        atoms.numbers[:3] = 79
        atoms.positions += random.normal(0.0, 0.1, atoms.positions.shape)
        atoms.positions[index % 8] += atoms.cell.array[0]  # outside the cell
        atoms.pbc = pbc
        found.append(atoms)
    return found
