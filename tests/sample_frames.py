"""Frames of ASE structures for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from suites.molecular.data.frames import Frames


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
