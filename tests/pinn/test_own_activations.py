"""A user's activation in a PINN: parameters a neuron, no parameter untrained, no term unseen."""

from __future__ import annotations

from pathlib import Path

import pinn_specs
import pytest
import torch

from suites.pinn.check import build_checked, difference_from_deepxde
from suites.pinn.curvature import highest_order

_FAULTS = "activation=faults.activations"


@pytest.mark.parametrize("name", ["PerNeuron", "Uneven", "one_module"])
@pytest.mark.parametrize("problem", ["advection-1d", "diffusion-sorption-1d"])
def test_the_fast_engine_has_deepxde_s_loss_and_gradients(problem: str, name: str) -> None:
    task = pinn_specs.task(problem, f"{_FAULTS}:{name}")
    assert task.evaluation.path != "deepxde"
    assert any("activations" in name for name, _ in task.net.named_parameters())
    assert difference_from_deepxde(task) < 1e-10


def test_parameters_a_neuron_are_trained_and_those_of_one_module_count_once() -> None:
    wide = pinn_specs.task(arm=f"{_FAULTS}:PerNeuron")
    before = [activation.a.detach().clone() for activation in wide.net.activations]
    for _ in range(3):
        wide.step()
    for activation, first in zip(wide.net.activations, before, strict=True):
        assert activation.a.shape == (8,) and not torch.equal(activation.a, first)
    plain, tied = (
        pinn_specs.task(arm=arm).description["parameters"]
        for arm in ("baseline", f"{_FAULTS}:one_module")
    )
    assert tied == plain + 1


def test_a_module_of_the_user_s_is_not_what_a_run_before_made_of_it(tmp_path: Path) -> None:
    first, second = (
        pinn_specs.run(tmp_path / name, "advection-1d", f"{_FAULTS}:one_module", steps=20)
        for name in ("first", "second")
    )
    assert first.status == "done" and first.metrics == second.metrics
    assert first.losses == second.losses


def test_a_run_with_parameters_a_neuron_resumes_to_the_same_numbers() -> None:
    whole, half, rest = (pinn_specs.task(arm=f"{_FAULTS}:Uneven") for _ in range(3))
    for _ in range(6):
        whole.step()
    for _ in range(3):
        half.step()
    rest.load_state_dict(half.state_dict())
    for _ in range(3):
        rest.step()
    assert torch.equal(whole.parameters.vector, rest.parameters.vector)


def test_a_parameter_that_no_optimiser_owns_ends_the_run(tmp_path: Path) -> None:
    record = pinn_specs.run(tmp_path, "advection-1d", f"{_FAULTS}:InTraining", steps=300)
    assert record.status == "failed"
    assert (record.reason or "").startswith("UnownedParameter: parameter 'activations.")
    assert "(of InTraining)" in (record.reason or "")


@pytest.mark.parametrize(
    ("problem", "order"),
    [("advection-1d", 1), ("compressible-flow-1d", 1), ("diffusion-sorption-1d", 2)],
)
@pytest.mark.parametrize("arm", ["baseline", "relu"])
def test_the_order_of_the_equations_is_counted(problem: str, order: int, arm: str) -> None:
    task = pinn_specs.task(problem, arm)
    losses = task.evaluation(training=False).detach()
    assert highest_order(task.data, task.net, task.device) == order
    assert not task.net._forward_pre_hooks
    assert torch.equal(task.evaluation(training=False).detach(), losses)


@pytest.mark.parametrize(
    ("problem", "arm", "said"),
    [
        ("diffusion-sorption-1d", "relu", "activation ReLU is piecewise linear"),
        ("diffusion-sorption-1d", "activation=torch.nn:PReLU", "activation PReLU is piecewise"),
        ("diffusion-reaction-2d", "relu", "are 0 at all of 200 training points"),
        # Layer norm bends what ReLU does not.
        ("diffusion-sorption-1d", "relu+layernorm", None),
        ("diffusion-sorption-1d", "irelu", None),
        ("diffusion-sorption-1d", "baseline", None),
        ("advection-1d", "relu", None),
    ],
)
def test_second_derivatives_that_are_0_are_told(problem: str, arm: str, said: str | None) -> None:
    model = "fnn-ln:8x3" if "layernorm" in arm else "fnn:8x3"
    warnings = pinn_specs.task(problem, arm.removesuffix("+layernorm"), model=model).diagnose()
    found = [one for one in warnings.warnings if "piecewise linear" in one]
    assert [one for one in found if said and said in one] == found
    assert bool(found) == (said is not None)


def test_a_wrong_third_derivative_is_refused_where_the_equation_has_a_second() -> None:
    arm = f"{_FAULTS}:WrongThird"
    with pytest.raises(ValueError, match="its third derivative at x = "):
        build_checked(pinn_specs.specify("diffusion-sorption-1d", arm), pinn_specs.CPU)
    build_checked(pinn_specs.specify("advection-1d", arm), pinn_specs.CPU)


@pytest.mark.parametrize("name", ["PerNeuron", "Snake"])
def test_featurewise_sets_every_layer(name: str) -> None:
    task = pinn_specs.task(arm=f"featurewise+{_FAULTS}:{name}", model="fnn:12x3")
    report = task.net.initialized
    assert (report["layers"], report["left"]) == (4, 0)
    ((found,),) = [report["pre_activations"]]
    other = pinn_specs.task(arm=f"featurewise+{_FAULTS}:Snake", model="fnn:12x3").net.initialized
    assert found["mean"] == pytest.approx(other["pre_activations"][0]["mean"], abs=1e-9)
    assert found["std"] == pytest.approx(other["pre_activations"][0]["std"])
