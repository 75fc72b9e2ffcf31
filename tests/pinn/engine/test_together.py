"""Seeds of one problem as one batched model: the same numbers as each alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.spec.spec import Spec
from bench.suite import main
from suites.pinn.backend import dde
from suites.pinn.batch import Batched, InTurn, build_together
from suites.pinn.problems.advection import Advection1D
from suites.pinn.problems.catalogue import BUILT_IN
from suites.pinn.problems.problem import Points
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")
SEEDS = 3


def specs(problem: str, arm: str = "baseline", **given: object) -> list[Spec]:
    return [pinn_specs.specify(problem, arm, seed=seed, **given) for seed in range(SEEDS)]


def parameters(tasks: list[PINNTask]) -> Tensor:
    return torch.stack([task.parameters.vector.detach() for task in tasks])


@pytest.mark.parametrize("arm", ["baseline", "irelu+lsuv+rescale", "isilu+layernorm", "frozenbn"])
@pytest.mark.parametrize("problem", BUILT_IN)
def test_each_seed_is_trained_as_alone(problem: str, arm: str) -> None:
    asked = specs(problem, arm, supervised=0.02)
    batch = build_together(asked, CPU)
    assert isinstance(batch, Batched), batch.tasks[0].gradient.how
    alone = [build(spec, CPU) for spec in asked]
    for _ in range(5):
        together, apart = batch.step(), [task.step() for task in alone]
        for name, values in together.items():
            assert values.tolist() == pytest.approx([float(o[name]) for o in apart], rel=1e-9)
    torch.testing.assert_close(parameters(batch.tasks), parameters(alone), rtol=1e-9, atol=1e-12)
    for task, own in zip(batch.tasks, alone, strict=True):
        found, wanted = task.evaluate(), own.evaluate()
        assert found.metrics == pytest.approx(wanted.metrics, rel=1e-8)
        assert found.selection == pytest.approx(wanted.selection, rel=1e-8)
    assert len({tuple(task.data.train_x.ravel()) for task in batch.tasks}) == SEEDS


def test_seeds_have_different_numbers_of_points_of_a_condition() -> None:
    """Otherwise the tests above would not see them."""
    counts = {tuple(build(spec, CPU).data.num_bcs) for spec in specs("diffusion-sorption-1d")}
    assert len(counts) > 1


def test_a_seed_goes_on_alone_and_in_other_company() -> None:
    asked = specs("advection-1d", "irelu+lsuv", steps=20)
    alone, batch = [build(spec, CPU) for spec in asked], build_together(asked, CPU)
    for _ in range(4):
        batch.step()
    states = [task.state_dict() for task in batch.tasks]
    lone = build(asked[0], CPU)
    lone.load_state_dict(states[0])
    pair = build_together(asked[1:], CPU)
    for task, state in zip(pair.tasks, states[1:], strict=True):
        task.load_state_dict(state)
    for _ in range(4):
        lone.step()
        pair.step()
    for task in alone:
        for _ in range(8):
            task.step()
    torch.testing.assert_close(
        parameters([lone, *pair.tasks]), parameters(alone), rtol=1e-9, atol=1e-12
    )


def test_a_seed_that_diverges_leaves_the_others_alone() -> None:
    asked = specs("compressible-flow-1d")
    batch, alone = build_together(asked, CPU), [build(spec, CPU) for spec in asked]
    with torch.no_grad():
        batch.tasks[1].parameters.vector[0] = float("inf")
    for _ in range(3):
        losses = batch.step()["loss"]
        for task in alone:
            task.step()
    assert losses.isfinite().tolist() == [True, False, True]
    mine, wanted = parameters(batch.tasks), parameters(alone)
    torch.testing.assert_close(mine[[0, 2]], wanted[[0, 2]], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("arm", "more", "wanted"),
    [
        ("irelu+lsuv+rescale", {}, True),
        ("batchnorm", {}, False),
        ("baseline", {"lbfgs_steps": 3}, False),
        ("baseline", {"resample": 5}, False),
        ("baseline", {"engine": "deepxde"}, False),
        ("baseline", {"check_engine": True}, False),
        ("baseline", {"compile": "on"}, True),
    ],
)
def test_which_specs_can_be_one_model(arm: str, more: dict[str, object], wanted: bool) -> None:
    assert SUITE.together(specs("advection-1d", arm, **more)) is wanted


class Coupled(Advection1D):
    """An equation that looks at all rows: together it would be another one."""

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> object:
        data = super().data(truth, points, supervised)
        pde = data.pde
        data.pde = lambda x, u: pde(x, u) + u.mean()
        return data


class Reverse(Advection1D):
    """A third derivative."""

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> object:
        data = super().data(truth, points, supervised)

        def pde(x: Tensor, u: Tensor) -> Tensor:
            third = dde.grad.jacobian(dde.grad.hessian(u, x, i=0, j=0), x, j=0)
            return dde.grad.jacobian(u, x, j=1) + third

        data.pde = pde
        return data


@pytest.mark.parametrize(
    ("problem", "reason"), [(Coupled, "each seed alone"), (Reverse, "evaluated by reverse")]
)
def test_what_is_no_model_of_each_is_trained_in_turn(
    problem: Callable[[], Advection1D], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suites.pinn.task.get_problem", lambda name: problem())
    asked = specs("advection-1d")
    batch, alone = build_together(asked, CPU), [build(spec, CPU) for spec in asked]
    assert isinstance(batch, InTurn)
    assert all(reason in task.description["engine"]["not_batched"] for task in batch.tasks)
    for _ in range(3):
        together, apart = batch.step(), [task.step() for task in alone]
    assert together["loss"].tolist() == [float(own["loss"]) for own in apart]
    assert torch.equal(parameters(batch.tasks), parameters(alone))


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "pinn --problem diffusion-sorption-1d --arm irelu+lsuv --budget smoke --dtype float64"
    command += f" --model fnn:8x3 --seeds {SEEDS} --device cpu --jobs 1 --json"
    found = {}
    for when in ("on", "off"):
        out = ["--out", str(tmp_path / when), "--seeds-together", when]
        assert main([*command.split(), *out]) == 0
        found[when] = json.loads(capsys.readouterr().out)
    for together, alone in zip(found["on"], found["off"], strict=True):
        assert together["environment"]["seeds_together"] == SEEDS
        assert alone["environment"]["seeds_together"] == 1
        assert together["spec_hash"] == alone["spec_hash"]
        for name, metric in alone["metrics"].items():
            assert together["metrics"][name] == pytest.approx(metric, rel=1e-7), name
        losses = [np.array(record["losses"]["loss"]) for record in (together, alone)]
        np.testing.assert_allclose(*losses, rtol=1e-9)
