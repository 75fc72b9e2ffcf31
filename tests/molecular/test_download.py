"""Downloads by SchNetPack's data modules, from a server on this machine."""

from __future__ import annotations

import io
import tarfile
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.text.errors import BadInput
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.download import REVISED_URL, database_path, download_md17

COUNT = 4
NUMBERS = np.array([6, 8, 1], dtype=np.uint8)
MD17_URL = "http://www.quantum-machine.org/gdml/data/npz/"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that stands for the published addresses: real requests go to it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    retrieve = urllib.request.urlretrieve

    def redirected(url: str, file: str) -> Any:
        assert url.startswith((MD17_URL, REVISED_URL))
        return retrieve(f"http://127.0.0.1:{server.server_port}/{url.rsplit('/', 1)[1]}", file)

    monkeypatch.setattr(urllib.request, "urlretrieve", redirected)
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def labels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    shape = (COUNT, len(NUMBERS), 3)
    return random.normal(size=shape), random.normal(size=COUNT), random.normal(size=shape)


def serve_md17(path: Path) -> None:
    positions, energies, forces = labels()
    np.savez(path, E=energies[:, None], F=forces, R=positions, z=NUMBERS)


def serve_revised(path: Path, member: str) -> None:
    """The archive with one molecule and the published splits."""
    positions, energies, forces = labels()
    arrays = io.BytesIO()
    np.savez(
        arrays,
        nuclear_charges=NUMBERS,
        coords=positions,
        energies=energies,
        forces=forces,
        old_indices=np.array([7, 3, 9, 1]),
    )
    files = {f"rmd17/npz_data/{member}": arrays.getvalue()}
    for fold in range(1, 6):
        files[f"rmd17/splits/index_train_0{fold}.csv"] = b"0\n1\n"
        files[f"rmd17/splits/index_test_0{fold}.csv"] = b"2\n3\n"
    with tarfile.open(path, "w:bz2") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    ("molecule", "file"),
    [("salicylic-acid", "md17_salicylic.npz"), ("benzene", "md17_benzene2017.npz")],
)
def test_md17_becomes_a_database(served: Path, tmp_path: Path, molecule: str, file: str) -> None:
    serve_md17(served / file)
    root = tmp_path / "new" / "root"
    path = download_md17(molecule, False, root)
    assert path == database_path(molecule, False, root)
    assert list(root.iterdir()) == [path]
    frames = read_ase(path, None)
    positions, energies, forces = labels()
    assert frames.energy_unit == "kcal/mol"
    assert frames.sequential
    np.testing.assert_array_equal(frames.energies, energies)
    np.testing.assert_array_equal(frames.forces, forces.reshape(-1, 3))
    np.testing.assert_array_equal(frames.positions, positions.reshape(-1, 3))
    np.testing.assert_array_equal(frames.numbers, np.tile(NUMBERS, COUNT))


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")
def test_revised_md17_is_no_trajectory(served: Path, tmp_path: Path) -> None:
    serve_revised(served / REVISED_URL.rsplit("/", 1)[1], "rmd17_salicylic.npz")
    path = download_md17("salicylic-acid", True, tmp_path)
    frames = read_ase(path, None)
    positions, energies, _ = labels()
    np.testing.assert_array_equal(frames.energies, energies)
    np.testing.assert_array_equal(frames.positions, positions.reshape(-1, 3))
    # SchNetPack drops `old_indices`.
    assert not frames.sequential


def test_what_is_there_is_not_downloaded(served: Path, tmp_path: Path) -> None:
    serve_md17(served / "md17_ethanol.npz")
    path = download_md17("ethanol", False, tmp_path)
    (served / "md17_ethanol.npz").unlink()
    assert download_md17("ethanol", False, tmp_path) == path
    with pytest.raises(BadInput):
        download_md17("uracil", False, tmp_path)


@pytest.mark.parametrize("content", [None, b"<html>Please wait</html>", b"cut"])
@pytest.mark.parametrize(
    ("revised", "url", "file"),
    [(False, f"{MD17_URL}md17_ethanol.npz", "md17_ethanol.npz"), (True, REVISED_URL, "rmd17_eth")],
)
def test_failures_name_the_address_and_leave_nothing(
    served: Path, tmp_path: Path, revised: bool, url: str, file: str, content: bytes | None
) -> None:
    target = served / url.rsplit("/", 1)[1]
    if content == b"cut":
        if revised:
            serve_revised(target, "rmd17_ethanol.npz")
        else:
            serve_md17(target)
        target.write_bytes(target.read_bytes()[:300])
    elif content:
        target.write_bytes(content)
    root = tmp_path / "root"
    before = tempfile.tempdir
    with pytest.raises(BadInput) as caught:
        download_md17("ethanol", revised, root)
    for part in (f"{url} could not be downloaded", file, str(root)):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(root.iterdir())
    assert tempfile.tempdir == before


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlretrieve", refuse)
    with pytest.raises(BadInput, match=r"Name or service not known.*by hand"):
        download_md17("ethanol", False, tmp_path)


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file: cannot be written"):
        download_md17("ethanol", False, tmp_path / "file")


def test_unknown_molecule(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'salicylic_acid'; did you mean 'salicylic-acid'"):
        download_md17("salicylic_acid", False, tmp_path)
