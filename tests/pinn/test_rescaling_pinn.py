"""Rescaling is an output transform plus loss weights, and nothing that is reported knows of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor

from bench.store.store import Store
from bench.text.errors import BadInput
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.labels import label_statistics
from suites.pinn.problems.catalogue import BUILT_IN
from suites.pinn.problems.problem import Term
from suites.pinn.problems.wrap import wrap
from suites.pinn.task import PINNTask

CPU = torch.device("cpu")
RESCALINGS = [
    *("rescale=0.01", "rescale=10", "rescale=100", "rescale=auto", "offset", "standardize"),
    *("rescale-weights=100", "rescale-weights=auto"),
]


specify = partial(pinn_specs.specify, model="fnn:8x2", seed=3)
task = partial(pinn_specs.task, model="fnn:8x2", seed=3)


def labels(built: PINNTask) -> list[np.ndarray]:
    """Every number that each output is told to be, by hand."""
    data, outputs = built.data, len(built.problem.outputs)
    at_start = np.asarray(data.train_x[: data.num_bcs[0]], dtype=float)
    found = [[built.truth.initial(at_start[:, :-1])[:, k]] for k in range(outputs)]
    if built.problem.name == "diffusion-sorption-1d":
        found[0].append(np.ones(data.num_bcs[1]))
    if built.supervised is not None:
        for k, output in enumerate(built.supervised.outputs):
            found[output].append(built.supervised.values[:, k])
    return [np.concatenate(values) for values in found]


def scales(rescaling: str, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """C and b of each output, by hand; an output without a scale of its own keeps its unit."""
    mean, deviation = (np.array([f(v) for v in values]) for f in (np.mean, np.std))
    size = np.sqrt([np.mean(v**2) for v in values])
    ones, zeros = np.ones(len(values)), np.zeros(len(values))
    if rescaling == "offset":
        return ones, mean
    if rescaling == "standardize":
        return np.where(deviation > 0, deviation, 1), mean
    if rescaling == "rescale=auto":
        return np.where(size > 0, size, 1), zeros
    return ones * float(rescaling.partition("=")[2]), zeros


def factors(rescaling: str, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """C and b of the network, and C of the loss."""
    c, b = scales(rescaling.replace("rescale-weights", "rescale"), values)
    return np.ones(len(c)) if rescaling.startswith("rescale-weights") else c, b, c


def units(problem: str, c: np.ndarray, labelled: bool) -> list[float]:
    """The unit of each loss term before squaring, in DeepXDE's order."""
    residual, conditions = list(c), [*c, *c]
    if problem == "compressible-flow-1d":
        density, velocity, pressure = c
        residual = [density, density * velocity, pressure]
    if problem == "diffusion-sorption-1d":
        # Initial state, inflow, outflow.
        conditions = [*c, *c, *c]
    return [*residual, *conditions, *(c if labelled else [])]


@pytest.mark.parametrize("rescaling", RESCALINGS)
@pytest.mark.parametrize("problem", BUILT_IN)
def test_the_optimised_loss_is_deepxde_s_with_a_transform_and_weights(
    problem: str, rescaling: str
) -> None:
    built = task(problem, rescaling)
    c, b, of_loss = factors(rescaling, labels(built))
    weights = [1 / unit**2 for unit in units(problem, of_loss, built.supervised is not None)]
    n_in = built.net.linears[0].in_features
    net = dde.nn.FNN([n_in, 8, 8, len(c)], "tanh", "Glorot normal")
    with torch.no_grad():
        for mine, other in zip(built.net.linears, net.linears, strict=True):
            other.weight.copy_(mine.weight)
            other.bias.copy_(mine.bias)

    def transform(_: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs * torch.tensor(c) + torch.tensor(b)
        return torch.relu(outputs) if problem == "diffusion-sorption-1d-relu" else outputs

    net.apply_output_transform(transform)
    data = built.data
    model = dde.Model(data, net)
    with quiet():
        model.compile("adam", lr=1e-3, loss_weights=weights, verbose=0)
    wanted = model.outputs_losses_train(data.train_x, None, None)[1]
    wanted_gradient = torch.autograd.grad(wanted.sum(), net.linears[1].weight)[0]
    optimised = float(wanted.detach().sum())
    evaluated = built.evaluate().metrics
    losses = built.step()
    assert float(losses["loss"]) == pytest.approx(optimised, rel=1e-12)
    assert evaluated["loss"] == pytest.approx(optimised, rel=1e-12)
    torch.testing.assert_close(
        built.parameters.split(built.parameters.vector.grad)["linears.1.weight"],
        wanted_gradient,
        rtol=1e-9,
        atol=1e-14,
    )
    # Unweighted terms, in the problem's own units.
    unweighted = (wanted / torch.tensor(weights)).tolist()
    names = [term.name for term in built.loss.terms]
    assert [float(losses[name]) for name in names] == pytest.approx(unweighted, rel=1e-11)


@pytest.mark.parametrize("problem", BUILT_IN)
def test_statistics_of_the_labels(problem: str) -> None:
    built = task(problem)
    found = label_statistics(built.data, len(built.problem.outputs))
    wanted = labels(built)
    assert [s.count for s in found] == [len(values) for values in wanted]
    for statistics, values in zip(found, wanted, strict=True):
        assert statistics.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-15)
        assert statistics.std == pytest.approx(values.std(), rel=1e-10, abs=1e-15)
        assert statistics.rms == pytest.approx(np.sqrt((values**2).mean()), rel=1e-12)


def test_an_output_that_is_only_told_to_be_zero_keeps_its_unit() -> None:
    """The velocities of the dam break start from rest."""
    for rescaling in ("rescale=auto", "standardize"):
        built = task("shallow-water-2d", rescaling, supervised=0.0)
        depth, u, v = (built.description["scales"][name] for name in "huv")
        assert u == v == {"factor": 1.0, "offset": 0.0}
        assert depth["factor"] != 1
    assert label_statistics(built.data, 4)[3].count == 0


def test_each_condition_s_labels_are_taken_at_its_own_points() -> None:
    set_dtype("float64")
    geometry = dde.geometry.Interval(2, 5)
    conditions = [
        dde.icbc.DirichletBC(geometry, lambda x: x**2, lambda x, on: on and x[0] < 3),
        dde.icbc.NeumannBC(geometry, lambda x: 1e9, lambda x, on: on),
        dde.icbc.DirichletBC(geometry, lambda x: -x, lambda x, on: on and x[0] > 3, component=1),
        dde.icbc.DirichletBC(geometry, lambda x: 10 * x, lambda x, on: on and x[0] > 3),
        dde.icbc.PointSetBC(np.array([[3.0], [4.0]]), np.array([[7.0], [8.0]]), component=1),
    ]
    data = dde.data.PDE(geometry, lambda x, u: u, conditions, 8, 2, train_distribution="pseudo")
    first, second = label_statistics(data, 2)
    assert (first.mean, first.std, first.count) == ((4 + 50) / 2, 23, 2)
    assert (second.mean, second.count) == (pytest.approx((-5 + 7 + 8) / 3), 3)


@pytest.mark.parametrize("rescaling", RESCALINGS)
@pytest.mark.parametrize("problem", BUILT_IN)
def test_the_same_physical_output_is_reported_the_same(problem: str, rescaling: str) -> None:
    plain, built = task(problem), task(problem, rescaling)
    c, b = (
        torch.tensor([getattr(scale, name) for scale in built.scales], dtype=torch.float64)
        for name in ("factor", "offset")
    )
    with torch.no_grad():
        mine, other = built.net.linears[-1], plain.net.linears[-1]
        other.bias.add_(0.5)
        mine.weight.copy_(other.weight / c[:, None])
        mine.bias.copy_((other.bias - b) / c)
    of_plain, of_built = plain.evaluate(), built.evaluate()
    assert of_built.selection == pytest.approx(of_plain.selection, rel=1e-9)
    wanted, found = of_plain.metrics, of_built.metrics
    assert set(found) == set(wanted)
    weighted = {"loss", "heldout_loss"}
    for name in set(found) - weighted:
        assert found[name] == pytest.approx(wanted[name], rel=1e-9, abs=1e-14), name
    if rescaling.startswith("rescale"):
        assert all(found[name] != pytest.approx(wanted[name], rel=1e-3) for name in weighted)
    np.testing.assert_allclose(built.predict(), plain.predict(), rtol=1e-10, atol=1e-12)


def test_a_large_constant_explodes_a_nonlinear_equation_and_not_a_linear_one() -> None:
    def initial(problem: str, arm: str) -> float:
        return task(problem, arm).evaluate().metrics["Lf"]

    assert initial("diffusion-reaction-2d", "rescale=100") > 1e8 * initial(
        "diffusion-reaction-2d", "baseline"
    )
    assert initial("diffusion-reaction-2d", "rescale=1e6") > 1e18
    assert initial("advection-1d", "rescale=100") == pytest.approx(
        1e4 * initial("advection-1d", "baseline"), rel=1e-9
    )


def test_the_optimised_loss_of_a_linear_problem_keeps_its_size() -> None:
    """In the network's unit the equation of a linear problem does not depend on C."""
    for arm in ("rescale=0.01", "rescale=100"):
        built, plain = task("advection-1d", arm), task("advection-1d")
        c = built.scales[0].factor
        mine, wanted = built.evaluate().metrics, plain.evaluate().metrics
        assert mine["Lf"] / c**2 == pytest.approx(wanted["Lf"], rel=1e-9)
        assert mine["LBC"] / c**2 == pytest.approx(wanted["LBC"], rel=1e-9)


@pytest.mark.parametrize("problem", BUILT_IN)
@pytest.mark.parametrize("c", ["0.01", "1e2", "1e4", "auto"])
def test_a_rescaling_is_an_output_transform_with_loss_weights(problem: str, c: str) -> None:
    """The same function has the loss and gradients of C = 1 under the weights of C, at float64."""
    scaled, weighted = (task(problem, f"{name}={c}") for name in ("rescale", "rescale-weights"))
    factor = torch.tensor([scale.factor for scale in scaled.scales], dtype=torch.float64)
    assert all(scale.factor == 1 for scale in weighted.scales)
    with torch.no_grad():
        mine, other = scaled.net.linears[-1], weighted.net.linears[-1]
        mine.weight.copy_(other.weight / factor[:, None])
        mine.bias.copy_(other.bias / factor)
    found = []
    for built in (scaled, weighted):
        loss = built.losses()["loss"]
        (gradient,) = torch.autograd.grad(loss, built.parameters.vector)
        parts = built.parameters.split(gradient)
        last = f"linears.{len(built.net.linears) - 1}."
        shared = [part.flatten() for name, part in parts.items() if not name.startswith(last)]
        found.append((float(loss.detach()), torch.cat(shared)))
    (loss, gradient), (wanted, of_weights) = found
    assert loss == pytest.approx(wanted, rel=1e-10)
    assert float((gradient - of_weights).norm() / of_weights.norm()) < 1e-10
    np.testing.assert_allclose(scaled.predict(), weighted.predict(), rtol=1e-10, atol=1e-12)


def test_a_system_s_terms_are_reweighted_and_the_control_has_those_weights() -> None:
    """The residual of the momentum is in units of C², the others are in units of C."""
    scaled, weighted = (
        task("compressible-flow-1d", arm) for arm in ("rescale=100", "rescale-weights=100")
    )
    torch.testing.assert_close(scaled.loss.weights, weighted.loss.weights, rtol=0, atol=0)
    assert len(set(scaled.loss.weights.tolist())) == 2


@pytest.mark.parametrize("problem", BUILT_IN)
def test_bare_rescale_is_auto(problem: str) -> None:
    bare, auto = specify(problem, "rescale"), specify(problem, "rescale=auto")
    assert bare.axes["rescaling"] == "rescale=auto"
    assert bare.hash == auto.hash != specify(problem).hash
    assert bare.arm == "rescale"
    assert specify(problem, "rescale-weights").axes["rescaling"] == "rescale-weights=auto"


def test_every_record_has_the_gradient_and_eps_at_start_and_end(tmp_path: Any) -> None:
    """A squared loss in units of C² has gradients below Adam's eps."""
    for arm, dominated in (("baseline", False), ("rescale-weights=1e8", True)):
        spec = specify("advection-1d", arm, budget="smoke")
        record = execute(spec, Store(tmp_path), CPU, 1, lambda *_: None, Interruption())
        end, start = record.diagnostics, record.diagnostics["start"]
        for one, said in ((end, record.warnings), (start, start["warnings"])):
            assert one["gradient_rms"] > 0 and one["adam_eps"] == 1e-8
            assert any("Adam's eps" in warning for warning in said) == dominated


def test_rescaling_by_one_is_no_rescaling() -> None:
    assert specify("advection-1d", "rescale=1").hash == specify("advection-1d").hash
    assert task("advection-1d").scales[0].factor == 1


# --- a user's own problem ---------------------------------------------------------------------


def _two_equations() -> Any:
    """One output, two equations: nothing says what unit the second is in."""
    geometry = dde.geometry.Interval(0, 1)
    end = dde.icbc.DirichletBC(geometry, lambda x: 2.0, lambda _, on_boundary: on_boundary)

    def pde(x: Tensor, u: Tensor) -> list[Tensor]:
        return [dde.grad.jacobian(u, x) - u, u**2 - 1]

    return dde.data.PDE(geometry, pde, [end], 16, 2, train_distribution="pseudo")


def _operator() -> Any:
    """An operator condition: nothing says what unit it is in."""
    geometry = dde.geometry.Interval(0, 1)

    def end(x: Tensor, u: Tensor, _: np.ndarray) -> Tensor:
        return dde.grad.jacobian(u, x) - u

    conditions = [
        dde.icbc.DirichletBC(geometry, lambda x: 2.0, lambda x, on: on and np.isclose(x[0], 0)),
        dde.icbc.OperatorBC(geometry, end, lambda x, on: on and np.isclose(x[0], 1)),
    ]
    return dde.data.PDE(
        geometry,
        lambda x, u: dde.grad.hessian(u, x),
        conditions,
        16,
        4,
        train_distribution="pseudo",
    )


_TWO = {"outputs": ["u"], "losses": ["Lf_1", "Lf_2", "LBC"]}
UNITLESS = wrap(_two_equations, name="unitless", **_TWO)
DECLARED = wrap(
    _two_equations, name="declared", residual_scales=lambda c: [c[0], c[0] ** 2], **_TWO
)
OPERATOR = wrap(_operator, name="operator", outputs=["u"], losses=["Lf", "LBC_0", "LBC_1"])
OPERATOR_DECLARED = wrap(
    _operator,
    name="operator",
    outputs=["u"],
    losses=["Lf", "LBC_0", Term("LBC_1", "boundary", 0)],
)


@pytest.mark.parametrize(
    ("name", "hint"), [("UNITLESS", "residual_scales"), ("OPERATOR", "'LBC_1'.*Term")]
)
@pytest.mark.parametrize("rescaling", ["rescale=10", "rescale"])
def test_what_has_no_unit_cannot_be_rescaled(name: str, hint: str, rescaling: str) -> None:
    with pytest.raises(BadInput, match=hint) as caught:
        task(f"{__name__}:{name}", rescaling)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["UNITLESS", "OPERATOR"])
@pytest.mark.parametrize("rescaling", ["baseline", "offset", "rescale=1"])
def test_what_has_no_unit_can_be_trained_without(name: str, rescaling: str) -> None:
    built = task(f"{__name__}:{name}", rescaling)
    assert np.isfinite(built.evaluate().metrics["loss"])


def test_why_a_problem_cannot_be_rescaled_is_in_its_record(tmp_path: Any) -> None:
    spec = specify(f"{__name__}:UNITLESS", "rescale=10")
    record = execute(spec, Store(tmp_path), CPU, 1, lambda *_: None, Interruption())
    assert record.status == "failed"
    assert "residual_scales" in record.reason


def test_declared_units_are_used() -> None:
    metrics = task(f"{__name__}:DECLARED", "rescale=10").evaluate().metrics
    wanted = metrics["Lf_1"] / 10**2 + metrics["Lf_2"] / 10**4 + metrics["LBC"] / 10**2
    assert metrics["loss"] == pytest.approx(wanted, rel=1e-12)
    assert metrics["heldout_loss"] == pytest.approx(
        metrics["heldout_Lf_1"] / 10**2
        + metrics["heldout_Lf_2"] / 10**4
        + metrics["heldout_LBC"] / 10**2,
        rel=1e-12,
    )
    metrics = task(f"{__name__}:OPERATOR_DECLARED", "rescale=10").evaluate().metrics
    assert metrics["loss"] == pytest.approx(
        (metrics["Lf"] + metrics["LBC_0"] + metrics["LBC_1"]) / 100, rel=1e-12
    )
