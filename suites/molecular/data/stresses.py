"""Stresses of an ASE-readable file, by the conventions of its keys.

A stress is σ = (1/V) ∂E/∂ε of a strain ε of atoms and cell, as in ASE: negative where the cell
wants to expand. A virial is −V·σ, an energy (G. Csányi et al., QUIP's and GAP's convention).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.molecular import units
from suites.molecular.data.label_keys import energy_family, stress_family, virial_family

#: As a key: leave all stresses out.
NO_STRESS = "none"

#: Largest antisymmetric part, and largest difference of a stress from the virial of its frame, as
#: a part of the largest component. Files round to a few digits.
_TOLERANCE = 1e-2


def read_stresses(
    path: Path,
    labels: Sequence[Mapping[str, Any]],
    cells: np.ndarray,
    pbc: np.ndarray,
    *,
    energy_unit: str,
    length: float,
    keys: Sequence[str],
    unit: str | None = None,
    indices: Sequence[int] | None = None,
) -> np.ndarray | None:
    """The frames' stresses in `energy_unit` / Å³, ``None`` if no frame has one.

    Six values are in Voigt's order xx, yy, zz, yz, xz, xy; nine are the matrix.

    Args:
        path: The file, for messages.
        labels: What each frame has beside its geometry, by key.
        cells: (frames, 3, 3) lattice vectors in Å.
        pbc: (frames, 3).
        energy_unit: Of the energies. A virial has this unit.
        length: The file's unit of length, in Å.
        keys: Where the stress is, and where the virial; see `is_virial`.
        unit: Of stresses, one of `suites.molecular.units.PRESSURE_UNITS`; without it the energy's
            per cubed unit of length.
        indices: Number of each frame in the file, for messages; by default as they come.

    Returns:
        (frames, 3, 3) float64, symmetric. NaN for a frame that has none, or that is not periodic
        along all three lattice vectors: it has no volume.

    Raises:
        BadInput: A stress has another shape, is not finite or not
            symmetric, or contradicts the virial of its frame.
    """
    per_volume = 1.0 / length**3
    if unit is not None:
        per_volume = units.pressure_in_ev(unit) / units.in_ev(energy_unit)
    found = np.full((len(labels), 3, 3), np.nan)
    for index, frame in enumerate(labels):
        volume = abs(np.linalg.det(cells[index]))
        if not pbc[index].all() or volume == 0:
            continue
        where = f"{path}: frame {index if indices is None else indices[index]}"
        ways = []
        for name in (name for name in keys if frame.get(name) is not None):
            value = _matrix(where, name, frame[name])
            ways.append((name, -value / volume if is_virial(name) else value * per_volume))
        if ways:
            found[index] = _agreed(where, ways)
    return found if np.isfinite(found).any() else None


def is_virial(key: str) -> bool:
    """Whether a key names a virial and not a stress."""
    return "virial" in key.lower()


def require_stress_key(path: Path, labels: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The key that was asked for, of a virial if the name says ``virial``.

    Args:
        path: The file, for messages.
        labels: What each frame has, by name.
        key: `NO_STRESS` for none.

    Raises:
        BadInput: No frame has it.
    """
    if key == NO_STRESS:
        return []
    if not any(frame.get(key) is not None for frame in labels):
        there = shortened(", ".join(sorted({str(name) for frame in labels for name in frame})))
        raise BadInput(f"{path}: --stress-key {key!r}: no frame has it; they have {there}")
    return [key]


def find_stress_keys(path: Path, labels: Iterable[Mapping[str, Any]], energy_key: str) -> list[str]:
    """The names of the stress and of the virial that belong to an energy, those that there are.

    The one that is called as the energy is (``REF_stress`` to ``REF_energy``) comes first, then
    ``stress`` or ``virial`` itself, then the only one that has another name; case does not count.

    Args:
        path: The file, for messages.
        labels: What each frame has, by name.
        energy_key: Name of the energies.

    Raises:
        BadInput: There are several, and none is called as the energy is.
    """
    sizes = {str(key): np.size(value) for frame in labels for key, value in frame.items()}
    own = energy_family(energy_key) or ""
    found: list[str] = []
    for family in (stress_family, virial_family):
        called = {name: family(name) for name in sizes}
        # A switch or a scalar of another name is no stress.
        names = [n for n, of in called.items() if of in (own, "") or (of and sizes[n] > 1)]
        for wanted in (own, ""):
            exact = [name for name in names if called[name] == wanted]
            if exact:
                names = exact
                break
        if len(names) > 1:
            raise BadInput(
                f"{path}: several stresses: {shortened(', '.join(sorted(names)))}; --stress-key"
                f" NAME says which, and {NO_STRESS} leaves them out"
            )
        found += names
    return found


def _matrix(where: str, key: str, value: Any) -> np.ndarray:
    """A value of a file as a symmetric (3, 3) matrix."""
    # Imported here because the command line, which need not start ASE, imports this module.
    from ase.stress import voigt_6_to_full_3x3_stress

    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.size not in (6, 9):
        raise BadInput(
            f"{where}: {key!r} must be 6 numbers (xx, yy, zz, yz, xz, xy) or a 3×3 matrix, got"
            f" {shortened(array.dtype)} of the shape {array.shape}"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise BadInput(f"{where}: {key!r} is not finite")
    if array.size == 6:
        return np.asarray(voigt_6_to_full_3x3_stress(array.ravel()))
    full = array.reshape(3, 3)
    if np.abs(full - full.T).max() > _TOLERANCE * np.abs(full).max():
        raise BadInput(
            f"{where}: {key!r} is not symmetric ({shortened(full.tolist())}); leave stresses out"
            f" by --stress-key {NO_STRESS}"
        )
    return (full + full.T) / 2


def _agreed(where: str, ways: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """The stress of a frame that has it once, or as stress and virial."""
    (first, stress), *others = ways
    for name, other in others:
        largest = np.abs([stress, other]).max()
        if np.abs(stress - other).max() > _TOLERANCE * largest:
            raise BadInput(
                f"{where}: {first!r} and {name!r} contradict each other: pressures of"
                f" {-np.trace(stress) / 3:.4g} and {-np.trace(other) / 3:.4g} in the energy's unit"
                f" per Å³; choose by --stress-key {first}, {name} or {NO_STRESS}"
            )
    return stress


def stated_unit(path: Path, stated: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The unit of stresses that a SchNetPack database states.

    Args:
        path: The file, for messages.
        stated: Unit of each property, as in the database's metadata.
        keys: Names of the stress and of the virial, those that are read.

    Returns:
        One of `suites.molecular.units.PRESSURE_UNITS`; ``None`` if the database has no stress.

    Raises:
        BadInput: The unit is another one.
    """
    names = [name for name in keys if name in stated and not is_virial(name)]
    if not names:
        return None
    text = str(stated[names[0]])
    plain = "".join(text.split()).replace("**", "^").replace("/Ang/Ang/Ang", "/Ang^3")
    if plain not in units.PRESSURE_UNITS:
        raise BadInput(
            f"{path}: stresses ({names[0]!r}) are in {shortened(text)!r} by its metadata (read are:"
            f" {', '.join(units.PRESSURE_UNITS)}); give the unit by --stress-unit, or leave them"
            f" out by --stress-key {NO_STRESS}"
        )
    return plain
