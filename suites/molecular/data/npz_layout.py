"""The arrays of npz files of other layouts than MD17's: found by their names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.files.npz import read_npz_arrays
from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.molecular.data.frames import MAX_BYTES, Frames
from suites.molecular.data.label_keys import (
    Keys,
    MissingLabel,
    choose_keys,
    energy_family,
    forces_family,
    stress_family,
    virial_family,
)
from suites.molecular.data.stresses import NO_STRESS

#: Names of positions and of atomic numbers, without case.
_POSITIONS = ("r", "positions", "coords", "coordinates", "pos", "xyz")
#: Names of cells and of periodicity, likewise.
_PERIODIC = (
    *("cell", "cells", "lattice", "lattices", "lattice_vectors", "unit_cell", "unit_cells"),
    *("box", "boxes", "pbc"),
)
_NUMBERS = ("z", "numbers", "atomic_numbers", "nuclear_charges", "species", "elements")


def find_layout(
    path: Path, keys: Sequence[str], energy_key: str | None, forces_key: str | None
) -> tuple[dict[str, str], Keys]:
    """Which array is what, in the order energies, forces, positions, atomic numbers.

    Raises:
        BadInput: An array is missing, or there are several candidates.
    """
    found = {}
    for what, known in (("positions", _POSITIONS), ("atomic numbers", _NUMBERS)):
        candidates = [key for key in keys if key.lower() in known]
        if len(candidates) != 1:
            problem = f"several {what}: {', '.join(candidates)}" if candidates else f"no {what}"
            raise BadInput(
                f"{path}: {problem} (known names, without case: {', '.join(known)}); the keys are"
                f" {shortened(', '.join(keys))}"
            )
        found[what] = candidates[0]
    for option, key in (("--energy-key", energy_key), ("--forces-key", forces_key)):
        if key is not None and key not in keys:
            raise MissingLabel(f"{path}: {option} {key}: the keys are {shortened(', '.join(keys))}")
    others = dict.fromkeys((key for key in keys if key not in found.values()), 1)
    labels = choose_keys(str(path), others, others, energy_key, forces_key, keys)
    return {"energies": labels.energy, "forces": labels.forces, **found}, labels


def refuse_periodic(path: Path, keys: Sequence[str]) -> None:
    """Refuse a periodic file, which must not be read as molecules.

    Cells that are zero and periodicity that is false say that the frames are molecules.

    Args:
        path: The file.
        keys: Of all its arrays.

    Raises:
        BadInput: It has a cell, whose convention no layout fixes: vectors may be rows or columns.
    """
    named = [key for key in keys if key.lower() in _PERIODIC]
    _, arrays = read_npz_arrays(path, MAX_BYTES, named)
    for key in named:
        if arrays[key].dtype.kind not in "biuf" or arrays[key].any():
            raise BadInput(f"{path}: periodic ({key!r}); such data are read from an ASE file")


def refuse_stresses(path: Path, keys: Sequence[str]) -> None:
    """Refuse stresses and virials, which are not read from npz files.

    Raises:
        BadInput: There is one.
    """
    for key in keys:
        if stress_family(key) is not None or virial_family(key) is not None:
            raise BadInput(
                f"{path}: {key!r} is not read from an npz file but from an ASE file; leave stresses"
                f" out by --stress-key {NO_STRESS}"
            )


def atomic_numbers(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Atomic numbers from numbers or from symbols of elements, in the array's shape.

    Raises:
        BadInput: A symbol is none.
    """
    if array.dtype.kind not in "US":
        return array
    from ase.data import atomic_numbers as known

    symbols = array.astype(str)
    wrong = sorted(set(np.unique(symbols)) - known.keys())
    if wrong:
        raise BadInput(f"{path}: {key!r} has {shortened(wrong[0])!r}, which is no element")
    return np.vectorize(known.__getitem__, otypes=[np.int64])(symbols)


def padded_frames(
    path: Path,
    numbers: np.ndarray,
    positions: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
    *,
    energy_unit: str,
    digest: str,
) -> Frames:
    """Frames of molecules of different sizes, not periodic; the atomic number 0 is no atom.

    Args:
        path: The file.
        numbers: (frames, most) atomic numbers.
        positions: (frames, most, 3) in Å.
        energies: (frames,)
        forces: (frames, most, 3)
        energy_unit: Of the energies, and of the forces per Å.
        digest: Of the file.

    Raises:
        BadInput: Shapes do not fit, or `Frames.check` refuses the frames.
    """
    for name, array, shape in (
        ("atomic numbers", numbers, (len(energies), *numbers.shape[1:])),
        ("positions", positions, (*numbers.shape, 3)),
        ("forces", forces, (*numbers.shape, 3)),
    ):
        if array.shape != shape:
            raise BadInput(f"{path}: {name} have the shape {array.shape}, not {shape}")
    atoms = numbers != 0
    count = len(energies)
    return Frames(
        numbers=numbers[atoms].astype(np.int64),
        positions=positions[atoms].astype(np.float64),
        energies=energies.astype(np.float64),
        forces=forces[atoms].astype(np.float64),
        first=np.concatenate([[0], np.cumsum(atoms.sum(axis=1))]),
        cells=np.zeros((count, 3, 3)),
        pbc=np.zeros((count, 3), dtype=bool),
        energy_unit=energy_unit,
        sequential=True,
        source=str(path),
        digest=digest,
    ).check()


def has_layout(keys: Sequence[str], layout: Mapping[str, str]) -> bool:
    """Whether a file is of a published layout: it has all its arrays, or lacks one that it has
    under no other name.
    """
    missing = [what for what, key in layout.items() if key not in keys]
    if len(missing) != 1:
        return not missing
    known = {"positions": _POSITIONS, "atomic numbers": _NUMBERS}.get(missing[0])
    if known is not None:
        return not any(key.lower() in known for key in keys)
    family = energy_family if missing[0] == "energies" else forces_family
    return all(family(key) is None for key in keys)
