"""The disk cache of ground truths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from suites.pinn.reference import cache
from suites.pinn.reference.reference import Reference

#: Of what has a ground truth computed.
DEFINITION = "suites.pinn.problems.compressible_flow:CompressibleFlow1D.own_truth"
REFERENCE = Reference(
    axes=(np.linspace(0, 1, 4), np.linspace(0, 2, 3)),
    values=np.random.default_rng(0).normal(size=(4, 3, 2)),
    method="método, 8 cells",
    error=(1e-5, 2e-5),
    order=1.9,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Solver:
    """Counts its calls."""

    def __init__(self, reference: Reference = REFERENCE) -> None:
        self.reference, self.calls = reference, 0

    def __call__(self) -> Reference:
        self.calls += 1
        return self.reference


def assert_same(one: Reference, other: Reference) -> None:
    assert len(one.axes) == len(other.axes)
    for a, b in zip(one.axes, other.axes, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.values, other.values)
    assert one.values.dtype == other.values.dtype
    assert (one.method, one.error, one.order) == (other.method, other.error, other.order)


@pytest.mark.parametrize(
    "reference", [REFERENCE, Reference(REFERENCE.axes, REFERENCE.values, "from a file")]
)
def test_a_second_call_reads_what_the_first_computed(folder: Path, reference, capsys) -> None:
    solver = Solver(reference)
    assert_same(cache.cached("flow", {"cells": 8}, DEFINITION, solver), reference)
    assert_same(cache.cached("flow", {"cells": 8}, DEFINITION, solver), reference)
    assert solver.calls == 1
    assert capsys.readouterr().err == ""
    assert len(list(folder.glob("flow-*.npz"))) == 1
    assert not list(folder.glob("*.tmp"))


def test_name_parameters_and_definition_make_the_key(folder: Path) -> None:
    key = cache.cache_key("flow", {"cells": 8, "g": 1.0}, DEFINITION)
    assert cache.cache_key("flow", {"g": 1.0, "cells": 8}, DEFINITION) == key
    assert cache.cache_key("flow", {"cells": 9, "g": 1.0}, DEFINITION) != key
    assert cache.cache_key("wave", {"cells": 8, "g": 1.0}, DEFINITION) != key
    assert cache.cache_key("flow", {"cells": np.int64(8), "g": np.float64(1.0)}, DEFINITION) == key
    other = "suites.pinn.problems.shallow_water:ShallowWater2D.own_truth"
    assert cache.cache_key("flow", {"cells": 8, "g": 1.0}, other) != key


def test_what_is_not_defined_is_refused(folder: Path) -> None:
    solver = Solver()
    with pytest.raises(LookupError, match="no definition"):
        cache.cached("flow", {}, "suites.pinn.task:nothing", solver)
    assert solver.calls == 0


def test_arrays_may_be_parameters_and_functions_may_not(folder: Path) -> None:
    one = cache.cache_key("flow", {"times": np.array([0.0, 0.1])}, DEFINITION)
    assert cache.cache_key("flow", {"times": [0.0, 0.1]}, DEFINITION) == one
    assert cache.cache_key("flow", {"times": [0.0, np.nextafter(0.1, 1)]}, DEFINITION) != one
    solver = Solver()
    with pytest.raises(TypeError, match="function"):
        cache.cached("flow", {"initial": lambda x: x}, DEFINITION, solver)
    with pytest.raises(ValueError, match="JSON"):
        cache.cached("flow", {"g": float("nan")}, DEFINITION, solver)
    assert solver.calls == 0


@pytest.mark.parametrize("damage", ["truncate", "overwrite", "empty", "flip", "other"])
def test_a_corrupt_file_is_computed_anew(folder: Path, damage: str, capsys) -> None:
    solver = Solver()
    cache.cached("flow", {}, DEFINITION, solver)
    (path,) = folder.glob("flow-*.npz")
    data = path.read_bytes()
    if damage == "other":
        np.savez(path, something=np.zeros(3))
    else:
        middle = len(data) // 3
        flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
        path.write_bytes(
            {
                "truncate": data[: len(data) // 2],
                "overwrite": b"no archive",
                "empty": b"",
                "flip": flipped,
            }[damage]
        )
    assert_same(cache.cached("flow", {}, DEFINITION, solver), REFERENCE)
    assert solver.calls == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "cannot be read" in lines[0]
    cache.cached("flow", {}, DEFINITION, solver)
    assert solver.calls == 2


def test_pickles_are_not_loaded(folder: Path, capsys) -> None:
    solver = Solver()
    cache.cached("flow", {}, DEFINITION, solver)
    (path,) = folder.glob("flow-*.npz")
    np.savez(path, n_axes=0, values=np.array([print], dtype=object), method="pickled")
    assert_same(cache.cached("flow", {}, DEFINITION, solver), REFERENCE)
    assert "allow_pickle" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_costs_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path / "file" / "cache"))
    solver = Solver()
    for _ in range(2):
        assert_same(cache.cached("flow", {}, DEFINITION, solver), REFERENCE)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert "cannot be used" in lines[0]
    assert solver.calls == 2


def test_a_full_disk_costs_one_line(folder: Path, monkeypatch, capsys) -> None:
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    assert_same(cache.cached("flow", {}, DEFINITION, Solver()), REFERENCE)
    assert "No space left" in capsys.readouterr().err
    assert not list(folder.glob("*.tmp"))
    assert not list(folder.glob("*.npz"))


def test_a_failed_solver_stores_nothing_and_frees_the_lock(folder: Path) -> None:
    def broken() -> Reference:
        raise OSError("the solver's own")

    with pytest.raises(OSError, match="the solver's own"):
        cache.cached("flow", {}, DEFINITION, broken)
    assert not list(folder.glob("*.npz"))
    solver = Solver()
    cache.cached("flow", {}, DEFINITION, solver)
    assert solver.calls == 1


def test_two_processes_compute_once(folder: Path, tmp_path: Path) -> None:
    script = f"""
import time
import numpy as np
from pathlib import Path
from suites.pinn.reference.cache import cached
from suites.pinn.reference.reference import Reference

def solve():
    with Path({str(tmp_path / "calls")!r}).open("a") as calls:
        calls.write("call\\n")
    time.sleep(1.0)
    return Reference((np.arange(3.0),), np.ones((3, 1)), "slow")

start = Path({str(tmp_path)!r})
(start / f"ready-{{__import__('os').getpid()}}").touch()
while len(list(start.glob("ready-*"))) < 2:
    time.sleep(0.01)
print(cached("slow", {{}}, {DEFINITION!r}, solve).values.sum())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (output, errors) == ("3.0\n", "")
    assert (tmp_path / "calls").read_text() == "call\n"


def test_where_the_cache_is(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DCBENCH_CACHE", str(tmp_path))
    assert cache.cache_directory() == tmp_path
    monkeypatch.delenv("DCBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_directory() == tmp_path / "dcbench" / "references"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_directory() == tmp_path / ".cache" / "dcbench" / "references"
