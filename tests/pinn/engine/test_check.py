"""The engine compared with DeepXDE at the start of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pinn_specs
import pytest

from bench.suite import main
from suites.pinn.check import difference_from_deepxde, is_rounding
from suites.pinn.engine import taylor

SMOKE = "pinn --problem advection-1d --budget smoke --model fnn:8x2 --device cpu --jobs 1 --json"

MEAN = """
import numpy as np
import torch
from suites.pinn import wrap
from suites.pinn.backend import dde

def factory():
    geometry = dde.geometry.Interval(-1, 1)
    def pde(x, u):
        return dde.grad.hessian(u, x) - u{mean}
    ends = dde.icbc.DirichletBC(geometry, lambda x: 1, lambda x, on: on)
    return dde.data.PDE(geometry, pde, ends, 30, 2, train_distribution="pseudo")

problem = wrap(factory, name="own", outputs=["u"], losses=["Lf", "LBC"])

class Only32(torch.nn.Module):
    def forward(self, x):
        assert x.dtype == torch.float32, "only single precision"
        return torch.tanh(x)
"""


def engine_of(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], list[str]]:
    (record,) = json.loads(capsys.readouterr().out)
    assert record["status"] == "done", record["reason"]
    return record["task"]["engine"], record["warnings"]


def test_a_check_that_passes_leaves_its_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path)]
    assert main([*SMOKE.split(), "--check-engine", *out]) == 0
    engine, _ = engine_of(capsys)
    assert engine["path"] == "taylor"
    assert engine["difference_from_deepxde"] < 1e-10


def test_a_check_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = taylor._inner_product
    monkeypatch.setattr(taylor, "_inner_product", lambda a, b: 1.001 * inner(a, b))
    record = pinn_specs.run(tmp_path, "compressible-flow-1d", check_engine=True)
    assert record.status == "failed"
    assert "differs from DeepXDE by" in (record.reason or "")
    assert "--engine deepxde" in (record.reason or "")
    # Without the check nothing would have shown.
    assert pinn_specs.run(tmp_path / "unchecked", "compressible-flow-1d").status == "done"


def test_nan_where_deepxde_is_finite_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    task = pinn_specs.task("advection-1d")
    assert is_rounding(difference_from_deepxde(task))
    inner = taylor._inner_product
    monkeypatch.setattr(taylor, "_inner_product", lambda a, b: inner(a, b) * float("nan"))
    assert difference_from_deepxde(task) == float("inf")
    assert not is_rounding(float("inf"))


def test_a_problem_of_ones_own_is_checked_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_module: Callable[[str, str], None]
) -> None:
    own_module("pointwise", MEAN.format(mean=""))
    command = SMOKE.replace("advection-1d", "pointwise:problem")
    assert main([*command.split(), "--out", str(tmp_path / "out")]) == 0
    engine, warnings = engine_of(capsys)
    assert engine["path"] == "taylor" and engine["difference_from_deepxde"] < 1e-10
    assert not any("DeepXDE" in warning for warning in warnings)


def test_one_that_the_engine_gets_wrong_is_trained_by_deepxde_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_module: Callable[[str, str], None]
) -> None:
    """A mean over rows is over other rows there: those of the conditions as well."""
    own_module("coupled", MEAN.format(mean=".mean()"))
    command = SMOKE.replace("advection-1d", "coupled:problem")
    assert main([*command.split(), "--out", str(tmp_path / "out")]) == 0
    engine, warnings = engine_of(capsys)
    assert engine["path"] == "deepxde" and engine["difference_from_deepxde"] > 1e-10
    assert any("so this run is trained by DeepXDE itself" in warning for warning in warnings)


def test_one_that_cannot_be_checked_is_trained_by_deepxde_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_module: Callable[[str, str], None]
) -> None:
    own_module("single", MEAN.format(mean=""))
    command = [*SMOKE.split(), "--no-baseline", "--activation", "single:Only32"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    engine, warnings = engine_of(capsys)
    assert engine["path"] == "deepxde"
    assert engine["check"].startswith("not possible: AssertionError: only single precision")
    assert any("only single precision), so this run is trained" in warning for warning in warnings)


def test_what_deepxde_refuses_fails_with_its_message(tmp_path: Path) -> None:
    """No run is `done` by the fast engine where the comparison raises: here in DeepXDE's own."""
    arm = "activation=faults.activations:SecondDetached"
    record = pinn_specs.run(tmp_path, "diffusion-sorption-1d", arm)
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("RuntimeError: The differentiated Tensor at index 0 appears")
