"""A disk that is full, or becomes so, or is read-only: one line, and nothing is lost."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy_suite
from command_server import run

from bench.files.atomic import CannotWrite
from bench.store import checkpoint
from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main

COMMAND = ["lone", "--no-baseline", "--arm", "tanh", "--device", "cpu", "--seeds", "3"]


class Disk:
    """A file system of 1 MB."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "store")
        self._filler = root / "filler"

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.root)], check=True)

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield Disk(root)
    subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)


def results(store: Store) -> dict[int, object]:
    return {record.seed: (record.status, record.metrics) for record in store.records()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[int, object]:
    """What comes out where there is room."""
    assert main([*COMMAND, "--jobs", "1", "--out", "whole"]) == 0
    return results(Store(tmp_path / "whole"))


def after_the_first_record(patch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    write = Store.write

    def then_full(store: Store, record: Record) -> None:
        write(store, record)
        change()

    patch.setattr(Store, "write", then_full)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_full_from_the_start(
    disk: Disk, capsys: pytest.CaptureFixture[str], whole: dict[int, object], jobs: str
) -> None:
    command = [*COMMAND, "--jobs", jobs, "--out", str(disk.store.root)]
    disk.store.prepare()
    disk.fill()
    capsys.readouterr()
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bench: cannot write ") and err.count("\n") == 1
    assert "No space left on device" in err
    assert results(disk.store) == {}
    disk.free()
    assert main(command) == 0
    assert results(disk.store) == whole


def test_full_in_the_middle(
    disk: Disk,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[int, object],
) -> None:
    command = [*COMMAND, "--jobs", "1", "--out", str(disk.store.root)]
    with monkeypatch.context() as patch:
        after_the_first_record(patch, disk.fill)
        assert main(command) == 1
    assert "No space left on device; the same command continues" in capsys.readouterr().err
    assert results(disk.store) == {0: whole[0]}
    assert not list(disk.root.rglob("*.tmp"))
    disk.free()
    assert main(command) == 0
    assert "found in the store" in capsys.readouterr().err
    assert results(disk.store) == whole


def test_full_while_workers_train(
    disk: Disk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.02")
    monkeypatch.setattr(
        "bench.execution.progress.ProgressReporter.finished", lambda *arguments: disk.fill()
    )
    command = [*COMMAND, "--jobs", "2", "--out", str(disk.store.root)]
    assert main([*command, "--seeds", "6"]) == 1
    assert "No space left on device; the same command continues" in capsys.readouterr().err
    found = results(disk.store)
    assert 1 <= len(found) < 6


def test_a_checkpoint_that_does_not_fit_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save, refused = checkpoint.save, []

    def full_at_first(path: Path, state: dict[str, object]) -> None:
        if path.name == "checkpoint.pt" and len(refused) < 2:
            refused.append(path)
            raise CannotWrite(28, "No space left on device", str(path))
        save(path, state)

    monkeypatch.setattr("bench.training.loop._CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "save", full_at_first)
    assert main([*COMMAND, "--jobs", "1", "--steps", "300"]) == 0
    records = sorted(Store(tmp_path / "bench-results").records(), key=lambda r: r.seed)
    assert len(refused) == 2
    warning = "a checkpoint could not be written: No space left on device"
    assert [record.warnings for record in records] == [[warning], [], []]


def test_a_limit_on_files_is_the_same(tmp_path: Path) -> None:
    """A quota, as far as a process can set itself one."""
    program = """
import resource, sys
from bench.suite import leave, main
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
leave(main(sys.argv[1:]))
"""
    done = run(
        [sys.executable, "-c", program, *COMMAND, "--jobs", "1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("bench: cannot write ") and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert results(Store(tmp_path / "bench-results")) == {}


# Read-only.


def test_a_read_only_store_is_refused_before_anything_is_run(
    disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    disk.remount("ro")
    assert main([*COMMAND, "--out", str(disk.store.root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"bench: cannot write results to '{disk.store.root}': Read-only file system\n"


def test_a_read_only_store_can_be_read(disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(disk.store.root)]
    assert main([*COMMAND, "--jobs", "1", *out]) == 0
    name = disk.store.names()[0]
    disk.remount("ro")
    capsys.readouterr()
    assert main(["show", name, *out]) == 0
    assert main(["report", "--format", "csv", *out]) == 0
    assert name[:8] in capsys.readouterr().out
    assert main(["report", *out]) == 2
    assert "Read-only file system" in capsys.readouterr().err


def test_read_only_in_the_middle(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    whole: dict[int, object],
) -> None:
    """As a kernel makes a file system whose disk fails; one that is in use cannot be remounted."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    command = [*COMMAND, "--jobs", "1", "--out", "store"]
    with monkeypatch.context() as patch:
        after_the_first_record(patch, lambda: patch.setattr("os.replace", refuse))
        assert main(command) == 1
    assert "Read-only file system; the same command continues" in capsys.readouterr().err
    assert main(command) == 0
    assert results(Store(tmp_path / "store")) == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["list"], [*COMMAND, "--jobs", "1", "--json"]])
def test_an_output_that_takes_no_more(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(
            [sys.executable, "-m", "bench.suite", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "bench: cannot write the output: No space left on device"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
