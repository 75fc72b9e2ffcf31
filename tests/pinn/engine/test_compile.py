"""A compiled step: the same numbers, decided on by counts, on the record."""

from __future__ import annotations

import json
from pathlib import Path

import pinn_specs
import pytest
import torch

from bench.suite import main
from suites.pinn.check import (
    difference_from_deepxde,
    loss_and_gradient,
    stock_loss_and_gradient,
)
from suites.pinn.engine import choose, gradients

CPU = torch.device("cpu")


#: What tests compile: the same, which the compiler keeps, since it takes 10 s.
COMPILED = {"arm": "irelu+layernorm+lsuv", "model": "fnn:8x2", "supervised": 0.02, "compile": "on"}


@pytest.mark.parametrize(
    ("problem", "arm"),
    [
        ("advection-1d", COMPILED["arm"]),
        pytest.param("diffusion-reaction-2d", "isilu+lsuv+rescale", marks=pytest.mark.slow),
    ],
)
def test_compiled_is_deepxde_to_rounding(problem: str, arm: str) -> None:
    task = pinn_specs.task(problem, **{**COMPILED, "arm": arm})
    theirs = stock_loss_and_gradient(task)
    assert difference_from_deepxde(task) < 1e-10
    assert task.gradient.how["executed"] == task.gradient.way
    # Other parameters than those that it was compiled with.
    for _ in range(3):
        task.step()
    assert difference_from_deepxde(task) < 1e-10
    ours = loss_and_gradient(task.gradient, task)
    assert not torch.allclose(ours[0], theirs[0])


def test_a_resumed_compiled_run_ends_as_an_uninterrupted_one() -> None:
    tasks = (pinn_specs.task("advection-1d", **COMPILED, steps=8) for _ in range(3))
    whole, first, second = tasks
    for _ in range(8):
        whole.step()
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        second.step()
    assert torch.equal(second.parameters.vector, whole.parameters.vector)


def broken(*_: object) -> None:
    raise RuntimeError("no working C++ compiler found")


def test_without_a_compiler_a_long_run_is_eager_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradients, "_compile", broken)
    monkeypatch.setattr(choose, "_INDUCTOR_SECONDS", 0.0)
    task = pinn_specs.task("advection-1d", COMPILED["arm"])
    task.step()
    engine = task.description["engine"]
    assert engine["executed"] == "eager"
    assert engine["not_compiled"] == "RuntimeError: no working C++ compiler found"


def test_without_a_compiler_a_run_that_asks_for_it_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gradients, "_compile", broken)
    record = pinn_specs.run(tmp_path, "advection-1d", COMPILED["arm"], compile="on")
    assert record.status == "failed"
    assert "no working C++ compiler found" in (record.reason or "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--compile sometimes", "unknown --compile 'sometimes' (allowed: auto, off, on)"),
        ("--engine deepxd", "did you mean 'deepxde'"),
        ("--resample 0", "--resample must be at least 1, got 0"),
        ("--compile on --engine deepxde", "--compile on and --engine deepxde exclude each other"),
    ],
)
def test_bad_input(
    arguments: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["pinn", "--budget", "smoke", "--device", "cpu", "--out", str(out)]
    assert main([*command, *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert named in captured.err and captured.err.count("\n") == 1
    assert not out.exists()


def test_the_choice_is_part_of_the_name_only_where_it_is_not_the_default() -> None:
    default = pinn_specs.specify("advection-1d")
    assert pinn_specs.specify("advection-1d", compile="auto", engine="auto").hash == default.hash
    named = [{"compile": "on"}, {"compile": "off"}, {"engine": "deepxde"}, {"resample": 7}]
    hashes = {pinn_specs.specify("advection-1d", **more).hash for more in named}
    assert len(hashes) == len(named) and default.hash not in hashes
    # A check changes nothing.
    assert pinn_specs.specify("advection-1d", check_engine=True).hash == default.hash


def test_the_record_says_how_a_step_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "pinn --problem advection-1d --budget smoke --model fnn:8x2 --device cpu --jobs 1"
    shared = f" --arm {COMPILED['arm']} --no-baseline --supervised 0.02 --dtype float64"
    engines = []
    for more in (f"--compile on {shared}", "--engine deepxde"):
        out = ["--out", str(tmp_path / "out"), "--json"]
        assert main([*command.split(), *more.split(), *out]) == 0
        (record,) = json.loads(capsys.readouterr().out)
        engines.append(record["task"]["engine"])
    compiled, stock = engines
    assert compiled["executed"] == "inductor"
    assert compiled["setup_s"] > 0
    assert stock == {
        "path": "deepxde",
        "reason": "asked for",
        "rows": 224,
        "executed": "eager",
    }
