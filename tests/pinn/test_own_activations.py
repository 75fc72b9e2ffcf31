"""A user's activation in a PINN: parameters a neuron, no parameter untrained, no term unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pinn_specs
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from suites.pinn import check
from suites.pinn.backend import dde
from suites.pinn.check import build_checked, difference_from_deepxde
from suites.pinn.curvature import highest_order
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.wrap import wrap

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


def _poisson(
    input_transform: Callable[[Tensor], Tensor] | None = None,
    output_transform: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Problem:
    """u_xx + u_tt = 1 for 0 < x, t < 1."""

    def data() -> Any:
        square = dde.geometry.Rectangle([0, 0], [1, 1])
        return dde.data.PDE(
            square,
            lambda x, u: dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) - 1,
            [],
            num_domain=50,
        )

    return wrap(
        data,
        name="poisson",
        outputs=["u"],
        losses=["Lf"],
        exact=lambda x: x[:, :1] * 0,
        input_transform=input_transform,
        output_transform=output_transform,
    )


PLAIN = _poisson()
LINEAR = _poisson(lambda x: 2 * x - 1, lambda x, u: 3 * u + x[:, :1])
HARD = _poisson(output_transform=lambda x, u: x[:, :1] * (1 - x[:, :1]) * x[:, 1:] ** 2 * u)
INITIAL = _poisson(output_transform=lambda x, u: x[:, 1:] * u)
WAVES = _poisson(input_transform=lambda x: torch.cat([x[:, :1], torch.sin(x[:, 1:])], dim=1))


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("PLAIN", "are 0 at all of 50 training points, so the terms"),
        ("LINEAR", "are 0 at all of 50 training points, so the terms"),
        ("HARD", "the equation sees only those of the transform at all of 50 training points; a"),
        (
            "INITIAL",
            "of the transform at all of 50 training points, and the one by x[0] is still 0",
        ),
        ("WAVES", "of the transform at all of 50 training points, and the one by x[0] is still 0"),
    ],
)
def test_curvature_of_a_transform_is_told_apart_from_the_network_s(problem: str, said: str) -> None:
    given = {"protocol": "standard", "steps": 60}
    task = pinn_specs.task(f"{__name__}:{problem}", "relu", **given)
    (found,) = [one for one in task.diagnose().warnings if "piecewise linear" in one]
    assert said in found
    # What the sentence says: the residual is seen to depend on the network, or not to.
    gradients = torch.autograd.grad(
        task.evaluation(training=True).sum(),
        list(task.net.parameters()),
        materialize_grads=True,
    )
    seen = any(bool(gradient.any()) for gradient in gradients)
    assert seen == ("only those of the transform" in found)
    smooth = pinn_specs.task(f"{__name__}:{problem}", **given).diagnose().warnings
    assert not any("piecewise linear" in one for one in smooth)


def test_a_third_derivative_is_tried_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        function = getattr(check, name)
        return lambda *args, **kwargs: calls.append(name) or function(*args, **kwargs)

    for name in ("highest_order", "check_derivatives"):
        monkeypatch.setattr(check, name, counted(name))
    monkeypatch.setattr(check, "_RIGHT", set())
    monkeypatch.setattr(check, "_NEEDLESS", set())
    arm = f"{_FAULTS}:Snake"
    for seed in range(3):
        build_checked(pinn_specs.specify("diffusion-sorption-1d", arm, seed=seed), pinn_specs.CPU)
    assert calls == ["highest_order", "check_derivatives"]
    build_checked(pinn_specs.specify("diffusion-sorption-1d", arm, dtype="float32"), pinn_specs.CPU)
    assert calls[2:] == ["highest_order", "check_derivatives"]
    other = f"{_FAULTS}:PerNeuron"
    for seed in range(3):
        build_checked(pinn_specs.specify("advection-1d", other, seed=seed), pinn_specs.CPU)
    assert calls[4:] == ["highest_order"]
    # An edited file is another activation; one that is wrong is refused every time.
    spec = pinn_specs.specify("diffusion-sorption-1d", arm)
    edited = replace(spec, sources=dict.fromkeys(spec.sources, "0" * 16))
    build_checked(edited, pinn_specs.CPU)
    assert calls[5:] == ["highest_order", "check_derivatives"]
    for _ in range(2):
        with pytest.raises(ValueError, match="its third derivative at x = "):
            build_checked(
                pinn_specs.specify("diffusion-sorption-1d", f"{_FAULTS}:WrongThird"), pinn_specs.CPU
            )


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
