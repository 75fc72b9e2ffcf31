"""The kinds of DeepXDE's data: integral and fractional equations, and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch

from bench.text.errors import BadInput
from suites.pinn.backend import dde
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.wrap import wrap
from suites.pinn.task import PINNTask


def volterra() -> Any:
    """u' + u = ∫₀ˣ e^(s−x) u(s) ds with u(0) = 1, whose solution is e^(−x) cosh x."""
    geometry = dde.geometry.Interval(0, 5)

    def equation(x: Any, y: Any, matrix: Any) -> Any:
        integral = torch.mm(torch.as_tensor(matrix, dtype=y.dtype), y)
        return (dde.grad.jacobian(y, x) + y)[: len(integral)] - integral

    return dde.data.IDE(
        geometry,
        equation,
        dde.icbc.DirichletBC(
            geometry, lambda x: np.ones_like(x), lambda x, on: on and np.isclose(x[0], 0)
        ),
        quad_deg=12,
        kernel=lambda x, s: np.exp(s - x),
        num_domain=16,
        num_boundary=2,
        train_distribution="pseudo",
    )


def _product(matrix: Any, y: Any) -> Any:
    """The matrix of a fractional derivative, dense or as indices, values and shape, times y."""
    if isinstance(matrix, (list, tuple)):
        where, values, shape = matrix
        values = torch.as_tensor(np.asarray(values), dtype=y.dtype)
        return torch.sparse.mm(torch.sparse_coo_tensor(np.array(where).T, values, shape), y)
    return torch.mm(torch.as_tensor(matrix, dtype=y.dtype), y)


ALPHA = 1.5


def fractional(mesh: str = "dynamic") -> Any:
    """(−Δ)^(α/2) u = Γ(α + 1) on (−1, 1), whose solution is (1 − x²)₊^(α/2)·a constant."""
    geometry = dde.geometry.Interval(-1, 1)

    def equation(x: Any, y: Any, matrix: Any) -> Any:
        found = _product(matrix, y) / (2 * np.cos(ALPHA * np.pi / 2))
        return found - 1

    wall = [dde.icbc.DirichletBC(geometry, lambda x: 0 * x, lambda _, on: on)]
    if mesh == "static":
        return dde.data.FPDE(geometry, equation, ALPHA, wall, [21], meshtype="static")
    return dde.data.FPDE(
        geometry,
        equation,
        ALPHA,
        wall,
        [20],
        num_domain=12,
        num_boundary=2,
        train_distribution="pseudo",
    )


def fractional_in_time() -> Any:
    space, time = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1)
    domain = dde.geometry.GeometryXTime(space, time)

    def equation(x: Any, y: Any, matrix: Any) -> Any:
        change = _product(matrix, y)
        return dde.grad.jacobian(y, x, i=0, j=1)[: len(change)] + change

    return dde.data.TimeFPDE(
        domain,
        equation,
        ALPHA,
        [dde.icbc.IC(domain, lambda x: x[:, :1] * (1 - x[:, :1]), lambda _, on: on)],
        [12],
        num_domain=10,
        num_boundary=1,
        num_initial=6,
        train_distribution="pseudo",
    )


def _wrapped(factory: Any, condition: str, **more: Any) -> Problem:
    return wrap(factory, name=factory.__name__, outputs=["u"], losses=["Lf", condition], **more)


VOLTERRA = _wrapped(volterra, "LIC", exact=lambda x: np.exp(-x) * np.cosh(x))
FRACTIONAL = _wrapped(fractional, "LBC")
STATIC = wrap(lambda: fractional("static"), name="static", outputs=["u"], losses=["Lf", "LBC"])
IN_TIME = _wrapped(fractional_in_time, "LIC")
SUPPORTED = ["VOLTERRA", "FRACTIONAL", "STATIC", "IN_TIME"]


def _task(name: str, **given: Any) -> PINNTask:
    return pinn_specs.task(f"{__name__}:{name}", **given)


def _stock(task: PINNTask, data: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Losses and the gradient of their sum by DeepXDE's own model."""
    model = dde.Model(data, task.net)
    model.compile("adam", lr=1e-3, verbose=0)
    _, losses = model.outputs_losses_train(data.train_x, data.train_y, data.train_aux_vars)
    return losses, list(torch.autograd.grad(losses.sum(), task.parameters.parameters))


@pytest.mark.parametrize("name", SUPPORTED)
def test_losses_and_gradients_are_those_of_a_stock_model(name: str) -> None:
    task = _task(name)
    for _ in range(3):
        task.step()
    losses, gradient = _stock(task, task.data)
    found = task.gradient(task.parameters.vector.detach())
    assert torch.allclose(found.terms, losses.detach(), rtol=1e-10, atol=0)
    ours = task.parameters.split(found.gradient).values()
    for own, stock in zip(ours, gradient, strict=True):
        assert torch.allclose(own, stock, rtol=1e-10, atol=1e-10 * float(losses.sum()))


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_run_in_single_precision_is_done_and_prints_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = pinn_specs.run(
        tmp_path, f"{__name__}:{name}", protocol="standard", dtype="float32", steps=4
    )
    assert record.status == "done", record.reason
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_losses_that_are_scored_are_those_that_are_trained_and_of_all_terms(name: str) -> None:
    task = _task(name)
    metrics = task.evaluate().metrics
    losses, _ = _stock(task, task.data)
    condition = task.loss.terms[1].name
    assert metrics["Lf"] == pytest.approx(float(losses[0]), rel=1e-10)
    assert metrics[condition] == pytest.approx(float(losses[1]), rel=1e-10)
    heldout, _ = _stock(task, task.heldout_data)
    assert metrics["heldout_Lf"] == pytest.approx(float(heldout[0]), rel=1e-10)
    assert metrics[f"heldout_{condition}"] == pytest.approx(float(heldout[1]), rel=1e-10)
    assert metrics[condition] > 0


def test_an_integral_equation_is_solved(tmp_path: Path) -> None:
    record = pinn_specs.run(
        tmp_path,
        f"{__name__}:VOLTERRA",
        model="fnn:16x3",
        protocol="standard",
        steps=800,
        lr=5e-3,
    )
    assert record.status == "done", record.reason
    assert record.task["engine"]["path"] == "deepxde"
    assert record.task["collocation_points"] == 18
    assert record.task["condition_points"] == {"LIC": 1}
    assert record.metrics["L2RE"].final < 0.1


@pytest.mark.parametrize("name", ["VOLTERRA", "FRACTIONAL", "IN_TIME"])
def test_points_that_are_drawn_anew_have_their_own_quadrature(name: str) -> None:
    task = _task(name, resample=2, steps=6)
    before = task.data.train_x.copy()
    for _ in range(3):
        task.step()
    assert task.data.train_x.shape != before.shape or not np.array_equal(task.data.train_x, before)
    fresh = task.data.get_int_matrix(True)
    used = getattr(task.data, "int_mat_train", None)
    if used is not None:
        assert used[0] == fresh[0] and np.array_equal(used[1], fresh[1])
    losses, _ = _stock(task, task.data)
    assert torch.allclose(task.evaluation(training=False), losses, rtol=1e-10)


def test_a_static_mesh_says_what_draws_other_points(tmp_path: Path) -> None:
    record = pinn_specs.run(tmp_path, f"{__name__}:STATIC", resample=2, steps=6)
    said = [warning for warning in record.warnings if "meshtype='dynamic'" in warning]
    assert len(said) == 2 and "100%" in said[0] and "100%" in said[1]


AT = np.linspace(0, 1, 7)[:, None]
REFUSED: dict[str, tuple[Any, str]] = {
    "FUNCTION": (
        lambda: dde.data.Function(dde.geometry.Interval(0, 1), np.sin, 8, 8),
        r"dde.data.Function, which fits values without an equation.*PointSetBC",
    ),
    "DATA_SET": (
        lambda: dde.data.DataSet(X_train=AT, y_train=AT, X_test=AT, y_test=AT),
        r"dde.data.DataSet, which fits values",
    ),
    "TRIPLE": (lambda: dde.data.Triple((AT, AT), AT, (AT, AT), AT), "dde.data.Triple, which train"),
    "FIDELITY": (
        lambda: dde.data.MfFunc(dde.geometry.Interval(0, 1), np.sin, np.cos, 4, 4, 4),
        "dde.data.MfFunc, which needs",
    ),
    "CONSTRAINT": (
        lambda: dde.data.Constraint(lambda x, y, _: y, AT, AT),
        "dde.data.Constraint, which has no PyTorch",
    ),
    "NOTHING": (lambda: None, "builds NoneType: it takes dde.data.PDE"),
    "TRAINED_ORDER": (lambda: _trained_order(), "alpha of its FPDE is a tensor"),
}


def _trained_order() -> Any:
    geometry = dde.geometry.Interval(0, 1)
    return dde.data.FPDE(geometry, lambda x, y, _: y, dde.Variable(1.5), [], [8], meshtype="static")


# The process that looks at a problem imports this file anew.
for _name, (_factory, _) in REFUSED.items():
    for _exact in (None, np.sin):
        globals()[f"REFUSED_{_name}_{_exact is None}"] = wrap(
            _factory, name="mine", outputs=["u"], losses=["Lf"], exact=_exact
        )


@pytest.mark.parametrize("name", ["VOLTERRA", "FRACTIONAL"])
def test_a_residual_that_needs_other_points_is_not_drawn_by(name: str) -> None:
    with pytest.raises(BadInput, match=r"--sampler rad.*whose residual at a point needs other"):
        _task(name, resample=2, sampler="rad")


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("without_truth", [True, False])
def test_other_data_are_refused_by_name(name: str, without_truth: bool) -> None:
    with pytest.raises(BadInput, match=REFUSED[name][1]) as found:
        _task(f"REFUSED_{name}_{without_truth}")
    assert "problem 'mine'" in str(found.value)
    assert name == "TRAINED_ORDER" or "TimePDE, IDE, FPDE, TimeFPDE" in str(found.value)


REGRESSION = wrap(
    lambda: dde.data.PDE(
        dde.geometry.Interval(0, 1),
        None,
        [dde.icbc.PointSetBC(AT, np.sin(3 * AT))],
        num_domain=1,
    ),
    name="regression",
    outputs=["u"],
    losses=["Ldata"],
    exact=lambda x: np.sin(3 * x),
)


def test_values_without_an_equation_are_fitted_as_the_message_says(tmp_path: Path) -> None:
    record = pinn_specs.run(
        tmp_path, f"{__name__}:REGRESSION", protocol="standard", steps=400, lr=1e-2
    )
    assert record.status == "done", record.reason
    assert record.metrics["L2RE"].final < 0.05
