"""MD17 and revised MD17 in their published form, npz files, and npz files that are like them.

MD17 (Chmiela et al., Science Advances 3, e1603015, 2017; quantum-machine.org/gdml)
    ``E`` (N,) or (N, 1) in kcal/mol, ``F`` (N, n, 3) in kcal/mol/Å, ``R`` (N, n, 3) in Å and ``z``
    (n,), in the order of the trajectory. Newer files, and ours, name their units in ``e_unit``
    and ``r_unit``.

revised MD17 (Christensen and von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018, 2020;
doi:10.6084/m9.figshare.12672038)
    ``energies`` (N,) in kcal/mol, ``forces`` (N, n, 3) in kcal/mol/Å, ``coords`` (N, n, 3) in Å
    and ``nuclear_charges`` (n,); the units are those of its README. The frames are in random
    order; ``old_indices`` (N,) are their rows in MD17, which restore the trajectory's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.files.npz import read_npz_arrays
from bench.files.untrusted import shortened
from bench.text.errors import BadInput, unknown
from suites.molecular import units
from suites.molecular.data.frames import (
    MAX_BYTES,
    Frames,
    content_digest,
    frames_of_one_molecule,
)
from suites.molecular.data.molecules import SMILES
from suites.molecular.data.npz_layout import (
    atomic_numbers,
    find_layout,
    has_layout,
    padded_frames,
    refuse_periodic,
    refuse_stresses,
)
from suites.molecular.data.reading import Reading

_MD17 = {"energies": "E", "forces": "F", "positions": "R", "atomic numbers": "z"}
_REVISED = {
    "energies": "energies",
    "forces": "forces",
    "positions": "coords",
    "atomic numbers": "nuclear_charges",
}

# What the published file names call a molecule, where it is not its own name. Benzene was sampled
# twice: MD17's is the trajectory of 2017 ("old"), at the other molecules' level of theory.
_MD17_NAMES = {"benzene": ("md17_benzene2017.npz", "benzene2017_dft.npz", "benzene_old_dft.npz")}
_STEMS = {"salicylic-acid": "salicylic"}


def read_npz(
    path: Path,
    energy_unit: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    force_unit: str | None = None,
    require_labels: bool = False,
    *,
    leave_stresses: bool = False,
) -> Frames:
    """Frames of an npz file, positions in Å, energies in the file's unit.

    A file in neither published layout is read if its arrays can be told by their names
    (`find_layout`). Atomic numbers may be those of each frame, with zeros behind the atoms of
    smaller molecules, or symbols.

    Args:
        path: The file.
        energy_unit: Unit of the energies; required where the file does not name it. That of the
            published files is kcal/mol, but other files have their layout too.
        energy_key: Name of the energies; by default that of the layout.
        forces_key: Name of the forces, likewise.
        force_unit: Unit of the forces; by default that of the energies per that of the positions.
        require_labels: A frame whose energy or whose forces are all NaN is an error. Otherwise it
            is left out, and `Frames.reading` says so.
        leave_stresses: Read a file that has stresses or virials, without them.

    Returns:
        The frames in the order of the trajectory. They are `sequential`, except those of a
        revised file without ``old_indices``, whose order is lost.

    Raises:
        BadInput: The file cannot be read, is no such npz file, or is larger than `MAX_BYTES`. Or
            keys are missing, or a unit is unknown or contradicts `energy_unit`. Or `Frames.check`
            refuses the frames. Or they are periodic, or have stresses that are not to be left out.
    """
    keys, _ = read_npz_arrays(path, MAX_BYTES, set())
    layout = _MD17 if {"nuclear_charges", "coords"}.isdisjoint(keys) else _REVISED
    published = (
        energy_key in (None, layout["energies"])
        and forces_key in (None, layout["forces"])
        and has_layout(keys, layout)
    )
    refuse_periodic(path, keys)
    if not leave_stresses:
        refuse_stresses(path, keys)
    reading = None
    if published:
        _check_keys(path, keys, layout)
    else:
        layout, labels = find_layout(path, keys, energy_key, forces_key)
        reading = Reading(*labels)
    wanted = {*layout.values(), "old_indices", "e_unit", "r_unit"}
    _, arrays = read_npz_arrays(path, MAX_BYTES, wanted)
    unit, angstrom = _units(path, arrays, energy_unit)
    left_out = [] if require_labels else _without_labels(arrays, layout)
    if left_out:
        arrays = _without_frames(arrays, layout, left_out)
        names = (layout["energies"], layout["forces"]) if reading is None else labels[:2]
        passed = () if reading is None else reading.passed
        reading = Reading(*names, passed, tuple(left_out))
    energies, forces, positions, numbers = (arrays[key] for key in layout.values())
    if not published:
        numbers = atomic_numbers(path, layout["atomic numbers"], numbers)
    if energies.shape[1:] == (1,):
        energies = energies[:, 0]
    for array, key, kinds, dimensions in zip(
        (energies, forces, positions, numbers),
        layout.values(),
        ("fiu", "fiu", "fiu", "iu"),
        (1, 3, 3, 1 if published else numbers.ndim),
        strict=True,
    ):
        if array.ndim != dimensions or array.dtype.kind not in kinds:
            raise BadInput(
                f"{path}: {key!r} must be {'numbers' if 'f' in kinds else 'whole numbers'} in"
                f" {dimensions} dimensions, got {shortened(array.dtype)} of the shape {array.shape}"
            )
    per_length = 1.0 / angstrom if force_unit is None else units.force_in(force_unit, unit)
    if angstrom != 1.0:
        positions = positions * angstrom
    if per_length != 1.0:
        forces = forces * per_length
    if numbers.ndim == 2 and (
        not len(numbers) or not numbers.all() or (numbers != numbers[0]).any()
    ):
        padded = padded_frames(
            path,
            numbers,
            positions,
            energies,
            forces,
            energy_unit=unit,
            digest=content_digest(path),
        )
        return replace(padded, reading=reading)
    frames = frames_of_one_molecule(
        numbers if numbers.ndim == 1 else numbers[0],
        positions,
        energies,
        forces,
        energy_unit=unit,
        sequential=layout is not _REVISED,
        source=str(path),
        digest=content_digest(path),
    )
    frames = replace(frames, reading=reading)
    if layout is _REVISED and "old_indices" in arrays:
        return _in_order(frames, arrays["old_indices"])
    return frames


def _without_labels(arrays: Mapping[str, np.ndarray], layout: Mapping[str, str]) -> list[int]:
    """The frames whose energy or forces are NaN throughout, which stands for no label; not all."""
    energies, forces = (arrays[layout[what]] for what in ("energies", "forces"))
    if not energies.size or not forces.size or not energies.ndim or not forces.ndim:
        return []
    if len(energies) != len(forces):
        return []
    missing = np.zeros(len(energies), dtype=bool)
    for labels in (energies, forces):
        if labels.dtype.kind == "f":
            missing |= np.isnan(labels).reshape(len(labels), -1).all(axis=1)
    return [] if missing.all() else np.flatnonzero(missing).tolist()


def _without_frames(
    arrays: Mapping[str, np.ndarray], layout: Mapping[str, str], left_out: Sequence[int]
) -> dict[str, np.ndarray]:
    """The arrays without some frames; atomic numbers in one row are those of all."""
    count = len(arrays[layout["energies"]])
    of_frames = {layout["energies"], layout["forces"], layout["positions"], "old_indices"}
    if arrays[layout["atomic numbers"]].ndim > 1:
        of_frames.add(layout["atomic numbers"])
    return {
        key: np.delete(array, left_out, axis=0)
        if key in of_frames and array.ndim and len(array) == count
        else array
        for key, array in arrays.items()
    }


def _check_keys(path: Path, keys: Sequence[str], layout: dict[str, str]) -> None:
    missing = [f"{what} ({key!r})" for what, key in layout.items() if key not in keys]
    if missing:
        raise BadInput(
            f"{path}: without {' and '.join(missing)}; the keys are {shortened(', '.join(keys))}"
        )


def _units(path: Path, arrays: dict[str, np.ndarray], energy_unit: str | None) -> tuple[str, float]:
    """Unit of the energies, and the unit of the positions in Å."""
    try:
        named = units.energy_unit(_text(arrays["e_unit"])) if "e_unit" in arrays else None
        angstrom = 1.0
        if "r_unit" in arrays:
            angstrom = units.in_angstrom(units.length_unit(_text(arrays["r_unit"])))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if named and energy_unit and named != energy_unit:
        raise BadInput(f"{path}: its energies are in {named} ('e_unit'), not in {energy_unit}")
    unit = named or energy_unit
    if unit is None:
        raise BadInput(
            f"{path}: the file does not say its units; give that of its energies: --energy-unit"
            f" UNIT (allowed: {', '.join(units.ENERGY_UNITS)}; the published files of MD17 and"
            " revised MD17 are in kcal/mol)"
        )
    return unit, angstrom


def _text(array: np.ndarray) -> str:
    """The text in an array that Python 2 or 3 has saved."""
    value = array.item() if array.size == 1 else ""
    return shortened(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def _in_order(frames: Frames, old_indices: np.ndarray) -> Frames:
    if old_indices.shape != (len(frames),):
        raise BadInput(
            f"{frames.source}: 'old_indices' have the shape {old_indices.shape},"
            f" not {(len(frames),)}"
        )
    if old_indices.dtype.kind not in "iu":
        raise BadInput(
            f"{frames.source}: 'old_indices' must be whole numbers, got {old_indices.dtype}"
        )
    return replace(frames.select(np.argsort(old_indices, kind="stable")), sequential=True)


def find_md17(root: Path, molecule: str, revised: bool) -> Path:
    """The published file of a molecule.

    Args:
        root: Folder with the files, flat or as revised MD17's archive sorts them
            (``rmd17/npz_data``).
        molecule: A name of `SMILES`.
        revised: Revised MD17 instead of MD17.

    Raises:
        BadInput: The molecule is unknown, `root` is no folder, or it has no such file.
    """
    if molecule not in SMILES:
        raise unknown("molecule", molecule, SMILES)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise BadInput(f"data root {root} {problem}")
    stem = _STEMS.get(molecule, molecule)
    if revised:
        names: tuple[str, ...] = (f"rmd17_{stem}.npz",)
        folders = [root, root / "rmd17" / "npz_data", root / "npz_data"]
        origin = "doi.org/10.6084/m9.figshare.12672038"
    else:
        names = _MD17_NAMES.get(molecule, (f"md17_{stem}.npz", f"{stem}_dft.npz"))
        folders = [root, root / "md17"]
        origin = "quantum-machine.org/gdml"
    for path in (folder / name for name in names for folder in folders):
        if path.is_file():
            return path
    raise BadInput(
        f"data root {root} has no {' or '.join(names)}: download it from {origin} into that folder"
    )
