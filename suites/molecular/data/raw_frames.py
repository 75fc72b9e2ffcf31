"""Frames of files that ASE reads, as the files have them, from files that anyone may have made.

ASE trusts its files. So only `FORMATS` are read, nothing is unpickled, no server is asked, and the
unpacked size of a file is limited before it is unpacked.
"""

from __future__ import annotations

import io
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bench.files.untrusted import gib, require_file, shortened
from bench.text.errors import BadInput
from suites.molecular.data.frames import MAX_BYTES

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

#: Endings of ASE's databases.
DATABASES = (".db", ".json")

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
class RawFrame:
    """A frame as the file has it; `labels` holds everything beside the geometry."""

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    labels: Mapping[str, Any]


def read_frames(path: Path, only_data: bool = False) -> list[RawFrame]:
    """All frames of a file.

    Args:
        path: The file.
        only_data: Of a database, read labels from ``row.data`` only.

    Raises:
        BadInput: The file cannot be read, has none of `FORMATS`, has no frame, or is larger than
            `MAX_BYTES`.
    """
    size = require_file(path, MAX_TEXT_BYTES if path.suffix == ".json" else MAX_BYTES)
    if path.suffix in DATABASES:
        found = _guarded(path, lambda: _bounded(_rows(path, only_data), size))
    else:
        found = _guarded(path, lambda: _images(path, size))
    if not found:
        raise BadInput(f"{path}: no frames")
    return found


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a database; nothing for any other file.

    Raises:
        BadInput: As `read_frames`.
    """
    require_file(path, MAX_TEXT_BYTES if path.suffix == ".json" else MAX_BYTES)
    if path.suffix not in DATABASES:
        return {}
    return _guarded(path, lambda: dict(_database(path).metadata))


def format_of(path: Path) -> str | None:
    """ASE's name of the file's format, None for a database.

    Raises:
        BadInput: As `read_frames`.
    """
    return None if path.suffix in DATABASES else _guarded(path, lambda: _format(path))


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


def _bounded(frames: Iterator[RawFrame], size: int) -> list[RawFrame]:
    """The frames, unless they have more atoms than `size` bytes can hold.

    Raises:
        ValueError: They have more (a file may repeat its atoms), or a geometry is wrong.
    """
    found: list[RawFrame] = []
    atoms = 0
    for frame in frames:
        _check_geometry(len(found), frame)
        atoms += len(frame.numbers)
        if atoms * _BYTES_PER_ATOM > size:
            raise ValueError(f"frame {len(found)}: more atoms than the file has room for")
        found.append(frame)
    return found


def _check_geometry(index: int, frame: RawFrame) -> None:
    """Raises ValueError where a frame's geometry has other types or shapes than `RawFrame`'s."""
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


def _format(path: Path) -> str:
    """ASE's name of the file's format; absolute, as ASE takes ``postgres…`` for a server."""
    from ase.io.formats import filetype

    return str(filetype(str(path.resolve())))


def _images(path: Path, size: int) -> list[RawFrame]:
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


def _raw(frames: Iterator[Any]) -> Iterator[RawFrame]:
    for atoms in frames:
        results = atoms.calc.results if atoms.calc else {}
        arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
        labels = {**arrays, **atoms.info, **results}
        yield RawFrame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, labels)


def _rows(path: Path, only_data: bool) -> Iterator[RawFrame]:
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
        yield RawFrame(row.numbers, row.positions, row.cell, row.pbc, labels)
