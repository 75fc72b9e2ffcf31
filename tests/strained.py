"""Strained crystals with EMT's energies, forces and stresses, for tests."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator


def strained_cells(count: int = 40) -> list[Atoms]:
    """Strained and rattled cells of 4 atoms of copper, in eV and Å."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        atoms = bulk("Cu", a=3.6, cubic=True)
        strain = random.normal(0.0, 0.03, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += random.normal(0.0, 0.1, atoms.positions.shape)
        frames.append(with_labels(atoms))
    return frames


def with_labels(atoms: Atoms) -> Atoms:
    """The structure with EMT's results; with a stress where it is periodic."""
    atoms.calc = EMT()
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        labels["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def write_strained(path: Path, count: int = 40) -> Path:
    """`strained_cells` as extended XYZ."""
    ase.io.write(path, strained_cells(count), format="extxyz")
    return path
