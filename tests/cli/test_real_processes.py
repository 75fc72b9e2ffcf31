"""Each command once as its users start it; most other tests fork their processes, or start none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import toy_suite

STUDY = """
question = "Does it help?"

[[part]]
suite = "lone"
arms = ["baseline", "irelu"]
problems = ["sine"]
"""


def suite(cwd: Path, *arguments: str) -> str:
    """Standard output of a command that succeeds without a warning."""
    command = [sys.executable, "-m", "bench.suite", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    return done.stdout


@pytest.mark.real_processes
def test_a_study_its_report_a_run_of_it_and_that_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_suite.use(tmp_path, monkeypatch)
    (tmp_path / "mine.toml").write_text(STUDY)
    out = suite(tmp_path, *["study", "mine.toml", "--seeds", "1", "--device", "cpu", "--jobs", "1"])
    assert "Does it help?" in out
    assert (tmp_path / "bench-results/reports/mine-lone-quick.html").exists()
    rows = suite(tmp_path, *["report", "--study", "mine", "--format", "csv"]).splitlines()
    assert len(rows) == 1 + 2
    name = next((tmp_path / "bench-results/runs").iterdir()).name
    assert name in suite(tmp_path, "show", name[:8])
    assert "the same to the last bit" in suite(tmp_path, "reproduce", name[:8])


def test_speed(tmp_path: Path) -> None:
    arguments = "speed pinn --problem advection-1d --model fnn:8x2 --initial 50 --compile off"
    found = json.loads(
        suite(
            tmp_path,
            *arguments.split(),
            *["--rounds", "1", "--steps", "1", "--device", "cpu", "--json"],
        )
    )
    assert found and all(speed["difference"] < 1e-10 for speed in found)
