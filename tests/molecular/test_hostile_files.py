"""Data files that mean harm: refused in one line, soon, in little memory."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import pickle
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hostile_files import (
    BOMB,
    SMALL,
    Executed,
    arrays,
    deflated_zeros,
    npy,
    npy_header,
    refusal,
    refused_by_the_program,
    sparse,
    write_zip,
)

from suites.molecular.data import raw_frames
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.md17 import read_npz

#: Values in `BOMB` bytes of float64.
MANY = BOMB // 8
#: An array of them in ASE's JSON.
JSON_BOMB = {"__ndarray__": [[MANY], "float64", 1.0]}

Write = Callable[[Path], None]


@pytest.fixture(autouse=True)
def small_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked cannot be known before, and a GiB would take seconds."""
    monkeypatch.setattr(raw_frames, "MAX_TEXT_BYTES", 8 * 1024**2)


# --- npz --------------------------------------------------------------------------------------


def archive(without: str = "", bomb: tuple[bytes, int] | None = None, **members: bytes) -> Write:
    """An honest file but for some of its members; a `bomb` is in the place of R."""

    def write(path: Path) -> None:
        honest = {
            f"{name}.npy": npy(array)
            for name, array in arrays().items()
            if name != without and not (bomb and name == "R")
        }
        changed = {f"{name}.npy": content for name, content in members.items()}
        write_zip(path, {**honest, **changed}, {"R.npy": bomb} if bomb else {})

    return write


def encrypted(path: Path) -> None:
    archive()(path)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


def published_without_order(path: Path) -> None:
    names = {"z": "nuclear_charges", "E": "energies", "F": "forces", "R": "coords"}
    content = {names[key]: value for key, value in arrays().items()}
    np.savez(path, **content, old_indices=np.array(["9", "10", "8", "x"]))


NPZ: dict[str, tuple[Write, str]] = {
    "a header of 10^12 frames": (archive(R=npy_header((10**12, 3, 3))), "more than the limit"),
    "a negative length": (archive(R=npy_header((-1, 3, 3))), "not a readable npz"),
    "a deflate bomb": (archive(bomb=(npy_header((MANY // 9, 3, 3)), BOMB)), "12 GiB, more than"),
    "a header of 4 GiB": (
        archive(bomb=(b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1), BOMB)),
        "'R' has a header of 4294967295 bytes",
    ),
    "a member that is no array": (archive(E=b"no array at all"), "not a readable npz"),
    "an empty member": (archive(E=b""), "not a readable npz"),
    "an encrypted member": (encrypted, "encrypted"),
    "fractional atomic numbers": (archive(z=npy(np.array([8.5, 1, 1]))), "'z' must be whole"),
    "atomic numbers that are NaN": (archive(z=npy(np.full(3, np.nan))), "'z' must be whole"),
    "complex energies": (archive(E=npy(np.ones(4, complex))), "complex128"),
    "records": (archive(E=npy(np.zeros(4, [("a", "f8")]))), "'E' must be numbers"),
    "escapes in a unit": (archive(e_unit=npy(np.array("\x1b[2J\n"))), "unit of energy"),
    "a unit of a million letters": (archive(e_unit=npy(np.array("x" * 10**6))), "xxx…"),
    "escapes in a key": (archive("E", **{"a\x1b[2J\n": b""}), r"a\x1b[2J"),
    "ten thousand keys": (archive("E", **{f"a{k}": b"" for k in range(10**4)}), "a1001, "),
    "an order in text": (published_without_order, "'old_indices' must be whole numbers"),
    "a sparse file of 100 GB": (lambda path: sparse(path, 100 << 30), "more than the limit"),
}


def check(
    path: Path,
    read: Callable[[], object],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both the reader and the program refuse the file in the same line, which leaves no trace."""
    before = sorted(path.parent.iterdir())
    said = refusal(read)
    assert text in said and path.name in said
    problem = [*SMALL, "--problem", str(path), "--energy-unit", "eV"]
    assert text in refused_by_the_program(problem, tmp_path / "out", capsys)
    assert sorted(path.parent.iterdir()) == before
    assert not (path.parent / "marker").exists()


@pytest.mark.parametrize("name", NPZ)
def test_npz(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, text = NPZ[name]
    path = tmp_path / "f.npz"
    write(path)
    check(path, lambda: read_npz(path, "eV"), text, tmp_path, capsys)


@pytest.mark.parametrize("key", ["R", "z", "e_unit"])
def test_npz_runs_nothing(key: str, tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, **{**arrays(), key: np.array([Executed(tmp_path / "marker")], dtype=object)})
    assert "pickled" in refusal(lambda: read_npz(path))
    assert not (tmp_path / "marker").exists()
    with np.load(path, allow_pickle=True) as file:
        file[key]
    assert (tmp_path / "marker").exists()  # so the file is one that would


def test_a_repeated_member_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    archive()(path)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("E.npy", npy(np.arange(4.0)))
    assert read_npz(path, "eV").energies.tolist() == [0.0, 1.0, 2.0, 3.0]


# --- files that ASE reads ---------------------------------------------------------------------


def xyz(
    atoms: int = 1,
    comment: str = 'energy=1 Lattice="3 0 0 0 3 0 0 0 3"',
    columns: str = "species:S:1:pos:R:3:forces:R:3",
    row: str = "H 0 0 0 0 0 0",
) -> str:
    return f"{atoms}\nProperties={columns} {comment}\n{row}\n"


def text(content: str) -> Write:
    return lambda path: path.write_text(content) and None


def binary(content: bytes) -> Write:
    return lambda path: path.write_bytes(content) and None


def item(**changed: Any) -> dict[str, Any]:
    """A frame of ASE's trajectories, of one hydrogen atom."""
    results = {"name": "x", "energy": 1.0, "forces": [[0, 0, 0]]}
    frame = {"version": 1, "ase_version": "3", "pbc": [False] * 3, "numbers": [1]}
    geometry = {"positions": [[0, 0, 0]], "cell": [[0] * 3] * 3}
    return {**frame, **geometry, "calculator.": results, **changed}


def large(atoms: int = 20_000) -> dict[str, Any]:
    zeros = [[0, 0, 0]] * atoms
    results = {"name": "x", "energy": 1.0, "forces": zeros}
    return item(numbers=[1] * atoms, positions=zeros, **{"calculator.": results})


def trajectory(frame: dict[str, Any], repeated: int = 1, claimed: int | None = None) -> Write:
    """ASE's format with one frame, to which all places of the table point."""
    content = json.dumps(frame).encode()
    start = 48
    table = struct.pack("<q", start) * repeated
    numbers = struct.pack("<3q", 3, claimed or repeated, start + 8 + len(content))
    header = b"- of UlmASE-Trajectory  " + numbers
    return binary(header + struct.pack("<q", len(content)) + content + table)


def row(**changed: Any) -> dict[str, Any]:
    """A row of ASE's database in JSON."""
    frame = {"numbers": [1], "positions": [[0, 0, 0]], "unique_id": "a"}
    return {**frame, "energy": 1.0, "forces": [[0, 0, 0]], **changed}


def rows(frame: dict[str, Any], repeated: int = 1) -> Write:
    return text(json.dumps({"1": frame, "ids": [1] * repeated, "nextid": 2}))


def database(*statements: str) -> Write:
    """ASE's database of two waters, and what is then done to it."""

    def write(path: Path) -> None:
        with ase.db.connect(path.with_suffix(".db")) as file:
            for _ in range(2):
                atoms = Atoms("OHH", np.eye(3))
                atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.ones((3, 3)))
                file.write(atoms)
        with closing(sqlite3.connect(path.with_suffix(".db"))) as file:
            for statement in statements:
                file.execute(statement)
            file.commit()
        os.replace(path.with_suffix(".db"), path)

    return write


def generated(path: Path) -> None:
    """Positions that are computed where they are read, 900 MB each."""
    database()(path)
    with closing(sqlite3.connect(path)) as file:
        columns = [name for _, name, *_ in file.execute("PRAGMA table_info(systems)")]
        formula = "positions BLOB GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL"
        kept = ", ".join(name for name in columns if name != "positions")
        file.execute("ALTER TABLE systems RENAME TO before")
        declared = ", ".join(formula if name == "positions" else name for name in columns)
        file.execute(f"CREATE TABLE systems ({declared})")
        for _ in range(10):
            file.execute(f"INSERT INTO systems ({kept}) SELECT {kept} FROM before")
        file.commit()


def set_row(column: str, content: Any) -> str:
    return f"UPDATE systems SET {column} = '{json.dumps(content)}'"


def metadata(content: Any) -> str:
    return f"INSERT INTO information VALUES ('metadata', '{json.dumps(content)}')"


COUNTER = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c)"
ENDLESS = (
    "ALTER TABLE systems RENAME TO before",
    f"CREATE VIEW systems AS {COUNTER} SELECT before.* FROM before, c",
)
ENDLESS_METADATA = (
    "ALTER TABLE information RENAME TO before",
    "CREATE VIEW information AS"
    f" {COUNTER} SELECT 'version' AS name, hex(zeroblob(1000000)) AS value FROM c",
)
TRIGGER = "CREATE TRIGGER t AFTER DELETE ON systems BEGIN DELETE FROM keys; END"
ENTITIES = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
XML = f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a0 "aaaaaaaaaa">{ENTITIES}]><modeling>&a11;'

ASE: dict[str, tuple[str, Write, str]] = {
    "10^12 atoms": ("f.xyz", text(xyz(10**12)), "ends within a frame"),
    "10^12 atoms, packed": (
        "f.xyz.gz",
        binary(gzip.compress(xyz(10**12).encode())),
        "ends within a frame",
    ),
    "fewer than no atoms": ("f.xyz", text(xyz(-3)), "cannot read it"),
    "10^9 columns": (
        "f.xyz",
        text(xyz(columns="species:S:1:pos:R:3:x:R:1000000000")),
        "1000000004 columns",
    ),
    "a line without an end": ("f.xyz", lambda path: sparse(path, 3 << 30), "more than 1048576"),
    "JSON without an end": (
        "f.xyz",
        text(xyz(comment=f'energy=1 x="_JSON {"[" * 10**5}"')),
        "RecursionError",
    ),
    "an energy in JSON": (
        "f.xyz",
        text(xyz(comment=r'energy="_JSON {\"a\": 1}"')),
        "(key 'energy') must be numbers",
    ),
    "an energy in letters": ("f.xyz", text(xyz(comment="energy=low")), "must be numbers"),
    "an energy that is true": ("f.xyz", text(xyz(comment="energy=T")), "got bool"),
    "forces in letters": (
        "f.xyz",
        text(xyz(columns="species:S:1:pos:R:3:forces:S:3", row="H 0 0 0 a b c")),
        "cannot read it",
    ),
    "periodic where nobody knows": (
        "f.xyz",
        text(xyz(comment='energy=1 Lattice="9 0 0 0 9 0 0 0 9" pbc="a b c d"')),
        "pbc is 'a b c d'",
    ),
    "positions given twice": (
        "f.xyz",
        text(xyz(columns="species:S:1:pos:R:3:pos:R:3:forces:R:3", row="H 0 0 0 0 0 0 0 0 0")),
        "more than once",
    ),
    "two columns of elements": (
        "f.xyz",
        text(xyz(columns="species:S:1:pos:R:3:forces:R:3:numbers:I:1", row="H 0 0 0 0 0 0 200")),
        "atomic numbers",
    ),
    "positions that are NaN": ("f.xyz", text(xyz(row="H nan 0 0 0 0 0")), "not finite"),
    "positions in another unit": ("f.xyz", text(xyz(row="H 1e300 0 0 0 0 0")), "from the origin"),
    "a lattice in another unit": (
        "f.xyz",
        text(xyz(comment='energy=1 Lattice="1e-9 0 0 0 1e-9 0 0 0 1e-9"')),
        "lattice vectors of frame 0",
    ),
    "a flat lattice": (
        "f.xyz",
        text(xyz(comment='energy=1 Lattice="9 0 0 0 9 0 9 9 0"')),
        "lattice vectors of frame 0",
    ),
    "escapes in a symbol": ("f.xyz", text(xyz(row="\x1b[2J 0 0 0 0 0 0")), "KeyError"),
    "escapes in a key": ("f.xyz", text(xyz(comment='"a\x1b[2Jb"=1')), r"it has a\x1b[2Jb, forces"),
    "bytes that are no text": ("f.xyz", binary(b"\xff\xfe\0" * 50), "UnicodeDecodeError"),
    "a gzip bomb": (
        "f.xyz.gz",
        binary(deflated_zeros(BOMB, xyz().encode(), wbits=31)),
        "unpacks to more than the limit",
    ),
    "a bzip2 bomb": (
        "f.xyz.bz2",
        binary(bz2.compress(xyz().encode()) + bz2.compress(bytes(2**22)) * 4),
        "unpacks to more than the limit",
    ),
    "rubbish after gzip": ("f.xyz.gz", binary(gzip.compress(xyz().encode()) + b"rubbish"), "gzip"),
    "another program's file": ("f.xyz", binary(b"- of UlmGPAW" + bytes(99)), "the format 'gpw'"),
    "a library's file": ("f.xyz", binary(b"CDF\1" + bytes(99)), "the format 'netcdftrajectory'"),
    "a name of LMDB": ("f.aselmdb", binary(bytes(99)), "the format 'db', which is not read"),
    "a name of PostgreSQL": ("f.postgresql", text("x"), "the format 'postgresql'"),
    "a name of MySQL": ("f.mysql", text("x"), "the format 'mysql'"),
    "entities of XML": ("vasprun.xml", text(XML), "amplification"),
    "an array in a trajectory": ("f.traj", trajectory(item(info=JSON_BOMB)), "TypeError"),
    "an array of few values": (
        "f.traj",
        trajectory(item(info={"__ndarray__": [[MANY], "float64", [1.0]]})),
        f"an array of the shape ({MANY},) has 1 values",
    ),
    "an array in a constraint": (
        "f.traj",
        trajectory(item(constraints=json.dumps([JSON_BOMB]))),
        "cannot read it",
    ),
    "a constraint that is none": (
        "f.traj",
        trajectory(item(constraints='[{"name": "os", "kwargs": {}}]')),
        "cannot read it",
    ),
    "10^10 frames": ("f.traj", trajectory(item(), claimed=10**10), "cannot read it"),
    "an array of 10^9 rows": (
        "f.traj",
        trajectory(item(**{"positions.": {"ndarray": [[10**9, 3], "float64", 0]}})),
        "cannot read it",
    ),
    "an array of objects": (
        "f.traj",
        trajectory(item(**{"positions.": {"ndarray": [[1, 3], "O", 0]}})),
        "object array",
    ),
    "one frame again and again": ("f.traj", trajectory(large(), 10**5), "more atoms than the file"),
    "endless rows": ("f.db", database(*ENDLESS), "'systems' is no plain table"),
    "endless metadata": ("f.db", database(*ENDLESS_METADATA), "'information' is no plain table"),
    "computed columns": ("f.db", generated, "'systems' is no plain table"),
    "a trigger": ("f.db", database(TRIGGER), "'t' is no plain table"),
    "a foreign table": (
        "f.db",
        database("DROP TABLE systems", "CREATE TABLE systems (a)", "DROP TABLE information"),
        "cannot read it",
    ),
    "a version in letters": (
        "f.db",
        database("UPDATE information SET value = 'new' WHERE name = 'version'"),
        "cannot read it",
    ),
    "an array in the data": ("f.db", database(set_row("data", {"x": JSON_BOMB})), "TypeError"),
    "an array in a pair": (
        "f.db",
        database(set_row("key_value_pairs", {"x": JSON_BOMB})),
        "TypeError",
    ),
    "an array in parameters": (
        "f.db",
        database(set_row("calculator_parameters", json.dumps(JSON_BOMB))),
        "TypeError",
    ),
    "metadata that are a list": ("f.db", database(metadata([1, 2])), "cannot read it"),
    "JSON for a database": ("f.db", rows(row()), "not a database"),
    "a database for JSON": ("f.json", database(), "UnicodeDecodeError"),
    "an array in JSON": ("f.json", rows(row(numbers=JSON_BOMB)), "TypeError"),
    "a bottomless list": ("f.json", text("[" * 10**6), "RecursionError"),
    "one row again and again": (
        "f.json",
        rows(row(numbers=[1] * 20_000, positions=[[0, 0, 0]] * 20_000), 10**5),
        "more atoms than the file",
    ),
    "no positions": ("f.json", rows({"numbers": [1], "unique_id": "a"}), "positions"),
    "a line of positions": ("f.json", rows(row(positions=[1, 2, 3])), "frame 0: positions are"),
    "positions in letters": ("f.json", rows(row(positions=[["a", "b", "c"]])), "positions are"),
    "a cell in letters": ("f.json", rows(row(cell="wide")), "frame 0: cell are"),
    "two directions": ("f.json", rows(row(pbc=[True, True])), "frame 0: pbc are"),
    "half an element": ("f.json", rows(row(numbers=[1.5])), "frame 0: numbers are float64"),
}


@pytest.mark.parametrize("name", ASE)
def test_ase(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, write, said = ASE[name]
    path = tmp_path / file
    write(path)
    check(path, lambda: read_ase(path, "eV"), said, tmp_path, capsys)


@pytest.mark.parametrize("content", [{"_property_unit_dict": 5}, {"splits": 5}], ids=str)
def test_metadata_of_someone_else(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    database(metadata(content))(path)
    assert len(read_ase(path, "eV")) == 2


@pytest.mark.parametrize("name", ["f.traj", "f.pckl", "f.xyz", "f.db", "f.json", "f.bundle"])
def test_ase_runs_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, marker = tmp_path / name, tmp_path / "marker"
    for head in (b"", b"PickleTrajectory", b"- of UlmASE-Trajectory  "):
        path.write_bytes(head + pickle.dumps(Executed(marker), 2))
        check(path, lambda: read_ase(path, "eV"), "", tmp_path, capsys)
    pickle.loads(pickle.dumps(Executed(marker)))
    assert marker.exists()  # so the files are some that would


@pytest.mark.parametrize("name", ["postgres.xyz", "mysql.xyz", "mariadb.xyz", "postgresql:x.xyz"])
def test_a_file_named_as_a_server_is_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASE looks at how a name begins, and would ask that server."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(xyz())
    assert len(read_ase(Path(name), "eV")) == 1


def test_a_server_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("postgresql://host/db", "mysql://host/db.db", "https://host/f.xyz", "f.xyz@0"):
        arguments = [*SMALL, "--problem", name, "--energy-unit", "eV"]
        assert "no such file" in refused_by_the_program(arguments, tmp_path / "out", capsys)


def test_a_trajectory_by_another_name_is_read(tmp_path: Path) -> None:
    trajectory(item(pbc=[True] * 3, cell=[[3, 0, 0], [0, 3, 0], [0, 0, 3]]))(tmp_path / "f.xyz")
    assert read_ase(tmp_path / "f.xyz", "eV").energies.tolist() == [1.0]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_database_is_left_as_it_is(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    database(f"PRAGMA journal_mode = {mode}")(path)
    before = path.read_bytes()
    assert len(read_ase(path, "eV")) == 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_that_is_written_to_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    database("PRAGMA journal_mode = WAL")(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM systems WHERE id = 1")
        other.commit()
        assert len(read_ase(path, "eV")) == 1


def test_the_limit_of_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.xyz.gz"
    path.write_bytes(gzip.compress(xyz().encode()))
    monkeypatch.setattr(raw_frames, "MAX_TEXT_BYTES", len(xyz()))
    assert len(read_ase(path, "eV")) == 1
    monkeypatch.setattr(raw_frames, "MAX_TEXT_BYTES", len(xyz()) - 1)
    assert "unpacks to more than" in refusal(lambda: read_ase(path, "eV"))


# --- what is no file, and names ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["f.npz", "f.xyz", "f.traj", "f.db", "f.json", "f.xyz.gz"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_what_is_no_file(
    kind: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    read = read_npz if name == "f.npz" else read_ase
    assert f"{name}: cannot be opened" in refusal(lambda: read(path, "eV"))
    arguments = [*SMALL, "--problem", str(path), "--energy-unit", "eV"]
    assert name in refused_by_the_program(arguments, tmp_path / "out", capsys)


@pytest.mark.parametrize("name", ["a\nb\x1b[2J.npz", "a\r\x07.xyz", "a\u202eb.npz"])
def test_names_that_would_move_the_cursor(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("no data")
    arguments = [*SMALL, "--problem", str(tmp_path / name), "--energy-unit", "eV"]
    assert str(tmp_path) in refused_by_the_program(arguments, tmp_path / "out", capsys)
