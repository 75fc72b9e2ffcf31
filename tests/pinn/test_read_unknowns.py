"""Unknowns that are passed on or read in unusual ways, and those that start at a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pinn_specs
import pytest
import read_unknowns
import torch

from bench.suite import main
from bench.text.errors import BadInput
from suites.pinn.check import difference_from_deepxde
from suites.pinn.declared_unknowns import check_unknowns
from suites.pinn.task import PINNTask, build
from suites.pinn.trained import solution

CPU = torch.device("cpu")


def task(name: str, **given: Any) -> PINNTask:
    return build(pinn_specs.specify(f"read_unknowns:{name}", **given), CPU)


# --- passed on ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("OWN_FUNCTION", {"C": 0.3}),
        ("NAMED_TUPLE", {"PAIR[0]": 0.3, "PAIR[1]": 0.7}),
        ("DATACLASS", {"ROD.conductivity": 0.3}),
    ],
)
def test_an_unknown_that_is_passed_on_is_trained(name: str, starts: dict[str, float]) -> None:
    built = task(name)
    assert {n: pytest.approx(v.item()) for n, v in built.unknowns.values.items()} == starts
    assert difference_from_deepxde(built) < 1e-10
    for value in built.unknowns.values.values():
        value.data.mul_(-3)
    assert difference_from_deepxde(built) < 1e-10
    before = [value.item() for value in built.unknowns.values.values()]
    built.step()
    after = [value.item() for value in built.unknowns.values.values()]
    assert all(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BY_TRACE", ["'C'", "cannot be replaced", "torch.jit"]),
        ("BEFORE", ["once, before training"]),
    ],
)
def test_what_cannot_be_replaced_is_told_from_what_was_computed_before(
    name: str, words: list[str]
) -> None:
    with pytest.raises(BadInput) as error:
        task(name)
    for word in words:
        assert word in str(error.value)


# --- read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("FLOAT", "float()"),
        ("COPIED", "torch.tensor()"),
        ("ITEM", ".item()"),
        ("DATA", ".data"),
        ("BRANCH", "bool()"),
        ("ENDS", ".numpy()"),
        ("AUXILIARY", ".numpy()"),
    ],
)
def test_an_unknown_that_is_read_out_of_the_graph_is_an_error(name: str, reader: str) -> None:
    with pytest.raises(BadInput) as error:
        task(name)
    assert "'C'" in str(error.value) and reader in str(error.value)
    with pytest.raises(BadInput):
        check_unknowns(getattr(read_unknowns, name))


def test_a_number_that_is_made_of_an_unknown_with_the_data_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"'C' is read by float\(\) when the data are made"):
        check_unknowns(read_unknowns.BUILT)


def test_it_is_refused_when_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pinn", "--problem", "read_unknowns:FLOAT", "--out", str(tmp_path / "runs")]
    assert main([*arguments, "--budget", "smoke", "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'C'" in line and "float()" in line
    assert not (tmp_path / "runs").exists()


def test_an_unknown_that_is_partly_read_is_said() -> None:
    built = task("PARTLY")
    assert list(built.unknowns.values) == ["C"]
    (warning,) = (w for w in built.warnings if "'C'" in w)
    assert ".numpy()" in warning


@pytest.mark.parametrize("name", ["IDLE", "NOT_CHOSEN", "FROZEN", "ABOUT"])
def test_a_trainable_tensor_that_is_not_of_the_problem_is_left_alone(name: str) -> None:
    built = task(name)
    assert list(built.unknowns.values) == (["used"] if name == "IDLE" else [])
    about = [warning for warning in built.warnings if "SURROGATE" in warning]
    assert len(about) == (name == "FROZEN")


# --- at a bound -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["UPPER", "LOWER", "NEGATIVE", "FLAT", "ROOT"])
def test_a_plan_holds_wherever_an_unknown_goes(name: str) -> None:
    built = task(name)
    assert built.evaluation.path == "taylor"
    (value,) = built.unknowns.values.values()
    for number in (0.5, 2.5) if name == "ROOT" else (-2.5, -0.5, 0.0, 0.5, 2.5):
        value.data.fill_(number)
        assert difference_from_deepxde(built) < 1e-10


# --- weights of other unknowns --------------------------------------------------------------------


def test_weights_of_a_run_whose_unknown_was_frozen_are_refused() -> None:
    spec = pinn_specs.specify("inverse_problems:MODULE")
    weights = build(spec, CPU).weights()
    frozen = {name: tensor for name, tensor in weights.items() if name != "unknowns.C"}
    with pytest.raises(BadInput, match=r"trained without the unknown 'C'.*has no unknowns"):
        solution(spec, frozen, CPU)
    renamed = {**frozen, "unknowns.c": weights["unknowns.C"]}
    with pytest.raises(BadInput, match=r"'C'.*did you mean 'c'"):
        solution(spec, renamed, CPU)
    more = {**weights, "unknowns.D": weights["unknowns.C"]}
    with pytest.raises(BadInput, match=r"'D'.*no longer has"):
        solution(spec, more, CPU)
