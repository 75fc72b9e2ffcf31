"""Potentials, weights and archives that mean harm: nothing of them is run, or fills a disk."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import (
    BOMB,
    NO_FILES,
    SAFETENSORS,
    SMALL,
    Executed,
    arrays,
    refusal,
    safetensors,
    sparse,
    write_zip,
)

from bench.store import checkpoint
from bench.store.store import Store
from bench.suite import main
from suites.molecular.data import download
from suites.molecular.export import TORCH_FORMAT, load_potential

Write = Callable[[Path], None]


def replaced(path: Path, change: Callable[[dict[str, bytes]], None], **bombs: int) -> None:
    """A file of torch's with other members; `bombs` are members of so many zeros."""
    torch.save({"format": TORCH_FORMAT, "weights": torch.zeros(7, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    (prefix,) = (name.removesuffix("data.pkl") for name in members if name.endswith("data.pkl"))
    change(members)
    zeros = {f"{prefix}data/{key}": (b"", size) for key, size in bombs.items()}
    write_zip(path, {name: members[name] for name in members if name not in zeros}, zeros)


def with_pickle(content: bytes) -> Write:
    def change(members: dict[str, bytes]) -> None:
        (name,) = (name for name in members if name.endswith("data.pkl"))
        members[name] = content

    return lambda path: replaced(path, change)


def saved(path: Path, zipped: bool) -> None:
    """A file of torch's with an object that would run code."""
    content = {"format": TORCH_FORMAT, "own": Executed(path.with_name("marker"))}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)


def linked(path: Path) -> None:
    """torch's first format, whose members are links to another file."""
    with tarfile.open(path, "w") as file:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(entry)


def with_text(text: str) -> Write:
    """A safetensors file that says `text` where a potential says what it is."""
    return lambda path: path.write_bytes(safetensors({"__metadata__": {"potential": text}}))


#: Forty tuples, each twice in the next, as the key of a dictionary: hashed 2^40 times.
HASHED = b"".join(b"q" + bytes([k]) + b"h" + bytes([k]) + b"\x86" for k in range(40))
#: Of the older format, which torch wrote.
OLDER: dict[str, tuple[Write, str]] = {
    "a deflated tensor": (lambda path: replaced(path, lambda _: None, **{"0": BOMB}), "compressed"),
    "a claimed length": (
        with_pickle(
            b"\x80\2c__builtin__\nbytearray\n\x8a\5" + struct.pack("<q", BOMB)[:5] + b"\x85R."
        ),
        "'__builtin__ bytearray'",
    ),
    "hashes without end": (with_pickle(b"\x80\2})" + HASHED + b"K\1s."), "references to tuples"),
    "code": (lambda path: saved(path, True), "no tensor and no plain value"),
    "code in the older form": (lambda path: saved(path, False), "not a zip file"),
    "code in the oldest form": (linked, "not a zip file"),
    "a program": (
        lambda path: torch.jit.script(torch.nn.Linear(1, 1)).save(str(path)),
        "is unreadable",
    ),
    "no format": (lambda path: torch.save({"format": torch.ones(3)}, path), "no exported"),
    "a sparse file": (lambda path: sparse(path, 100 << 30), "more than the limit"),
}
POTENTIALS: dict[str, tuple[Write, str]] = {
    **SAFETENSORS,
    "no text": (lambda path: path.write_bytes(safetensors({})), "no exported"),
    "no JSON": (with_text("potential"), "is unreadable"),
    "no object": (with_text("[1]"), "is unreadable"),
    "lists without end": (with_text('{"format":' + "[" * 1_000_000), "is unreadable"),
    "the older format": (with_text(f'{{"format":{TORCH_FORMAT}}}'), "no exported"),
    "a format of all digits": (with_text('{"format":' + "9" * 1_000_000 + "}"), "is unreadable"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("name", OLDER)
def test_potentials_of_the_older_format_and_checkpoints(name: str, tmp_path: Path) -> None:
    write, said = OLDER[name]
    path = tmp_path / "p.pt"
    write(path)
    line = refusal(lambda: load_potential(path))
    assert said in line and "p.pt" in line
    state, refused = checkpoint.load(path, "a", {})
    assert state is None and refused and refused.endswith(": starting anew")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", POTENTIALS)
def test_potentials(name: str, tmp_path: Path) -> None:
    write, said = POTENTIALS[name]
    path = tmp_path / "p.safetensors"
    write(path)
    line = refusal(lambda: load_potential(path))
    assert said in line and "p.safetensors" in line


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"p{suffix}"
    NO_FILES[name](path)
    assert "no such file" in refusal(lambda: load_potential(path))


# --- downloads --------------------------------------------------------------------------------


def packed(entry: tarfile.TarInfo, folder: Path) -> tarfile.TarFile:
    """An archive of one member, which holds what its size says."""
    path = folder / "a.tar"
    with tarfile.open(path, "w") as file:
        file.addfile(entry, io.BytesIO(bytes(min(entry.size, 9))))
    return tarfile.open(path)


@pytest.mark.parametrize(
    ("kind", "name", "link"),
    [
        (tarfile.REGTYPE, "../outside", ""),
        (tarfile.REGTYPE, "/tmp/dcbench-outside", ""),
        (tarfile.SYMTYPE, "inside", "/etc/passwd"),
        (tarfile.SYMTYPE, "inside", "../outside"),
        (tarfile.LNKTYPE, "inside", "../outside"),
        (tarfile.CHRTYPE, "inside", ""),
        (tarfile.FIFOTYPE, "inside", ""),
    ],
)
def test_archives_write_where_they_are_unpacked(
    kind: bytes, name: str, link: str, tmp_path: Path
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "outside").write_text("mine")
    with download.scratch(target) as folder, packed(entry, tmp_path) as file:
        with contextlib.suppress(tarfile.FilterError):
            file.extract(name, folder)
        assert all(path.is_dir() or path.is_file() for path in folder.rglob("*"))
        assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert (tmp_path / "outside").read_text() == "mine"
    assert not Path("/tmp/dcbench-outside").exists()


def test_an_archive_may_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = tarfile.TarInfo("inside")
    entry.size = 9
    with packed(entry, tmp_path) as file, download.scratch(tmp_path) as folder:
        file.extract("inside", folder)
        monkeypatch.setattr(download, "MAX_BYTES", 8)
        with pytest.raises(tarfile.FilterError, match="more than the limit"):
            file.extract("inside", folder)


def test_weights_that_mean_harm_are_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a run on an honest file, in the older format and in today's."""
    path = tmp_path / "f.npz"
    np.savez(path, **arrays(450), e_unit="kcal/mol")
    store = Store(tmp_path / "out")
    command = [*SMALL, "--problem", str(path), "--out", str(store.root)]
    assert main(command) == 0
    (name,) = store.names()
    today = store.weights(name)
    today.unlink()
    harmful: list[tuple[Path, Write]] = [(today.with_suffix(".pt"), lambda p: saved(p, True))]
    harmful += [(today, write) for write, _ in SAFETENSORS.values()]
    harmful += [(today, write) for write in NO_FILES.values()]
    for path, write in harmful:
        write(path)
        capsys.readouterr()
        assert main([*command, "--export", str(tmp_path / "potentials")]) == 0
        (line,) = (line for line in capsys.readouterr().err.splitlines() if "unreadable" in line)
        assert line.endswith("--rerun") and "f.npz" in line and line.isprintable()
        assert list((tmp_path / "potentials").iterdir()) == []
        path.rmdir() if path.is_dir() else path.unlink()
    assert not list(tmp_path.rglob("marker"))
