"""Any file that ASE reads, with energies and forces: extended XYZ, trajectories, databases.

Such a file has no units of its own, so they are asked for. SchNetPack's databases
(`schnetpack.data.ASEAtomsData`) do: they keep the labels in ``row.data``, and the units in the
database's metadata.
"""

from __future__ import annotations

import gzip
import io
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BadInput
from suites.molecular import units
from suites.molecular.data.frames import Frames, content_digest

_DATABASES = (".db", ".json")


@dataclass(frozen=True)
class _Units:
    """Energies in `energy`; one unit of length in Å, and of force in `energy` / Å."""

    energy: str
    length: float
    force: float


@dataclass(frozen=True)
class _Raw:
    """A frame as it is in the file; `labels` is all that it holds beside the geometry."""

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    labels: Mapping[str, Any]


def read_ase(
    path: Path,
    energy_unit: str | None,
    length_unit: str | None = None,
    sequential: bool = True,
    *,
    energy_key: str = "energy",
    forces_key: str = "forces",
) -> Frames:
    """Frames of an ASE-readable file, positions in Å, energies in the file's unit.

    Labels are looked for among the results of the frame's calculator, in ``atoms.info`` and in
    ``atoms.arrays``; in a database also in ``row.data`` and the key-value pairs. Forces are the
    raw ones, whatever constraints (`ase.constraints`) the frame carries.

    Args:
        path: The file.
        energy_unit: Unit of the energies, and of the forces per `length_unit`; None only for a
            SchNetPack database, which has its own.
        length_unit: Unit of positions and cells; by default Å or the database's own.
        sequential: The frames are a trajectory in its order. SchNetPack's database of revised
            MD17 never is: it keeps the random order of the published file.
        energy_key: Name of the energies.
        forces_key: Name of the forces.

    Raises:
        BadInput: The file cannot be read, a unit is missing, unknown or contradicts the
            database's, a frame has no energy or no forces or such of a wrong shape, or as
            `Frames.check`.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror}") from error
    is_database = path.suffix in _DATABASES
    metadata = _guarded(path, lambda: _metadata(path)) if is_database else {}
    own = "_property_unit_dict" in metadata
    if own:
        scale = _own_units(path, metadata, energy_key, forces_key, energy_unit, length_unit)
    else:
        scale = _given_units(path, energy_unit, length_unit)
    frames = _guarded(
        path, lambda: list(_rows(path, only_data=own) if is_database else _images(path))
    )
    # Only `schnetpack.datasets.rMD17` writes these, the five published splits.
    shuffled = "known" in metadata.get("splits", ())
    return _assemble(path, frames, scale, sequential and not shuffled, energy_key, forces_key)


def _guarded[T](path: Path, read: Callable[[], T]) -> T:
    """What `read` returns; ASE's readers raise anything on a damaged file."""
    try:
        return read()
    except Exception as error:
        text = " ".join(str(error).split())
        raise BadInput(f"{path}: ASE cannot read it: {type(error).__name__}: {text}") from error


def _metadata(path: Path) -> dict[str, Any]:
    import ase.db

    if path.suffix == ".db":
        # ASE would add its tables to any other file.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name='systems'").fetchone():
                raise ValueError("no ASE database")
    return dict(ase.db.connect(path, use_lock_file=False).metadata)


def _images(path: Path) -> Iterator[_Raw]:
    import ase.io

    if path.name.endswith(".xyz.gz"):
        # ASE's reader seeks, which in a compressed file takes ten times as long.
        text = io.StringIO(gzip.decompress(path.read_bytes()).decode())
        frames = ase.io.iread(text, ":", format="extxyz")
    else:
        frames = ase.io.iread(path, ":", do_not_split_by_at_sign=True)
    for atoms in frames:
        results = atoms.calc.results if atoms.calc else {}
        arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
        labels = {**arrays, **atoms.info, **results}
        yield _Raw(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, labels)


def _rows(path: Path, only_data: bool) -> Iterator[_Raw]:
    """Rows in the order in which they were written.

    Args:
        path: The database.
        only_data: Labels of ``row.data`` only: the metadata's units are not those of the others.
    """
    import ase.db
    from ase.calculators.calculator import all_properties

    for row in ase.db.connect(path, use_lock_file=False).select():
        labels = dict(row.data)
        if not only_data:
            results = {name: row[name] for name in all_properties if name in row}
            labels = {**row.key_value_pairs, **labels, **results}
        yield _Raw(row.numbers, row.positions, row.cell, row.pbc, labels)


def _given_units(path: Path, energy_unit: str | None, length_unit: str | None) -> _Units:
    if energy_unit is None:
        raise BadInput(
            f"{path}: the file does not say its units; give that of its energies"
            f" (allowed: {', '.join(units.ENERGY_UNITS)})"
        )
    units.in_ev(energy_unit)
    length = units.in_angstrom(length_unit or "Ang")
    return _Units(energy_unit, length, 1.0 / length)


def _own_units(
    path: Path,
    metadata: Mapping[str, Any],
    energy_key: str,
    forces_key: str,
    energy_unit: str | None,
    length_unit: str | None,
) -> _Units:
    """The units of a SchNetPack database, which must be those asked for, if any."""
    properties = metadata["_property_unit_dict"]
    for key in (energy_key, forces_key):
        if key not in properties:
            raise BadInput(f"{path}: no property {key!r}; it has {', '.join(sorted(properties))}")
    try:
        energy = units.energy_unit(str(properties[energy_key]))
        length = units.length_unit(str(metadata.get("_distance_unit")))
        # Energy per length, either of which may differ from the others'.
        per_energy, _, per_length = str(properties[forces_key]).rpartition("/")
        force = units.convert(units.energy_unit(per_energy), energy)
        force /= units.in_angstrom(units.length_unit(per_length))
    except BadInput as error:
        raise BadInput(f"{path}: in the database's metadata: {error}") from error
    for what, own, asked in (
        ("energies", energy, energy_unit),
        ("positions", length, length_unit),
    ):
        if asked not in (None, own):
            raise BadInput(f"{path}: its {what} are in {own} by its metadata, not in {asked}")
    return _Units(energy, units.in_angstrom(length), force)


def _assemble(
    path: Path,
    raw: list[_Raw],
    scale: _Units,
    sequential: bool,
    energy_key: str,
    forces_key: str,
) -> Frames:
    if not raw:
        raise BadInput(f"{path}: no frames")
    energies, forces = [], []
    for index, frame in enumerate(raw):
        where = f"{path}: frame {index}"
        energies.append(_label(where, frame, energy_key, "energy", ()))
        forces.append(_label(where, frame, forces_key, "forces", (len(frame.numbers), 3)))
    pbc = np.array([frame.pbc for frame in raw], dtype=bool)
    cells = np.array([frame.cell for frame in raw], dtype=np.float64) * scale.length
    sizes = [len(frame.numbers) for frame in raw]
    return Frames(
        numbers=np.concatenate([frame.numbers for frame in raw]).astype(np.int64),
        positions=np.concatenate([frame.positions for frame in raw]) * scale.length,
        energies=np.array(energies),
        forces=np.concatenate(forces) * scale.force,
        first=np.concatenate([[0], np.cumsum(sizes)]),
        cells=np.where(pbc[:, :, None], cells, 0.0),
        pbc=pbc,
        energy_unit=scale.energy,
        sequential=sequential,
        source=str(path),
        digest=content_digest(path),
    ).check()


def _label(where: str, frame: _Raw, key: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if key not in frame.labels:
        there = ", ".join(sorted(frame.labels)) or "no labels"
        raise BadInput(f"{where} has no {name} (key {key!r}); it has {there}")
    value = np.asarray(frame.labels[key])
    # SchNetPack keeps scalars as arrays of one element.
    if shape == () and value.size == 1:
        value = value.reshape(())
    if value.shape != shape or value.dtype.kind not in "fiu":
        raise BadInput(
            f"{where}: {name} (key {key!r}) must be numbers of the shape {shape},"
            f" got {value.dtype} of the shape {value.shape}"
        )
    return value.astype(np.float64)
