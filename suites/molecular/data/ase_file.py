"""Files that ASE reads, with energies and forces: extended XYZ, trajectories, databases, outputs.

Extended XYZ, trajectories and databases have no units of their own, so the caller gives them;
outputs of programs are converted by ASE. SchNetPack's databases
(`schnetpack.data.ASEAtomsData`) have units: they keep the labels in ``row.data``, and the units in
the database's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.molecular.data.file_units import (
    FileUnits,
    given_units,
    program_units,
    stated_units,
)
from suites.molecular.data.frames import Frames, content_digest
from suites.molecular.data.label_keys import Keys, MissingLabel, choose_keys, find_keys
from suites.molecular.data.raw_frames import (
    CONTAINERS,
    RawFrame,
    format_of,
    read_frames,
    read_metadata,
)
from suites.molecular.data.reading import Reading, group_names, is_isolated_atom
from suites.molecular.data.stress_units import require_use, stress_sizes
from suites.molecular.data.stresses import (
    find_stress_keys,
    read_stresses,
    require_stress_key,
)


def read_ase(
    path: Path,
    energy_unit: str | None,
    length_unit: str | None = None,
    sequential: bool = True,
    *,
    energy_key: str | None = None,
    forces_key: str | None = None,
    force_unit: str | None = None,
    stress_key: str | None = None,
    stress_unit: str | None = None,
    require_stress: bool = True,
    require_labels: bool = False,
) -> Frames:
    """Frames of an ASE-readable file, positions in Å, energies in the file's unit.

    Labels are looked for among the results of the frame's calculator, in ``atoms.info`` and in
    ``atoms.arrays``; in a database also in ``row.data`` and the key-value pairs. Forces are the
    raw ones, whatever constraints (`ase.constraints`) the frame carries.

    Args:
        path: The file.
        energy_unit: Unit of the energies; None only for a SchNetPack database and a program's
            output, which have their own.
        length_unit: Unit of positions and cells; by default Å or the database's own.
        sequential: The frames are a trajectory in its order. SchNetPack's database of revised
            MD17 never is: it keeps the random order of the published file.
        energy_key: Name of the energies; by default `find_keys` looks for it.
        forces_key: Name of the forces, likewise.
        force_unit: Unit of the forces; by default `energy_unit` per `length_unit`.
        stress_key: Name of the stresses, see `require_stress_key`; by default `find_stress_keys`
            looks for it. They may be missing.
        stress_unit: Their unit, see `stress_sizes`.
        require_stress: A file without what `stress_key` and `stress_unit` are about is an error.
        require_labels: A frame without energy or forces (NaN is none) is an error. Otherwise it
            is left out, and `Frames.reading` says so.

    Returns:
        The frames without isolated atoms (`is_isolated_atom`), which are in `Frames.reading`.

    Raises:
        BadInput: The file cannot be read, has none of the formats of
            `suites.molecular.data.raw_frames`, or is larger than its limit. Or a unit is missing,
            unknown or contradicts the file's. Or the names of the labels cannot be told, no frame
            has both, or forces have a wrong shape. Or `Frames.check` refuses the frames.
    """
    metadata = read_metadata(path)
    own = isinstance(metadata.get("_property_unit_dict"), dict)
    if own:
        keys = _own_keys(path, metadata["_property_unit_dict"], energy_key, forces_key)
        energy_key, forces_key = keys.energy, keys.forces
        scale = stated_units(
            path, metadata, energy_key, forces_key, energy_unit, length_unit, force_unit
        )
    else:
        form = format_of(path)
        if form in (None, *CONTAINERS):
            scale = given_units(path, energy_unit, length_unit, force_unit)
        else:
            scale = program_units(path, form, energy_unit, length_unit, force_unit, stress_unit)
    frames = read_frames(path, only_data=own)
    # Only `schnetpack.datasets.rMD17` writes these, the five published splits.
    splits = metadata.get("splits")
    shuffled = isinstance(splits, dict) and "known" in splits
    labels = [frame.labels for frame in frames]
    sizes = [len(frame.numbers) for frame in frames]
    keys = find_keys(str(path), labels, sizes, energy_key, forces_key)
    if stress_key is None:
        named = find_stress_keys(path, labels, sizes, keys.energy)
    elif require_stress or any(frame.get(stress_key) is not None for frame in labels):
        named = require_stress_key(path, labels, stress_key)
    else:
        named = []
    if require_stress:
        require_use(path, named, stress_unit)
    stated = metadata["_property_unit_dict"] if own else {}
    return _assemble(
        path,
        frames,
        scale,
        sequential and not shuffled,
        keys,
        stress_sizes(path, named, scale, stress_unit, stated),
        require_labels,
    )


def _own_keys(
    path: Path, properties: Mapping[str, Any], energy_key: str | None, forces_key: str | None
) -> Keys:
    """The names of the labels among the properties of a SchNetPack database."""
    for key in (energy_key, forces_key):
        if key is not None and key not in properties:
            raise MissingLabel(
                f"{path}: no property {key!r}; it has {', '.join(sorted(properties))}"
            )
    named = dict.fromkeys(map(str, properties), 1)
    return choose_keys(str(path), named, named, energy_key, forces_key, named)


def _assemble(
    path: Path,
    raw: list[RawFrame],
    scale: FileUnits,
    sequential: bool,
    keys: Keys,
    stress: Mapping[str, float],
    require_labels: bool,
) -> Frames:
    energies, forces, left_out, alone = [], [], [], []
    kept: list[RawFrame] = []
    indices: list[int] = []
    for index, frame in enumerate(raw):
        where = f"{path}: frame {index}"
        lone = is_isolated_atom(
            frame.numbers,
            np.asarray(frame.cell, dtype=np.float64) * scale.length,
            np.asarray(frame.pbc, dtype=bool),
            frame.labels.get("config_type"),
        )
        if lone and not _absent(frame, keys.energy):
            alone.append(len(kept))
        elif any(_absent(frame, key) for key in (keys.energy, keys.forces)):
            left_out.append(index)
            continue
        energies.append(_label(where, frame, keys.energy, "energy", ()))
        # Of an isolated atom, data sets leave out what can only be 0.
        needed = not lone or not _absent(frame, keys.forces)
        shape = (len(frame.numbers), 3)
        forces.append(
            _label(where, frame, keys.forces, "forces", shape) if needed else np.zeros(shape)
        )
        kept.append(frame)
        indices.append(index)
    if left_out and (require_labels or not kept):
        _label(f"{path}: frame {left_out[0]}", raw[left_out[0]], keys.energy, "energy", ())
        raise _missing(f"{path}: frame {left_out[0]}", raw[left_out[0]], keys.forces, "forces")
    pbc = np.array([frame.pbc for frame in kept], dtype=bool)
    cells = np.array([frame.cell for frame in kept], dtype=np.float64) * scale.length
    sizes = [len(frame.numbers) for frame in kept]
    stresses, said = read_stresses(
        path, [frame.labels for frame in kept], cells, pbc, sizes=stress, indices=indices
    )
    found = Frames(
        numbers=np.concatenate([frame.numbers for frame in kept]).astype(np.int64),
        positions=np.concatenate([frame.positions for frame in kept]) * scale.length,
        energies=np.array(energies),
        forces=np.concatenate(forces) * scale.force,
        first=np.concatenate([[0], np.cumsum(sizes)]),
        cells=np.where(pbc[:, :, None], cells, 0.0),
        pbc=pbc,
        energy_unit=scale.energy,
        sequential=sequential,
        source=str(path),
        digest=content_digest(path),
        stresses=stresses,
        groups=group_names([frame.labels.get("config_type") for frame in kept]),
    ).check()
    isolated = [(int(found.numbers[found.first[row]]), float(energies[row])) for row in alone]
    named = () if found.stresses is None else tuple(stress)
    reading = Reading(*keys, tuple(left_out), tuple(isolated), named)
    if len(alone) == len(kept):
        raise BadInput(f"{path}: all frames are isolated atoms, without forces to train on")
    rest = found if not alone else found.select(np.delete(np.arange(len(found)), alone))
    return replace(rest, sequential=sequential, reading=reading, warnings=said)


def _absent(frame: RawFrame, key: str) -> bool:
    """Whether a frame has no such label, or one of NaN throughout, which stands for none."""
    value = frame.labels.get(key)
    if value is None:
        return True
    array = np.asarray(value)
    return array.dtype.kind == "f" and array.size > 0 and bool(np.isnan(array).all())


def _missing(where: str, frame: RawFrame, key: str, name: str) -> MissingLabel:
    there = shortened(", ".join(sorted(map(str, frame.labels)))) or "no labels"
    option = "--energy-key" if name == "energy" else "--forces-key"
    return MissingLabel(
        f"{where} has no {name} (key {key!r}); it has {there}: {option} NAME says which it is"
    )


def _label(where: str, frame: RawFrame, key: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if _absent(frame, key):
        raise _missing(where, frame, key, name)
    value = np.asarray(frame.labels[key])
    # SchNetPack keeps scalars as arrays of one element.
    if shape == () and value.size == 1:
        value = value.reshape(())
    if value.shape != shape or value.dtype.kind not in "fiu":
        raise BadInput(
            f"{where}: {name} (key {key!r}) must be numbers of the shape {shape},"
            f" got {shortened(value.dtype)} of the shape {value.shape}"
        )
    if not np.isfinite(value).all():
        raise BadInput(f"{where}: {name} (key {key!r}) are not finite")
    return value.astype(np.float64)
