"""Small geometries, and batches of them by the suite's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from torch import Tensor

from bench.spec.randomness import numpy_generator
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs

CPU = torch.device("cpu")


def rattled(atoms: Atoms, stream: str) -> Atoms:
    """A copy whose atoms are moved at random, 0.1 Å along each axis.

    Args:
        atoms: The structure.
        stream: Names the random numbers.
    """
    atoms = atoms.copy()
    atoms.positions += 0.1 * numpy_generator(0, stream).standard_normal((len(atoms), 3))
    return atoms


METHANOL = rattled(molecule("CH3OH"), "methanol")
WATER = rattled(molecule("H2O"), "water")
#: Smaller than the cutoff: an atom neighbours its own images, and another atom several times.
BRASS = rattled(bulk("CuZn", "cesiumchloride", a=2.9), "brass")
FRAMES = (METHANOL, WATER, BRASS)
#: In a line along an axis, in a plane, in a crystal's symmetric places.
SYMMETRIC = (molecule("CO2"), molecule("H2O"), bulk("CuZn", "cesiumchloride", a=2.9))
#: No two atoms are near.
LONELY = Atoms("O", positions=[[0.0, 0.0, 0.0]])


def frames_of(structures: Sequence[Atoms]) -> Frames:
    """The structures with labels of 0, in eV, as independent frames."""
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in structures])])
    return Frames(
        numbers=np.concatenate([atoms.numbers for atoms in structures]),
        positions=np.concatenate([atoms.positions for atoms in structures]),
        energies=np.zeros(len(structures)),
        forces=np.zeros((first[-1], 3)),
        first=first,
        cells=np.stack([atoms.cell.array for atoms in structures]),
        pbc=np.stack([atoms.pbc for atoms in structures]),
        energy_unit="eV",
        sequential=False,
        source="structures.xyz",
        digest="0" * 16,
    ).check()


def batch_of(
    geometries: Sequence[Atoms], cutoff: float, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """All geometries in one batch, as `FrameTensors.batch` makes it.

    Args:
        geometries: The structures.
        cutoff: Of the pairs, in Å.
        dtype: Of positions and cells.
    """
    frames = frames_of(geometries)
    tensors = FrameTensors(
        frames, neighbor_pairs(frames, cutoff), frames.energies, frames.forces, CPU, dtype
    )
    return tensors.batch(np.arange(len(frames)))
