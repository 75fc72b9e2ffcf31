"""The script that measures on a GPU, tried on a CPU."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "measurements" / "measure_gpu.py"


@pytest.fixture
def script() -> ModuleType:
    found = importlib.util.spec_from_file_location("measure_gpu", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def measure(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["measure_gpu", "--device", "cpu", "--smoke", *arguments])
    status: int = script.main()
    return status


def test_results_are_written_as_json_and_as_tables(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only = ("--only", "machine", "--only", "products")
    assert measure(script, monkeypatch, "--out", str(tmp_path), *only) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert [part["part"] for part in found] == ["machine", "products"]
    assert all(row["µs"] > 0 for row in found[1]["rows"])
    table = (tmp_path / "results.md").read_text()
    assert "## products" in table and "| what | µs |" in table


def test_a_part_that_fails_or_takes_too_long_is_lost_alone(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = script.Asked("cpu", True)
    start = time.monotonic()
    slow = script.run_part(script.Part("products", 1, script.products), asked, 0.2)
    assert slow["failed"] == "not done after 0 s" and time.monotonic() - start < 5
    failed = script.run_part(script.Part("none such", 1, script.products), asked, 60)
    assert "ValueError" in failed["failed"]
    script.write(tmp_path, [slow, failed])
    assert "not done after 0 s" in (tmp_path / "results.md").read_text()


def test_what_there_is_no_time_for_is_said(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert measure(script, monkeypatch, "--out", str(tmp_path), "--budget", "5") == 1
    found = json.loads((tmp_path / "results.json").read_text())
    assert [part["part"] for part in found] == list(script.SMOKE)
    assert {part["failed"] for part in found} == {"no time left"}


@pytest.mark.slow
def test_all_kinds_of_parts_run(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert measure(script, monkeypatch, "--out", str(tmp_path)) == 0
    found = {p["part"]: p["rows"] for p in json.loads((tmp_path / "results.json").read_text())}
    assert set(found) == set(script.SMOKE)
    for part in ("schnet", "seeds advection-1d", "pinn advection-1d"):
        assert all(row["difference"] < 1e-10 for row in found[part])
