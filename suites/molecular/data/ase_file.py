"""Files that ASE reads, with energies and forces: extended XYZ, trajectories, databases, outputs.

Such a file may come from anyone, and ASE trusts it. So only `FORMATS` are read, nothing is
unpickled, no server is asked, and the unpacked size of a file is limited before it is unpacked.

Extended XYZ, trajectories and databases have no units of their own, so the caller gives them;
outputs of programs are converted by ASE. SchNetPack's databases
(`schnetpack.data.ASEAtomsData`) have units: they keep the labels in ``row.data``, and the units in
the database's metadata.
"""

from __future__ import annotations

import io
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from bench.files.untrusted import gib, require_file, shortened
from bench.text.errors import BadInput
from suites.molecular import units
from suites.molecular.data.frames import MAX_BYTES, Frames, content_digest
from suites.molecular.data.label_keys import Keys, choose_keys, find_keys
from suites.molecular.data.reading import Reading, group_names, is_isolated_atom
from suites.molecular.data.stresses import read_stresses, stated_unit

#: ASE's names of the formats that are read beside its databases: of those with energies and
#: forces, the ones that lie in one file and are read without another program's library.
FORMATS = (
    "extxyz",
    "xyz",
    "traj",
    "abinit-out",
    "aims-output",
    "castep-castep",
    "castep-geom",
    "castep-md",
    "dacapo-text",
    "espresso-out",
    "gamess-us-out",
    "gaussian-out",
    "gpaw-out",
    "nwchem-out",
    "onetep-out",
    "orca-output",
    "qbox",
    "runnerdata",
    "turbomole-gradient",
    "vasp-out",
    "vasp-xml",
    "xsf",
)

#: Those of them that have no unit of their own: whoever writes them chooses. The others are
#: programs' outputs, whose units are known: ASE's readers return eV, Å and eV/Å.
CONTAINERS = ("extxyz", "xyz", "traj", "runnerdata", "xsf")

#: Largest text that is held in memory as a whole: what a compressed file unpacks to, a database in
#: JSON. A million frames of nine atoms are 1 GiB as extended XYZ.
MAX_TEXT_BYTES = 1024**3

#: Longest line of extended XYZ, and most columns of its atoms.
MAX_LINE = 2**20
MAX_COLUMNS = 1000

_DATABASES = (".db", ".json")

# A frame's atom takes at least as many bytes of any file: ``H 0 0 0`` and the end of the line.
_BYTES_PER_ATOM = 8

# Of a value in SQLite, which needs some room for the queries themselves.
_SHORTEST_LIMIT = 2**20

# Tables that are no tables but programs, with as many rows and bytes as they like.
_COMPUTED = """
    SELECT name FROM sqlite_master
    WHERE type IN ('view', 'trigger') OR (type = 'table' AND rootpage = 0)
    UNION
    SELECT m.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c
    WHERE m.type = 'table' AND c.hidden
"""


@dataclass(frozen=True)
class _Units:
    """Unit of energies; size of the units of length in Å and of force in `energy` / Å."""

    energy: str
    length: float
    force: float


@dataclass(frozen=True)
class _Raw:
    """A frame as the file has it; `labels` holds everything beside the geometry."""

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    labels: Mapping[str, Any]


class _Stresses(NamedTuple):
    """What was said of the stresses; see `read_stresses`."""

    key: str | None
    unit: str | None


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
        stress_key: Name of the stresses, see `read_stresses`; they may be missing.
        stress_unit: Their unit, likewise.
        require_labels: A frame without energy or forces is an error. Otherwise it is left out, and
            `Frames.reading` says so.

    Returns:
        The frames without isolated atoms (`is_isolated_atom`), which are in `Frames.reading`.

    Raises:
        BadInput: The file cannot be read, has none of `FORMATS`, or is larger than `MAX_BYTES`. Or
            a unit is missing, unknown or contradicts the file's. Or the names of the labels cannot
            be told, no frame has both, or forces have a wrong shape. Or `Frames.check` refuses the
            frames.
    """
    size = require_file(path, MAX_TEXT_BYTES if path.suffix == ".json" else MAX_BYTES)
    is_database = path.suffix in _DATABASES
    metadata = _guarded(path, lambda: _metadata(path)) if is_database else {}
    own = isinstance(metadata.get("_property_unit_dict"), dict)
    if own:
        keys = _own_keys(path, metadata["_property_unit_dict"], energy_key, forces_key)
        energy_key, forces_key = keys.energy, keys.forces
        scale = _own_units(
            path, metadata, energy_key, forces_key, energy_unit, length_unit, force_unit
        )
    else:
        form = None if is_database else _guarded(path, lambda: _format(path))
        if form in (None, *CONTAINERS):
            scale = _given_units(path, energy_unit, length_unit, force_unit)
        else:
            scale = _program_units(path, form, energy_unit, length_unit, force_unit)
    if is_database:
        frames = _guarded(path, lambda: _bounded(_rows(path, only_data=own), size))
    else:
        frames = _guarded(path, lambda: _images(path, size))
    # Only `schnetpack.datasets.rMD17` writes these, the five published splits.
    splits = metadata.get("splits")
    shuffled = isinstance(splits, dict) and "known" in splits
    if not frames:
        raise BadInput(f"{path}: no frames")
    labels = [frame.labels for frame in frames]
    sizes = [len(frame.numbers) for frame in frames]
    keys = find_keys(str(path), labels, sizes, energy_key, forces_key)
    if own and stress_unit is None:
        stress_unit = stated_unit(path, metadata["_property_unit_dict"], stress_key)
    return _assemble(
        path,
        frames,
        scale,
        sequential and not shuffled,
        keys,
        _Stresses(stress_key, stress_unit),
        require_labels,
    )


def _guarded[T](path: Path, read: Callable[[], T]) -> T:
    """Call `read`, and turn its errors into BadInput: ASE's readers raise anything."""
    try:
        with _arrays_within_their_file():
            return read()
    except BadInput:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {shortened(error)}"
        raise BadInput(f"{path}: ASE cannot read it: {text}") from error


@contextmanager
def _arrays_within_their_file() -> Iterator[None]:
    """ASE's JSON has arrays of a shape and a list of values, which may be one value for all."""
    from ase.io import jsonio

    create = jsonio.create_ndarray

    def checked(shape: Any, dtype: Any, data: Any) -> np.ndarray:
        if math.prod(shape) > len(data):
            raise ValueError(f"an array of the shape {tuple(shape)} has {len(data)} values")
        return create(shape, dtype, data)

    jsonio.create_ndarray = checked
    try:
        yield
    finally:
        jsonio.create_ndarray = create


def _bounded(frames: Iterator[_Raw], size: int) -> list[_Raw]:
    """The frames, unless they have more atoms than `size` bytes can hold.

    Raises:
        ValueError: They have more (a file may repeat its atoms), or a geometry is wrong.
    """
    found: list[_Raw] = []
    atoms = 0
    for frame in frames:
        _check_geometry(len(found), frame)
        atoms += len(frame.numbers)
        if atoms * _BYTES_PER_ATOM > size:
            raise ValueError(f"frame {len(found)}: more atoms than the file has room for")
        found.append(frame)
    return found


def _check_geometry(index: int, frame: _Raw) -> None:
    """Raises ValueError where a frame's geometry has other types or shapes than those of `_Raw`."""
    atoms = np.shape(frame.numbers)
    for name, kinds, shape in (
        ("numbers", "iu", atoms[:1]),
        ("positions", "fiu", (*atoms, 3)),
        ("cell", "fiu", (3, 3)),
        ("pbc", "biu", (3,)),
    ):
        value = np.asarray(getattr(frame, name))
        # An empty list has no type.
        if value.shape != shape or (value.size and value.dtype.kind not in kinds):
            raise ValueError(
                f"frame {index}: {name} are {shortened(value.dtype)} of the shape {value.shape}"
            )


def _connection(path: Path) -> sqlite3.Connection:
    """A connection to the database that can only read, and that finds only plain tables.

    Raises:
        ValueError: It is no database of ASE, or one of its tables is computed.
    """
    # ASE would add its tables to any other file, and SQLite files beside it unless it is immutable.
    name = path.resolve()
    unfinished = any(name.with_name(f"{name.name}{end}").exists() for end in ("-wal", "-journal"))
    mode = "ro" if unfinished else "ro&immutable=1"
    database = sqlite3.connect(f"{name.as_uri()}?mode={mode}", uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(path.stat().st_size, _SHORTEST_LIMIT))
        database.execute("PRAGMA trusted_schema = OFF")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name='systems'").fetchone():
            raise ValueError("no ASE database")
        computed = database.execute(_COMPUTED).fetchone()
        if computed:
            raise ValueError(f"{computed[0]!r} is no plain table")
    except BaseException:
        database.close()
        raise
    return database


def _database(path: Path) -> Any:
    """ASE's database of that file, opened for reading only."""
    from ase.db.jsondb import JSONDatabase
    from ase.db.sqlite import SQLite3Database

    if path.suffix == ".json":
        return JSONDatabase(str(path.resolve()), use_lock_file=False)

    class ReadOnly(SQLite3Database):
        def _connect(self) -> sqlite3.Connection:
            return _connection(path)

    return ReadOnly(str(path.resolve()), use_lock_file=False)


def _metadata(path: Path) -> dict[str, Any]:
    return dict(_database(path).metadata)


def _format(path: Path) -> str:
    """ASE's name of the file's format; absolute, as ASE takes ``postgres…`` for a server."""
    from ase.io.formats import filetype

    return str(filetype(str(path.resolve())))


def _images(path: Path, size: int) -> list[_Raw]:
    import ase.io
    from ase.io.formats import get_compression

    name = str(path.resolve())
    form = _format(path)
    if form not in FORMATS:
        raise BadInput(
            f"{path}: of the format {form!r}, which is not read (allowed: {', '.join(FORMATS)},"
            " and databases that end in .db or .json)"
        )
    file: Any = name
    if get_compression(name)[1]:
        content = _unpacked(name)
        size = len(content)
        # ASE's reader seeks, which in a compressed file takes ten times as long.
        file = io.BytesIO(content) if form == "traj" else io.StringIO(content.decode())
    if form in ("extxyz", "xyz"):
        return _bounded(_raw(_extended_xyz(file)), size)
    return _bounded(_raw(ase.io.iread(file, ":", form, do_not_split_by_at_sign=True)), size)


def _unpacked(name: str) -> bytes:
    """The content of a compressed file; at most `MAX_TEXT_BYTES` are unpacked."""
    from ase.io.formats import open_with_compression

    with open_with_compression(name, "rb") as file:
        content = bytes(file.read(MAX_TEXT_BYTES + 1))
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(
            f"it unpacks to more than the limit of {gib(MAX_TEXT_BYTES)} GiB: unpack it"
        )
    return content


class _Lines:
    """A text file with limits, since ASE's reader accepts any number of atoms and any line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._ended = False
        self.tell = file.tell

    def seek(self, position: int) -> None:
        self._ended = False
        self._file.seek(position)

    def readline(self) -> str:
        """The next line; the empty one after the last, once.

        Raises:
            ValueError: The line has more than `MAX_LINE` characters.
            EOFError: The file has ended before.
        """
        line = self._file.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} characters")
        if not line:
            if self._ended:
                raise EOFError("it ends within a frame")
            self._ended = True
        return line

    def __next__(self) -> str:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


def _extended_xyz(file: str | io.StringIO) -> Iterator[Any]:
    """ASE's frames of extended XYZ, by name or as text."""
    from ase.io.extxyz import read_xyz

    with open(file) if isinstance(file, str) else file as opened:  # noqa: PTH123
        yield from read_xyz(_Lines(opened), slice(None), _comment)


def _comment(line: str) -> dict[str, Any]:
    """The line before a frame's atoms, by key.

    Raises:
        ValueError: It announces more than `MAX_COLUMNS` columns, or a periodicity that is none.
    """
    from ase.io.extxyz import key_val_str_to_dict

    found: dict[str, Any] = key_val_str_to_dict(line)
    columns = sum(int(count) for count in str(found.get("Properties", "")).split(":")[2::3])
    if columns > MAX_COLUMNS:
        raise ValueError(f"{columns} columns, at most {MAX_COLUMNS} are read")
    if isinstance(found.get("pbc"), str):
        raise ValueError(f"pbc is {shortened(found['pbc'])!r}, not T or F along each vector")
    return found


def _raw(frames: Iterator[Any]) -> Iterator[_Raw]:
    for atoms in frames:
        results = atoms.calc.results if atoms.calc else {}
        arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
        labels = {**arrays, **atoms.info, **results}
        yield _Raw(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, labels)


def _rows(path: Path, only_data: bool) -> Iterator[_Raw]:
    """Rows in the order in which they were written.

    Args:
        path: The database.
        only_data: Read labels from ``row.data`` only, since the metadata's units hold for no other.
    """
    from ase.calculators.calculator import all_properties

    for row in _database(path).select():
        labels = dict(row.data)
        if not only_data:
            results = {name: row[name] for name in all_properties if name in row}
            labels = {**row.key_value_pairs, **labels, **results}
        yield _Raw(row.numbers, row.positions, row.cell, row.pbc, labels)


def _given_units(
    path: Path, energy_unit: str | None, length_unit: str | None, force_unit: str | None
) -> _Units:
    if energy_unit is None:
        raise BadInput(
            f"{path}: the file does not say its units; give that of its energies"
            f" (allowed: {', '.join(units.ENERGY_UNITS)})"
        )
    units.in_ev(energy_unit)
    length = units.in_angstrom(length_unit or "Ang")
    force = 1.0 / length if force_unit is None else units.force_in(force_unit, energy_unit)
    return _Units(energy_unit, length, force)


def _program_units(path: Path, form: str | None, *asked: str | None) -> _Units:
    """The units of ASE, which converts programs' outputs; what was `asked` must be the same."""
    for what, option, unit, own in zip(
        ("energies", "positions", "forces"),
        ("energy", "length", "force"),
        asked,
        ("eV", "Ang", "eV/Ang"),
        strict=True,
    ):
        if unit not in (None, own):
            raise BadInput(
                f"{path}: --{option}-unit {unit}: ASE reads {form} and converts its {what} to"
                f" {own} (allowed: {own}, or no --{option}-unit)"
            )
    return _Units("eV", 1.0, 1.0)


def _own_keys(
    path: Path, properties: Mapping[str, Any], energy_key: str | None, forces_key: str | None
) -> Keys:
    """The names of the labels among the properties of a SchNetPack database."""
    for key in (energy_key, forces_key):
        if key is not None and key not in properties:
            raise BadInput(f"{path}: no property {key!r}; it has {', '.join(sorted(properties))}")
    named = dict.fromkeys(map(str, properties), 1)
    return choose_keys(str(path), named, named, energy_key, forces_key, named)


def _own_units(
    path: Path,
    metadata: Mapping[str, Any],
    energy_key: str,
    forces_key: str,
    energy_unit: str | None,
    length_unit: str | None,
    force_unit: str | None,
) -> _Units:
    """The units of a SchNetPack database; units that were asked for must be the same."""
    properties = metadata["_property_unit_dict"]
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
    if force_unit is not None and not math.isclose(force, units.force_in(force_unit, energy)):
        raise BadInput(
            f"{path}: its forces are in {properties[forces_key]} by its metadata, not in"
            f" {force_unit}"
        )
    return _Units(energy, units.in_angstrom(length), force)


def _assemble(
    path: Path,
    raw: list[_Raw],
    scale: _Units,
    sequential: bool,
    keys: Keys,
    stress: _Stresses,
    require_labels: bool,
) -> Frames:
    energies, forces, left_out, alone = [], [], [], []
    kept: list[_Raw] = []
    indices: list[int] = []
    for index, frame in enumerate(raw):
        where = f"{path}: frame {index}"
        lone = is_isolated_atom(
            frame.numbers,
            np.asarray(frame.cell, dtype=np.float64) * scale.length,
            np.asarray(frame.pbc, dtype=bool),
            frame.labels.get("config_type"),
        )
        if lone and frame.labels.get(keys.energy) is not None:
            alone.append(len(kept))
        elif any(frame.labels.get(key) is None for key in (keys.energy, keys.forces)):
            left_out.append(index)
            continue
        energies.append(_label(where, frame, keys.energy, "energy", ()))
        # Of an isolated atom, data sets leave out what can only be 0.
        needed = not lone or frame.labels.get(keys.forces) is not None
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
        stresses=read_stresses(
            path,
            [frame.labels for frame in kept],
            cells,
            pbc,
            energy_unit=scale.energy,
            length=scale.length,
            key=stress.key,
            unit=stress.unit,
            indices=indices,
        ),
        groups=group_names([frame.labels.get("config_type") for frame in kept]),
    ).check()
    isolated = [(int(found.numbers[found.first[row]]), float(energies[row])) for row in alone]
    reading = Reading(*keys, tuple(left_out), tuple(isolated))
    if len(alone) == len(kept):
        raise BadInput(f"{path}: all frames are isolated atoms, without forces to train on")
    rest = found if not alone else found.select(np.delete(np.arange(len(found)), alone))
    return replace(rest, sequential=sequential, reading=reading)


def _missing(where: str, frame: _Raw, key: str, name: str) -> BadInput:
    there = shortened(", ".join(sorted(map(str, frame.labels)))) or "no labels"
    option = "--energy-key" if name == "energy" else "--forces-key"
    return BadInput(
        f"{where} has no {name} (key {key!r}); it has {there}: {option} NAME says which it is"
    )


def _label(where: str, frame: _Raw, key: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if frame.labels.get(key) is None:
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
