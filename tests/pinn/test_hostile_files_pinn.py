"""Ground truths, weights and pictures that mean harm: refused, soon, in little memory."""

from __future__ import annotations

import os
import resource
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hostile_files import (
    BOMB,
    Executed,
    deflated_zeros,
    npy,
    npy_header,
    refusal,
    refused_by_the_program,
    write_zip,
)

from bench.files.npz import read_npz_arrays
from bench.report import illustrations as illustration
from suites.pinn.problems import pdebench as pdebench
from suites.pinn.problems.advection import FILE as ADVECTION
from suites.pinn.problems.diffusion_sorption import FILE as SORPTION
from suites.pinn.problems.pdebench import read
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.reference import cache
from suites.pinn.reference.reference import Reference

#: Of what has a ground truth computed.
DEFINITION = "suites.pinn.problems.compressible_flow:CompressibleFlow1D.own_truth"
PROBLEMS = {"advection-1d": ADVECTION, "diffusion-sorption-1d": SORPTION}
SHAPE = (3, 21, 64)
CHUNK = (1, *SHAPE[1:])

Change = Callable[[h5py.File], Any]


def write_advection(folder: Path) -> Path:
    path = folder / ADVECTION.names[0]
    with h5py.File(path, "w") as file:
        file["tensor"] = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
        file["x-coordinate"] = ((np.arange(64) + 0.5) / 64).astype(np.float32)
        file["t-coordinate"] = np.linspace(0, 2, 21, dtype=np.float32)
        file.attrs["beta"] = 0.1
    return path


def write_sorption(folder: Path) -> Path:
    path = folder / SORPTION.names[0]
    with h5py.File(path, "w") as file:
        group = file.create_group("0000")
        group["data"] = np.random.default_rng(0).random((6, 16, 1))
        group["grid/x"] = (np.arange(16) + 0.5) / 16
        group["grid/t"] = np.linspace(0, 500, 6)
        group.attrs["config"] = yaml.safe_dump({"sim": dict(SORPTION.parameters)})
    return path


def tensor(**how: Any) -> Change:
    """Another dataset in the place of the values."""

    def change(file: h5py.File) -> h5py.Dataset:
        del file["tensor"]
        return file.create_dataset("tensor", **{"shape": SHAPE, "dtype": "f4", **how})

    return change


def packed(content: bytes, chunk: tuple[int, ...] = CHUNK, **how: Any) -> Change:
    """A first chunk that holds something else than its values, deflated."""

    def change(file: h5py.File) -> None:
        made = tensor(chunks=chunk, compression="gzip", **how)(file)
        made.id.write_direct_chunk((0, 0, 0), content)

    return change


def elsewhere(file: h5py.File) -> Path:
    """An honest file in another folder."""
    folder = Path(file.filename).parent / "elsewhere"
    folder.mkdir()
    return (write_advection if "tensor" in file else write_sorption)(folder)


def link_out(name: str) -> Change:
    def change(file: h5py.File) -> None:
        other = elsewhere(file)
        del file[name]
        file[name] = h5py.ExternalLink(str(other), name)

    return change


def link_to_passwd(file: h5py.File) -> None:
    del file["tensor"]
    file["tensor"] = h5py.ExternalLink("/etc/passwd", "/")


def link_within(file: h5py.File) -> None:
    file.move("tensor", "other")
    file["tensor"] = h5py.SoftLink("/other")


def link_to_itself(file: h5py.File) -> None:
    del file["0000"]
    file["0000"] = h5py.SoftLink("/0000")


def virtual(file: h5py.File) -> None:
    other = elsewhere(file)
    del file["tensor"]
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(str(other), "tensor", SHAPE)
    file.create_virtual_dataset("tensor", layout)


def outside(file: h5py.File) -> None:
    tensor(external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])(file)


def coordinate(values: np.ndarray) -> Change:
    def change(file: h5py.File) -> None:
        del file["x-coordinate"]
        file["x-coordinate"] = values

    return change


def configured(text: str) -> Change:
    return lambda file: file["0000"].attrs.__setitem__("config", text)


def beta(value: Any) -> Change:
    return lambda file: file.attrs.__setitem__("beta", value)


def renamed(name: str, new: str) -> Change:
    return lambda file: file.move(name, new)


def inherited(merge: str) -> str:
    """Eleven mappings or lists, each of nine times the one before."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{k}: &a{k} {merge % ', '.join([f'*a{k - 1}'] * 9)}" for k in range(1, 12)]
    return "\n".join(lines)


MARK = '!!python/object/apply:os.system ["touch marker"]'
FILES: dict[str, tuple[str, Change, str]] = {
    "a link to another file": ("advection-1d", link_out("tensor"), "tensor is a link"),
    "a link to passwd": ("advection-1d", link_to_passwd, "tensor is a link"),
    "a link to another group": ("diffusion-sorption-1d", link_out("0000"), "0000 is a link"),
    "a link to a coordinate": ("diffusion-sorption-1d", link_out("0000/grid/x"), "x is a link"),
    "a link to a folder": ("diffusion-sorption-1d", link_out("0000/grid"), "grid is a link"),
    "a link within": ("advection-1d", link_within, "tensor is a link"),
    "a link to itself": ("diffusion-sorption-1d", link_to_itself, "0000 is a link"),
    "a virtual dataset": ("advection-1d", virtual, "in another file"),
    "values outside": ("advection-1d", outside, "in another file"),
    "a deflate bomb": ("advection-1d", packed(deflated_zeros(BOMB, wbits=15)), "unpacks to more"),
    "a bomb behind a checksum": (
        "advection-1d",
        packed(deflated_zeros(BOMB, wbits=15) + bytes(4), shuffle=True, fletcher32=True),
        "unpacks to more",
    ),
    "a chunk of 3 GiB": (
        "advection-1d",
        packed(zlib.compress(b""), (600_000, *SHAPE[1:]), shape=(10**6, *SHAPE[1:])),
        "has chunks of 3 GiB, more than the limit of 2 GiB",
    ),
    "a chunk that is cut": ("advection-1d", packed(zlib.compress(bytes(99))[:9]), "damaged"),
    "a chunk that is no deflate": ("advection-1d", packed(b"no deflate"), "damaged"),
    "packed twice": (
        "advection-1d",
        lambda file: doubly_packed(file),
        "compressed by the filters [1, 1]",
    ),
    "10^15 samples": ("advection-1d", tensor(shape=(10**15, *SHAPE[1:])), "never written"),
    "10^15 points": (
        "advection-1d",
        lambda file: huge(file, 10**15),
        "takes 1.56e+08 GiB, more than the limit",
    ),
    "values that were never written": ("advection-1d", tensor(), "never written"),
    "one value for all": ("advection-1d", tensor(chunks=CHUNK, fillvalue=7), "never written"),
    "lists of numbers": ("advection-1d", tensor(dtype=h5py.vlen_dtype("f4")), "type object"),
    "records": ("advection-1d", tensor(dtype=[("a", "f4")]), "expected float"),
    "a space beyond numbers": (
        "advection-1d",
        coordinate(1.7e308 * np.linspace(-1, 1, 64)),
        "goes beyond 1e+100",
    ),
    "a parameter in letters": ("advection-1d", beta("\x1b[2J\n"), "not a number"),
    "three thousand parameters": ("advection-1d", beta(np.arange(3000.0)), "beta is [0.0, 1.0"),
    "escapes in a name": ("advection-1d", renamed("tensor", "a\x1b[2J\n" * 999), r"a\x1b[2J"),
    "a sample with 5000 digits": (
        "diffusion-sorption-1d",
        renamed("0000", "9" * 5000),
        "no groups 0000",
    ),
    "lists of lists": (
        "diffusion-sorption-1d",
        configured(f"{inherited('[%s]')}\nsim:\n  D: *a11"),
        "YAML aliases",
    ),
    "mappings of mappings": (
        "diffusion-sorption-1d",
        configured(f"{inherited('{<<: [%s]}')}\nsim: *a11"),
        "YAML aliases",
    ),
    "a mapping of itself": ("diffusion-sorption-1d", configured("sim: &a\n  D: *a"), "aliases"),
    "code": ("diffusion-sorption-1d", configured(MARK), "is not YAML"),
    "a number of 5000 digits": (
        "diffusion-sorption-1d",
        configured(f"sim:\n  D: {'1' * 5000}"),
        "is not YAML",
    ),
    "a long value": (
        "diffusion-sorption-1d",
        configured(f"sim:\n  D: {'x' * 9000}"),
        "D is 'xxxxxxxxxxxx...xxxxxxxxxxxxx', not a number",
    ),
    "a long configuration": (
        "diffusion-sorption-1d",
        configured("x" * 65_000),
        "is not a YAML mapping",
    ),
}


def doubly_packed(file: h5py.File) -> None:
    pipeline = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    pipeline.set_chunk(CHUNK)
    pipeline.set_deflate(9)
    pipeline.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    del file["tensor"]
    space = h5py.h5s.create_simple(SHAPE)
    made = h5py.h5d.create(file.id, b"tensor", h5py.h5t.IEEE_F32LE, space, pipeline)
    made.write_direct_chunk((0, 0, 0), zlib.compress(zlib.compress(bytes(21 * 64 * 4))))


def huge(file: h5py.File, n: int) -> None:
    for name, shape in (("tensor", (1, 21, n)), ("x-coordinate", (n,))):
        del file[name]
        file.create_dataset(name, shape, "f4", chunks=(*(1,) * (len(shape) - 1), 1024))


@pytest.mark.parametrize("name", FILES)
def test_pdebench(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    problem, change, text = FILES[name]
    expected = PROBLEMS[problem]
    path = (write_advection if expected is ADVECTION else write_sorption)(tmp_path)
    with h5py.File(path, "r+", libver="latest" if "long" in name else None) as file:
        change(file)
    said = refusal(lambda: read(tmp_path, expected))
    assert text in said and path.name in said
    refused(problem, tmp_path, capsys, text)
    assert not (tmp_path / "marker").exists()


def refused(problem: str, root: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    command = ["pinn", "--problem", problem, "--budget", "smoke", "--data-root", str(root)]
    assert text in refused_by_the_program(command, root / "out", capsys)


def test_a_configuration_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sorption(tmp_path)
    monkeypatch.setattr(pdebench, "MAX_CONFIG_CHARACTERS", 50)
    assert "characters, more than the limit of 50" in refusal(lambda: read(tmp_path, SORPTION))


@pytest.mark.parametrize("how", [{}, {"shuffle": True}, {"fletcher32": True}, {"scaled": True}])
@pytest.mark.parametrize("packing", ["gzip", "lzf"])
@pytest.mark.parametrize("chunk", [CHUNK, (2, 5, 30), SHAPE])
def test_honest_compression_is_read(
    chunk: tuple[int, ...], packing: str, how: dict[str, bool], tmp_path: Path
) -> None:
    path = write_advection(tmp_path)
    with h5py.File(path, "r+") as file:
        values = file["tensor"][:]
        if how.pop("scaled", False):
            values[:] = np.round(values)
        made = tensor(chunks=chunk, compression=packing, **how)(file)
        made[:] = values
    found = read(tmp_path, ADVECTION, sample=2).reference.values[..., 0]
    np.testing.assert_array_equal(found.T, values[2].astype(np.float64))


def test_a_chunk_that_was_not_worth_packing_is_read(tmp_path: Path) -> None:
    """A file says so for each chunk."""
    path = write_advection(tmp_path)
    with h5py.File(path, "r+") as file:
        values = file["tensor"][:]
        made = tensor(chunks=CHUNK, compression="gzip")(file)
        for k in range(3):
            made.id.write_direct_chunk((k, 0, 0), values[k].tobytes(), filter_mask=1)
    found = read(tmp_path, ADVECTION).reference.values[..., 0]
    np.testing.assert_array_equal(found.T, values[0].astype(np.float64))


@pytest.mark.parametrize("expected", PROBLEMS.values(), ids=PROBLEMS)
def test_attributes_that_are_not_asked_for_are_not_read(
    expected: PDEBenchFile, tmp_path: Path
) -> None:
    path = (write_advection if expected is ADVECTION else write_sorption)(tmp_path)
    with h5py.File(path, "r+") as file:
        kind, space = h5py.h5t.UNIX_D32LE.copy(), h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"time", kind, space)
        with pytest.raises(TypeError):
            file.attrs["time"]
    assert "time" not in read(tmp_path, expected).config


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "garbage"])
def test_what_is_no_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ADVECTION.names[0]
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(5000))
    assert path.name in refusal(lambda: read(tmp_path, ADVECTION))
    refused("advection-1d", tmp_path, capsys, path.name)


# --- the cache of ground truths ---------------------------------------------------------------


HONEST: dict[str, Any] = {
    "n_axes": 1,
    "axis_0": np.linspace(0, 1, 3),
    "values": np.zeros((3, 1)),
    "method": "cached",
}


def entry(bomb: int = 0, **members: bytes) -> Callable[[Path], object]:
    """A file of the cache with other members, or with zeros for values."""
    kept = {f"{name}.npy": npy(value) for name, value in HONEST.items()}
    changed = {**kept, **{f"{name}.npy": content for name, content in members.items()}}
    bombs = {"values.npy": (npy_header((bomb // 8, 1)), bomb)} if bomb else {}
    return lambda path: write_zip(
        path, {name: content for name, content in changed.items() if name not in bombs}, bombs
    )


CACHED: dict[str, Callable[[Path], object]] = {
    "a deflate bomb": entry(BOMB),
    "a header of 10^12 rows": entry(values=npy_header((10**12, 1))),
    "a member that is no array": entry(values=b"no array at all"),
    "many numbers of axes": entry(n_axes=npy(np.arange(3))),
    "a number of axes that is NaN": entry(n_axes=npy(np.nan)),
    "10^18 axes": entry(n_axes=npy(10**18)),
    "letters": entry(values=npy(np.full((3, 1), "x"))),
    "complex values": entry(values=npy(np.full((3, 1), 1j))),
    "values that are NaN": entry(values=npy(np.full((3, 1), np.nan))),
    "an axis of two dimensions": entry(axis_0=npy(np.zeros((3, 2)))),
    "an axis without any": entry(axis_0=npy(1.0)),
    "a single array": lambda path: path.write_bytes(npy(np.zeros(3))),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "code": lambda path: entry(
        method=npy(np.array(Executed(path.parent / "marker"), dtype=object))
    )(path),
}


@pytest.mark.parametrize("name", CACHED)
def test_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path))
    path = tmp_path / f"flow-{cache.cache_key('flow', {}, DEFINITION)[:32]}.npz"
    CACHED[name](path)
    own = Reference((np.linspace(0, 1, 3),), np.ones((3, 1)), "computed")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cache.cached("flow", {}, DEFINITION, lambda: own).method == "computed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # KiB
    said = capsys.readouterr().err
    assert "cannot be read, computing it anew" in said.splitlines()[0]
    assert not (tmp_path / "marker").exists()


def test_an_honest_entry_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path))
    entry()(tmp_path / f"flow-{cache.cache_key('flow', {}, DEFINITION)[:32]}.npz")
    found = cache.cached("flow", {}, DEFINITION, lambda: pytest.fail("computed"))
    assert found.method == "cached"


# --- npz files in general, pictures --------------------------------------------------


def test_members_are_not_written_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    names = ["../outside.npy", "/outside.npy", "a/../../outside.npy", "x.npy"]
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, npy(np.zeros(2)))
    keys, arrays = read_npz_arrays(path, 10_000)
    assert len(keys) == len(arrays) == 4
    assert list(tmp_path.iterdir()) == [path] and not (tmp_path.parent / "outside.npy").exists()


def test_the_limit_is_of_all_arrays_together(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez_compressed(path, a=np.zeros(1000), b=np.zeros(1000))
    assert len(read_npz_arrays(path, 16_000)[1]) == 2
    assert len(read_npz_arrays(path, 8_000, ["a"])[1]) == 1
    assert "more than the limit" in refusal(lambda: read_npz_arrays(path, 15_999))


def test_a_picture_that_is_a_bomb_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "illustration.npz"
    entry(BOMB, content=npy(np.frombuffer(b"{}", np.uint8)))(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert illustration._read(path, "digest") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # KiB
