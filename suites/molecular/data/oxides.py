"""Sampling a periodic, mixed-composition problem: oxides, bare and with an adsorbate.

Needs the extra ``generate`` (tblite).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, molecule
from ase.calculators.calculator import CalculationFailed
from ase.calculators.singlepoint import SinglePointCalculator
from ase.spacegroup import crystal

from bench.spec.randomness import numpy_generator

#: Standard deviation of the atoms' displacements, in Å, drawn for each frame from this range.
DISPLACEMENT_A = (0.02, 0.08)
#: Largest entry of the strain of a bulk cell.
STRAIN = 0.03
_ATTEMPTS = 10


def structures() -> dict[str, Atoms]:
    """The ideal structures by name: experimental lattices of oxides, and MgO(001) slabs."""
    rutile = crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )
    bulks = {
        "MgO": bulk("MgO", "rocksalt", a=4.211, cubic=True),
        "BeO": bulk("BeO", "wurtzite", a=2.698, c=4.377) * (2, 1, 1),
        "ZnO": bulk("ZnO", "wurtzite", a=3.250, c=5.207) * (2, 1, 1),
        "TiO2": rutile * (1, 1, 2),
        "Li2O": _antifluorite("Li", 4.62),
        "Na2O": _antifluorite("Na", 5.55),
    }
    slabs = {f"MgO(001)+{name}": _slab(name) for name in ("H2O", "CO", "CO2")}
    return {**bulks, **slabs}


def _antifluorite(metal: str, a: float) -> Atoms:
    return crystal(
        [metal, "O"],
        [(0.25, 0.25, 0.25), (0, 0, 0)],
        spacegroup=225,
        cellpar=[a, a, a, 90, 90, 90],
    )


def _slab(adsorbate: str) -> Atoms:
    """Two layers of MgO(001), 8 atoms, with a molecule above a magnesium."""
    slab = bulk("MgO", "rocksalt", a=4.211, cubic=True)
    slab.cell[2, 2] = 14.0
    place = slab.positions[(slab.numbers == 12) & (slab.positions[:, 2] > 1.0)][0]
    guest = molecule(adsorbate)
    if adsorbate == "CO":
        guest.rotate(180, "x")
    lift = -guest.positions[:, 2].min()
    add_adsorbate(slab, guest, 2.3 + lift, position=place[:2])
    slab.pbc = True
    return slab


def sample(frames: int, seed: int, progress: Callable[[int], None]) -> Iterator[Atoms]:
    """Independent frames, the structures in turn, labelled in eV and eV/Å by GFN1-xTB.

    Atoms are displaced at random, and bulk cells strained; there is no trajectory. Where the
    self-consistent field does not converge, the displacements are drawn again.

    Args:
        frames: Number of frames.
        seed: Root of the random displacements.
        progress: Called with the number of frames done.
    """
    from tblite.ase import TBLite

    ideal = list(structures().items())
    random = numpy_generator(seed, "displacements")
    for frame in range(frames):
        name, structure = ideal[frame % len(ideal)]
        for attempt in range(_ATTEMPTS):
            atoms = _displaced(structure, "+" not in name, random)
            atoms.calc = TBLite(method="GFN1-xTB", verbosity=0, max_iterations=500)
            try:
                energy, forces = atoms.get_potential_energy(), atoms.get_forces()
                break
            except CalculationFailed:
                if attempt == _ATTEMPTS - 1:
                    raise
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        atoms.info = {"structure": name, "attempt": attempt}
        progress(frame + 1)
        yield atoms


def _displaced(structure: Atoms, strained: bool, random: np.random.Generator) -> Atoms:
    atoms = structure.copy()
    if strained:
        strain = random.uniform(-STRAIN, STRAIN, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    size = random.uniform(*DISPLACEMENT_A)
    atoms.positions += random.normal(0.0, size, atoms.positions.shape)
    return atoms
