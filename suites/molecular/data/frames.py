"""Frames: geometries with an energy and forces."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.text.errors import BadInput
from suites.molecular.data.overlaps import NEAREST, coinciding_atoms
from suites.molecular.data.reading import Reading
from suites.molecular.units import in_ev

#: Largest data file that is read, and what is read of it, unpacked; MD17's largest has 0.4 GiB,
#: the text of a million frames of 30 atoms some 3.
MAX_BYTES = 8 * 1024**3

#: Farthest position from the origin, in Å; what is beyond has another unit, or exploded.
FARTHEST = 1e6

#: Narrowest periodic cell, in Å: its lattice vectors are linearly dependent or in another unit.
SMALLEST_WIDTH = 0.1


@dataclass(frozen=True)
class Frames:
    """Frames of any sizes, one after the other.

    Attributes:
        numbers: (atoms,) int64, atomic numbers of all frames' atoms.
        positions: (atoms, 3) float64, in Å.
        energies: (frames,) float64, in `energy_unit`, exactly as in the source.
        forces: (atoms, 3) float64, in `energy_unit` / Å.
        first: (frames + 1,) int64; the atoms of frame k are ``first[k]:first[k + 1]``.
        cells: (frames, 3, 3) float64, lattice vectors in rows, in Å; zeros where not periodic.
        pbc: (frames, 3) bool, periodic along each lattice vector.
        energy_unit: Unit of the energies.
        sequential: The frames are those of a trajectory, in its order, so that neighbours in
            time are alike.
        source: Where the frames come from, for the record.
        digest: Digest of the source's content, 16 hexadecimal digits.
        stresses: (frames, 3, 3) float64, σ = (1/V) ∂E/∂ε, in `energy_unit` / Å³; NaN for a frame
            without one. ``None``: no frame has one.
        groups: (frames,) text, the ``config_type`` of each frame; None if the source has none.
        reading: How the source was read, where that is more than its fixed layout.
        copies: (frames,) int64, for each frame the first that it is a copy of, itself if there is
            none; None where copies were not looked for.
        warnings: Sentences about the labels, for whoever reads results of these frames.
    """

    numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray
    first: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray
    energy_unit: str
    sequential: bool
    source: str
    digest: str
    stresses: np.ndarray | None = None
    groups: np.ndarray | None = None
    reading: Reading | None = None
    copies: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.energies)

    @property
    def n_atoms(self) -> np.ndarray:
        """(frames,) int64, atoms of each frame."""
        return np.diff(self.first)

    @property
    def uniform(self) -> bool:
        """Whether all frames have the same atoms in the same order."""
        sizes = self.n_atoms
        if not (sizes == sizes[0]).all():
            return False
        rows = self.numbers.reshape(len(self), -1)
        return bool((rows == rows[0]).all())

    @property
    def stressed(self) -> np.ndarray:
        """(frames,) bool, the frames that have a stress."""
        if self.stresses is None:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(np.isfinite(self.stresses).all(axis=(1, 2)))

    def composition(self) -> tuple[np.ndarray, np.ndarray]:
        """The elements, (elements,) int64, and the number of atoms of each, (frames, elements)."""
        elements, which = np.unique(self.numbers, return_inverse=True)
        counts = np.zeros((len(self), len(elements)), dtype=np.int64)
        np.add.at(counts, (np.repeat(np.arange(len(self)), self.n_atoms), which), 1)
        return elements, counts

    def select(self, rows: np.ndarray) -> Frames:
        """The frames `rows`, (n,) int64, in that order."""
        atoms = atom_rows(self.first, rows)
        return Frames(
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            energies=self.energies[rows],
            forces=self.forces[atoms],
            first=np.concatenate([[0], np.cumsum(self.n_atoms[rows])]),
            cells=self.cells[rows],
            pbc=self.pbc[rows],
            energy_unit=self.energy_unit,
            sequential=False,
            source=self.source,
            digest=self.digest,
            stresses=None if self.stresses is None else self.stresses[rows],
            groups=None if self.groups is None else self.groups[rows],
            reading=self.reading,
        )

    def check(self) -> Frames:
        """These frames, if they can be trained on.

        Raises:
            BadInput: There is no frame, an array has the wrong shape, a number is not finite, an
                atomic number does not exist, a periodic direction has no lattice vector, an atom is
                farther away than `FARTHEST`, a cell is narrower than `SMALLEST_WIDTH`, or two atoms
                of a frame are at one place (`suites.molecular.data.overlaps`).
        """
        count, atoms = len(self.energies), len(self.numbers)
        if not count:
            raise BadInput(f"{self.source}: no frames")
        shapes: dict[str, tuple[int, ...]] = {
            "energies": (count,),
            "positions": (atoms, 3),
            "forces": (atoms, 3),
            "first": (count + 1,),
            "cells": (count, 3, 3),
            "pbc": (count, 3),
        }
        if self.stresses is not None:
            shapes["stresses"] = (count, 3, 3)
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise BadInput(f"{self.source}: {name} have the shape {found}, not {shape}")
        in_ev(self.energy_unit)
        for name in ("energies", "positions", "forces", "cells"):
            bad = np.argwhere(~np.isfinite(getattr(self, name)))
            if len(bad):
                row = int(bad[0][0])
                frame = (
                    row
                    if name in ("energies", "cells")
                    else int(np.searchsorted(self.first, row, side="right") - 1)
                )
                raise BadInput(f"{self.source}: {name} of frame {frame} are not finite")
        if (self.n_atoms < 1).any():
            raise BadInput(f"{self.source}: frame {int(np.argmin(self.n_atoms))} has no atoms")
        if self.numbers.min() < 1 or self.numbers.max() > 99:
            raise BadInput(f"{self.source}: atomic numbers must be from 1 to 99")
        lengths = np.linalg.norm(self.cells, axis=2)
        if (self.pbc & (lengths == 0)).any():
            frame = int(np.argwhere(self.pbc & (lengths == 0))[0][0])
            raise BadInput(f"{self.source}: frame {frame} is periodic without a lattice vector")
        self._check_lengths()
        self._check_overlaps()
        return self

    def _check_overlaps(self) -> None:
        """Refuse two atoms at one place, between which no force is finite."""
        found = coinciding_atoms(self.positions, self.first, self.cells, self.pbc)
        if found is not None:
            from ase.data import chemical_symbols

            frame, first, second, distance = found
            numbers = self.numbers[self.first[frame] :]
            one, other = (f"{atom} ({chemical_symbols[numbers[atom]]})" for atom in (first, second))
            raise BadInput(
                f"{self.source}: atoms {one} and {other} of frame {frame} are at one place:"
                f" {distance:.3g} Å apart, at least {NEAREST:g} Å are needed for finite forces"
            )

    def _check_lengths(self) -> None:
        """Refuse lengths with which any neighbour list would cost too much."""
        farthest = int(np.abs(self.positions).max(axis=1).argmax())
        if np.abs(self.positions[farthest]).max() > FARTHEST:
            frame = int(np.searchsorted(self.first, farthest, side="right") - 1)
            raise BadInput(
                f"{self.source}: frame {frame} has an atom more than {FARTHEST:g} Å from the origin"
            )
        for periodic in np.unique(self.pbc, axis=0):
            if periodic.any():
                rows = np.flatnonzero((self.pbc == periodic).all(axis=1))
                widths = np.linalg.svd(self.cells[rows][:, periodic], compute_uv=False)[:, -1]
                if widths.min() < SMALLEST_WIDTH:
                    raise BadInput(
                        f"{self.source}: the lattice vectors of frame {rows[widths.argmin()]} are"
                        f" linearly dependent, or the cell is narrower than {SMALLEST_WIDTH:g} Å"
                    )

    def require_molecule(self, formula: str) -> Frames:
        """These frames, if all are of one molecule with its atoms in the same order.

        Args:
            formula: Formula of the molecule, in Hill order.

        Raises:
            BadInput: They are not of that molecule.
        """
        # Imported here because the command line, which need not start ASE, imports this module.
        from ase.symbols import Symbols

        if not self.uniform:
            raise BadInput(
                f"{self.source}: the frames differ in their atoms, and one composition is required"
            )
        found = Symbols(self.numbers[: self.first[1]]).get_chemical_formula()
        if found != formula:
            raise BadInput(f"{self.source}: the frames are of {found}, not of {formula}")
        return self


def content_digest(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a file, read in pieces: it may be large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def atom_rows(first: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a concatenated array that belong to the frames `rows`, in that order.

    Args:
        first: (frames + 1,) where each frame's rows begin.
        rows: (n,) which frames.
    """
    sizes = np.diff(first)[rows]
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first[rows] - (ends - sizes), sizes)


def frames_of_one_molecule(
    numbers: np.ndarray,
    positions: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
    *,
    energy_unit: str,
    sequential: bool,
    source: str,
    digest: str,
) -> Frames:
    """Frames of one molecule, not periodic, from (frames, atoms, 3) arrays.

    Raises:
        BadInput: `Frames.check` refuses the frames.
    """
    shape = (len(energies), len(numbers), 3)
    for name, array in (("positions", positions), ("forces", forces)):
        if array.shape != shape:
            raise BadInput(f"{source}: {name} have the shape {array.shape}, not {shape}")
    count = len(energies)
    return Frames(
        numbers=np.tile(np.asarray(numbers, dtype=np.int64), count),
        positions=np.asarray(positions, dtype=np.float64).reshape(-1, 3),
        energies=np.asarray(energies, dtype=np.float64),
        forces=np.asarray(forces, dtype=np.float64).reshape(-1, 3),
        first=np.arange(count + 1, dtype=np.int64) * len(numbers),
        cells=np.zeros((count, 3, 3)),
        pbc=np.zeros((count, 3), dtype=bool),
        energy_unit=energy_unit,
        sequential=sequential,
        source=source,
        digest=digest,
    ).check()
