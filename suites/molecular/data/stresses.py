"""Stresses of an ASE-readable file, by the conventions of its keys.

A stress is σ = (1/V) ∂E/∂ε of a strain ε of atoms and cell, as in ASE: negative where the cell
wants to expand. A virial is −V·σ, an energy (G. Csányi et al., QUIP's and GAP's convention).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.molecular.data.label_keys import energy_family, stress_family, virial_family

#: As a key: leave all stresses out.
NO_STRESS = "none"

#: Largest antisymmetric part, and largest difference of a stress from the virial of its frame, as
#: a part of the largest component. Files round to a few digits.
_TOLERANCE = 1e-2


class Stresses(NamedTuple):
    """The stresses of a file.

    Attributes:
        values: (frames, 3, 3) float64 in the energies' unit per Å³, symmetric; NaN for a frame that
            has none. None if no frame has one.
        said: Sentences about values that were passed over.
    """

    values: np.ndarray | None
    said: tuple[str, ...]


def read_stresses(
    path: Path,
    labels: Sequence[Mapping[str, Any]],
    cells: np.ndarray,
    pbc: np.ndarray,
    *,
    sizes: Mapping[str, float],
    indices: Sequence[int] | None = None,
) -> Stresses:
    """The frames' stresses.

    Six values are in Voigt's order xx, yy, zz, yz, xz, xy; nine are the matrix. A frame that is not
    periodic along all three lattice vectors has no volume, and so no stress. Zeros beside a stress
    or virial that is not zero are a placeholder, and so are zeros of a name that has nothing else.

    Args:
        path: The file, for messages.
        labels: What each frame has beside its geometry, by key.
        cells: (frames, 3, 3) lattice vectors in Å.
        pbc: (frames, 3).
        sizes: By the keys of the stress and of the virial (`is_virial`), what a number is, as of
            `suites.molecular.data.stress_units.stress_sizes`.
        indices: Number of each frame in the file, for messages; by default as they come.

    Raises:
        BadInput: A stress has another shape, is not finite or not
            symmetric, or contradicts the virial of its frame.
    """
    found = np.full((len(labels), 3, 3), np.nan)
    ways: dict[int, dict[str, np.ndarray]] = {}
    for index, frame in enumerate(labels):
        volume = abs(np.linalg.det(cells[index]))
        if not pbc[index].all() or volume == 0:
            continue
        for name in (name for name in sizes if frame.get(name) is not None):
            value = _matrix(_frame(path, index, indices), name, frame[name]) * sizes[name]
            stress = -value / volume if is_virial(name) else value
            ways.setdefault(index, {})[name] = stress
    true = {name for of in ways.values() for name, stress in of.items() if stress.any()}
    passed: Counter[tuple[str, str]] = Counter()
    for index, of in ways.items():
        kept = {name: s for name, s in of.items() if name in true and s.any()}
        # Of a name that is not zero elsewhere, zeros that stand alone are a stress.
        kept = kept or {name: s for name, s in of.items() if name in true or not true}
        for name in of.keys() - kept.keys():
            passed[name, next(iter(kept or true))] += 1
        if kept:
            found[index] = _agreed(_frame(path, index, indices), list(kept.items()))
    said = tuple(
        f"{name!r} is zero in {count} frames of a file that has {other!r} too: there it is"
        " taken for missing"
        for (name, other), count in sorted(passed.items())
    )
    return Stresses(found if np.isfinite(found).any() else None, said)


def _frame(path: Path, index: int, indices: Sequence[int] | None) -> str:
    return f"{path}: frame {index if indices is None else indices[index]}"


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


def find_stress_keys(
    path: Path, labels: Sequence[Mapping[str, Any]], atoms: Sequence[int], energy_key: str
) -> list[str]:
    """The names of the stress and of the virial that belong to an energy, those that there are.

    The one that is called as the energy is (``REF_stress`` to ``REF_energy``) comes first, then
    ``stress`` or ``virial`` itself, then the only one that has another name; case does not count.
    Columns of the atoms are none.

    Args:
        path: The file, for messages.
        labels: What each frame has, by name.
        atoms: Number of atoms of each frame.
        energy_key: Name of the energies.

    Raises:
        BadInput: There are several, and none is called as the energy is.
    """
    columns: set[str] = set()
    sizes: dict[str, int] = {}
    for frame, count in zip(labels, atoms, strict=True):
        for key, value in frame.items():
            sizes[str(key)] = np.size(value)
            if count > 1 and np.shape(value)[:1] == (count,) and np.size(value) not in (6, 9):
                columns.add(str(key))
    own = energy_family(energy_key) or ""
    found: list[str] = []
    for family in (stress_family, virial_family):
        called = {name: family(name) for name in sizes if name not in columns}
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
            f" {shortened(array.dtype)} of the shape {array.shape}; leave stresses out by"
            f" --stress-key {NO_STRESS}"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise BadInput(
            f"{where}: {key!r} is not finite; leave stresses out by --stress-key {NO_STRESS}"
        )
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
