"""``runs`` lists a store; ``show`` says what a network has learnt besides its weights."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_suite

from bench.store.store import Store
from bench.suite import main


@pytest.fixture
def store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    lone = ["lone", "--jobs", "1", "--seeds", "3"]
    assert main([*lone, "--arm", "irelu", "--diverge", "2"]) == 0
    assert main([*lone, "--problem", "cosine", "--fail", "oom"]) == 1
    capsys.readouterr()
    return tmp_path / "bench-results"


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, str]]:
    assert main(["runs", "--csv", *options]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert err == f"bench: {len(rows)} runs in bench-results\n"
    return rows


def test_every_run_is_a_row(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys)
    assert [row["run"] for row in sorted(rows, key=lambda row: row["run"])] == Store(store).names()
    assert [row["started"] for row in rows] == sorted(row["started"] for row in rows)
    done = [row for row in rows if row["status"] == "done"]
    assert all(float(row["error"]) >= 0 for row in done)
    assert main(["runs", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["spec_hash"] for record in records] == [row["run"] for row in rows]
    assert all(record["history"] for record in records if record["status"] == "done")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--problem", "sine"], 6),
        (["--problem", "sine", "--problem", "cosine"], 9),
        (["--arm", "irelu"], 3),
        (["--status", "diverged"], 2),
        (["--status", "out-of-memory"], 1),
        (["--status", "diverged", "--arm", "irelu"], 1),
        (["--seed", "1"], 3),
        (["--model", "net"], 9),
        (["--suite", "lone"], 9),
        (["--suite", "pinn"], 0),
        (["--budget", "quick"], 9),
    ],
)
def test_which_runs(
    options: list[str], count: int, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(listed(capsys, *options)) == count


def test_the_list_for_people(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--arm", "irelu"]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "irelu" in line]
    assert len(lines) == 3 and all("error" in line and "sine" in line for line in lines)
    name = lines[0].split()[0]
    assert main(["show", name]) == 0
    shown = capsys.readouterr().out
    assert f"repeat    python -m bench.suite reproduce {name}" in shown
    assert any(line.split()[0] == "selection" for line in shown.splitlines() if line)
    assert "best: where selection was lowest, step" in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["runs", "--status", "dnoe"], "did you mean 'done'?"),
        (["runs", "--json", "--csv"], "not allowed with"),
        (["runs", "--out", "nowhere"], "no runs in 'nowhere'"),
        (["show", "zzzz"], "which has 9 runs (python -m bench.suite runs lists them)"),
    ],
)
def test_bad_input(
    command: list[str], said: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err


SLOPE = """
import torch

class Slope(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return torch.tanh(self.slope * x)
"""


def test_show_names_parameters_and_what_was_learnt(
    own_module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    own_module("own_slope", SLOPE)
    command = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]
    command += ["--model", "fnn-bn:8x2", "--activation", "own_slope:Slope", "--no-baseline"]
    assert main([*command, "--jobs", "1", "--json", "--steps", "40", "--lr", "0.05"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert main(["show", record["spec_hash"][:8]]) == 0
    lines = capsys.readouterr().out.splitlines()
    # 2·8 + 8, 8·8 + 8, 8 + 1; a slope and 8 + 8 of the norm in each hidden layer.
    assert "network   139 parameters" in lines
    learned = record["diagnostics"]["learned"]
    assert learned.keys() >= {"activations.0.slope", "activations.1.slope", "norms.0.weight"}
    (slope,) = learned["activations.0.slope"]
    assert slope != 1 and f"learned   activations.0.slope  {slope:.3g}" in lines
    weight = learned["norms.0.weight"]
    assert weight["count"] == 8 and weight["least"] <= weight["mean"] <= weight["most"]
    assert any(
        line.startswith("learned   norms.0.weight") and "(8 values)" in line for line in lines
    )
