"""The engine against DeepXDE: the same losses and parameter gradients, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pinn_specs
import pytest
import torch
from torch import Tensor, nn

from bench.techniques.activation import ACTIVATIONS
from bench.training.stock_speed import TOLERANCE, relative_difference
from suites.pinn.backend import dde, set_dtype
from suites.pinn.check import difference_from_deepxde
from suites.pinn.engine.choose import choose_evaluation
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.models.network import FNN
from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS

CPU = torch.device("cpu")


# --- every problem, activation and rescaling ----------------------------------------------------


RESCALINGS = ["rescale=1", "rescale", "standardize"]


@pytest.mark.parametrize("problem", [*BUILT_IN, *VARIANTS])
def test_every_activation_on_every_problem_under_some_rescaling(problem: str) -> None:
    """Over the problems, every activation under every rescaling."""
    place = [*BUILT_IN, *VARIANTS].index(problem)
    for k, activation in enumerate(ACTIVATIONS.names()):
        arm = f"{activation}+{RESCALINGS[(place + k) % len(RESCALINGS)]}+lsuv"
        task = pinn_specs.task(problem, arm, model="fnn:8x3", supervised=0.05)
        assert task.evaluation.path == "taylor", arm
        assert difference_from_deepxde(task) < TOLERANCE, arm


@pytest.mark.parametrize(
    ("normalization", "path"),
    [
        ("layernorm", "taylor"),
        ("frozenbn", "taylor"),
        ("pointwise-batchnorm", "taylor"),
        ("batchnorm", "deepxde"),
    ],
)
@pytest.mark.parametrize("problem", BUILT_IN)
def test_every_normalization_on_every_problem(problem: str, normalization: str, path: str) -> None:
    for activation in ("tanh", "isilu"):
        task = pinn_specs.task(problem, f"{activation}+{normalization}", supervised=0.05)
        assert task.evaluation.path == path
        assert difference_from_deepxde(task) < TOLERANCE


def test_a_diverged_network_is_no_difference() -> None:
    """NaN is what DeepXDE gives, too."""
    task = pinn_specs.task("diffusion-reaction-2d")
    with torch.no_grad():
        task.parameters.vector[3] = float("nan")
    assert task.evaluation(training=True).isnan().all()
    assert StockEvaluation(task.data, task.net, CPU)(training=True).isnan().all()


# --- problems as users write them ---------------------------------------------------------------


def jacobian(y: Tensor, x: Tensor, i: int, j: int) -> Tensor:
    return dde.grad.jacobian(y, x, i=i, j=j)


def hessian(y: Tensor, x: Tensor, component: int, i: int, j: int) -> Tensor:
    return dde.grad.hessian(y, x, component=component, i=i, j=j)


def everywhere(x: np.ndarray, on_boundary: bool) -> bool:
    return on_boundary


def time_data(pde: Any, conditions: Callable[[Any], list[Any]], **more: Any) -> Any:
    """One dimension of space and time."""
    space, time = dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1)
    geometry = dde.geometry.GeometryXTime(space, time)
    return dde.data.TimePDE(
        geometry,
        pde,
        conditions(geometry),
        num_domain=20,
        num_boundary=12,
        num_initial=9,
        train_distribution="pseudo",
        **more,
    )


def square_data(pde: Any, conditions: Callable[[Any], list[Any]], **more: Any) -> Any:
    """Two dimensions of space."""
    geometry = dde.geometry.Rectangle((-1, -1), (1, 1))
    return dde.data.PDE(
        geometry, pde, conditions(geometry), 20, 16, train_distribution="pseudo", **more
    )


def initial(geometry: Any, output: int = 0) -> Any:
    return dde.icbc.IC(
        geometry, lambda x: np.sin(x[:, :1]), lambda _, on_initial: on_initial, component=output
    )


def korteweg_de_vries() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        u_xx = hessian(u, x, 0, 0, 0)
        return jacobian(u, x, 0, 1) + 6 * u * jacobian(u, x, 0, 0) + jacobian(u_xx, x, 0, 0)

    return time_data(pde, lambda geometry: [initial(geometry)])


def kuramoto_sivashinsky() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        u_xx = hessian(u, x, 0, 0, 0)
        u_xxxx = hessian(u_xx, x, 0, 0, 0)
        return jacobian(u, x, 0, 1) + u * jacobian(u, x, 0, 0) + u_xx + u_xxxx

    return time_data(pde, lambda geometry: [initial(geometry)])


def every_kind_of_condition() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return jacobian(u, x, 0, 1) - 0.1 * hessian(u, x, 0, 0, 0)

    def flux(x: Tensor, u: Tensor, _: np.ndarray) -> Tensor:
        return jacobian(u * u, x, 0, 0) + x[:, :1] * u

    points = np.array([[0.3, 0.2], [-0.4, 0.9], [0.1, 0.5]])

    def conditions(geometry: Any) -> list[Any]:
        icbc = dde.icbc
        return [
            initial(geometry),
            icbc.DirichletBC(geometry, lambda x: x[:, 1:], everywhere),
            icbc.NeumannBC(geometry, lambda x: np.cos(x[:, 1:]), everywhere),
            icbc.RobinBC(geometry, lambda x, u: u**2 - 1, everywhere),
            icbc.OperatorBC(geometry, flux, everywhere),
            icbc.PeriodicBC(geometry, 0, everywhere),
            icbc.PeriodicBC(geometry, 0, everywhere, derivative_order=1),
            icbc.PointSetBC(points, np.array([[0.1], [0.2], [0.3]])),
            icbc.PointSetOperatorBC(points, np.array([[0.1], [0.2], [0.3]]), flux),
        ]

    return time_data(pde, conditions)


def composites() -> Any:
    """Derivatives of products, of slices, of derivatives, and of expressions in x."""

    def pde(x: Tensor, y: Tensor) -> list[Tensor]:
        h, u = y[:, 0:1], y[:, 1:2]
        flux_x = dde.grad.jacobian(h * u * u + 0.5 * h**2, x, j=0)
        u_t = dde.grad.jacobian(u, x, j=1)
        twice = dde.grad.jacobian(h * jacobian(y, x, 1, 0), x, j=0)
        mixed = dde.grad.hessian(h * u * torch.sin(x[:, :1]), x, i=0, j=1)
        row = dde.grad.jacobian(y, x, i=0)
        again = dde.grad.jacobian(row, x, i=0, j=1)
        return [jacobian(y, x, 0, 1) + flux_x, u_t + twice, mixed + again + row[:, 1:]]

    return time_data(pde, lambda geometry: [initial(geometry, 0), initial(geometry, 1)])


def nonlinear_anisotropic() -> Any:
    """Mixed derivatives, coefficients of x and u, branches; the equations couple the outputs."""

    def pde(x: Tensor, y: Tensor) -> list[Tensor]:
        u, v = y[:, :1], y[:, 1:]
        u_xx, u_xy, u_yy = (hessian(y, x, 0, i, j) for i, j in ((0, 0), (0, 1), (1, 1)))
        gradient = dde.grad.jacobian(y, x, i=1)
        eikonal = gradient.square().sum(dim=1, keepdim=True) - 1
        branch = torch.where(u > 0, u_xx, 2 * u_yy)
        return [(1 + x[:, :1] ** 2) * u_xx + u_xy * v + torch.exp(-u) * u_yy, eikonal, branch]

    return square_data(
        pde, lambda geometry: [dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere, component=1)]
    )


def system_of_odes() -> Any:
    """One input."""
    time = dde.geometry.TimeDomain(0, 3)

    def pde(t: Tensor, y: Tensor) -> list[Tensor]:
        y_t = [dde.grad.jacobian(y, t, i=0), jacobian(y, t, 1, 0)]
        return [y_t[0] - y[:, 1:], y_t[1] + y[:, :1]]

    start = [dde.icbc.IC(time, lambda t: 1, lambda _, on: on, component=k) for k in (0, 1)]
    return dde.data.PDE(time, pde, start, 15, 2, train_distribution="pseudo")


def auxiliary_variables() -> Any:
    def pde(x: Tensor, u: Tensor, source: Tensor) -> Tensor:
        return hessian(u, x, 0, 0, 0) + hessian(u, x, 0, 1, 1) - source * u

    return square_data(
        pde,
        lambda geometry: [dde.icbc.DirichletBC(geometry, lambda x: 0, everywhere)],
        auxiliary_var_function=lambda x: np.exp(x[:, :1]),
    )


def no_condition() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return jacobian(u, x, 0, 0) * jacobian(u, x, 0, 1) - 1

    return square_data(pde, lambda _: [])


def only_conditions() -> Any:
    return square_data(None, lambda g: [dde.icbc.DirichletBC(g, lambda x: 0, everywhere)])


def anchors_and_test_points() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return hessian(u, x, 0, 0, 0) + hessian(u, x, 0, 1, 1)

    return square_data(
        pde,
        lambda geometry: [dde.icbc.NeumannBC(geometry, lambda x: 1, everywhere)],
        anchors=np.array([[0.1, 0.2], [0.1, 0.2], [0.5, 0.5]]),
        num_test=30,
    )


def autograd_by_hand() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0][:, :1] - u

    return square_data(pde, lambda _: [])


FACTORIES = {
    korteweg_de_vries: "reverse",
    kuramoto_sivashinsky: "reverse",
    every_kind_of_condition: "taylor",
    composites: "taylor",
    nonlinear_anisotropic: "taylor",
    system_of_odes: "taylor",
    auxiliary_variables: "taylor",
    # One output of two inputs: one reverse pass instead of two streams.
    no_condition: "reverse",
    only_conditions: "taylor",
    anchors_and_test_points: "taylor",
    autograd_by_hand: "deepxde",
}


def network(data: Any, outputs: int, activation: str = "tanh", **more: Any) -> FNN:
    torch.manual_seed(0)
    features = more.pop("features", data.geom.dim)
    net = FNN(features, outputs, 7, 3, activation, more.pop("normalization", "denorm"))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def difference(data: Any, net: FNN, path: str) -> float:
    """Of losses and gradients, for loss terms of different weight."""
    ours, theirs = choose_evaluation(data, net, CPU, "auto"), StockEvaluation(data, net, CPU)
    assert ours.path == path, ours.describe()
    found = []
    for evaluation in (ours, theirs):
        terms = evaluation(training=True)
        loss = (terms * torch.linspace(0.5, 2, len(terms))).sum()
        parameters = list(net.parameters())
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        found.append([terms.detach(), *gradients])
    return relative_difference(*found)


@pytest.fixture(autouse=True)
def double_precision() -> None:
    set_dtype("float64")
    np.random.seed(0)


@pytest.mark.parametrize("activation", ["tanh", "igelu", "irelu"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_problems_as_users_write_them(factory: Callable[[], Any], activation: str) -> None:
    data = factory()
    for normalization in ("denorm", "layernorm"):
        net = network(data, OUTPUTS.get(factory, 1), activation, normalization=normalization)
        assert difference(data, net, FACTORIES[factory]) < TOLERANCE


OUTPUTS = {composites: 2, nonlinear_anisotropic: 2, system_of_odes: 2}


@pytest.mark.parametrize("factory", [every_kind_of_condition, composites, korteweg_de_vries])
def test_transforms_of_inputs_and_outputs(factory: Callable[[], Any]) -> None:
    data, outputs = factory(), OUTPUTS.get(factory, 1)
    net = network(data, outputs, "isilu", features=3)
    net.apply_feature_transform(
        lambda x: torch.cat([torch.sin(3 * x[:, :1]), torch.cos(3 * x[:, :1]), x[:, 1:] ** 2], 1)
    )
    net.apply_output_transform(
        lambda x, y: x[:, 1:] * (1 - x[:, :1] ** 2) * y + torch.sin(x[:, :1])
    )
    assert difference(data, net, FACTORIES[factory]) < TOLERANCE


class Scaled(nn.Module):
    """An activation that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.slope * x)


class RootMeanSquare(nn.Module):
    """A normalisation that the engine does not know, row by row."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-3)


@pytest.mark.parametrize(
    ("activation", "norm", "path"),
    [
        (Scaled, nn.Identity, "reverse"),
        (nn.Tanh, RootMeanSquare, "reverse"),
        (lambda: nn.Softmax(dim=-1), nn.Identity, "reverse"),
        (nn.Tanh, lambda: nn.BatchNorm1d(7), "deepxde"),
        (nn.Tanh, lambda: nn.Softmax(dim=0), "deepxde"),
    ],
)
@pytest.mark.parametrize("factory", [every_kind_of_condition, composites, korteweg_de_vries])
def test_networks_that_the_engine_does_not_know(
    factory: Callable[[], Any], activation: Any, norm: Any, path: str
) -> None:
    data = factory()
    net = network(data, OUTPUTS.get(factory, 1))
    net.activations = nn.ModuleList(activation() for _ in net.activations)
    net.norms = nn.ModuleList(norm() for _ in net.norms)
    assert difference(data, net, path) < TOLERANCE


def test_a_network_that_draws_numbers_is_left_to_deepxde() -> None:
    data = no_condition()
    net = network(data, 1)
    net.norms[0] = nn.Dropout(0.5)
    found = choose_evaluation(data, net, CPU, "auto")
    assert found.path == "deepxde"
    assert "chance" in found.describe()["reason"]


def test_data_with_losses_of_their_own_are_left_to_deepxde() -> None:
    data = no_condition()

    class Own(type(data)):
        def losses(self, *given: Any, **named: Any) -> Any:
            return [2 * loss for loss in super().losses(*given, **named)]

    data.__class__ = Own
    net = network(data, 1)
    assert difference(data, net, "deepxde") == 0
    assert choose_evaluation(data, net, CPU, "auto").describe()["reason"].startswith("Own")


def test_deepxde_can_be_asked_for() -> None:
    data = no_condition()
    assert choose_evaluation(data, network(data, 1), CPU, "deepxde").path == "deepxde"


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "streams", "rows"),
    [
        # One operator: the derivative along (β, 1).
        ("advection-1d", 1, (160, 128)),
        ("compressible-flow-1d", 2, (160, 128)),
        # x, y, t and one Laplacian for both outputs.
        ("diffusion-reaction-2d", 4, (128, 128)),
        ("diffusion-sorption-1d", 3, (128, 128)),
        ("shallow-water-2d", 3, (128, 128)),
    ],
)
def test_the_least_is_computed(problem: str, streams: int, rows: tuple[int, int]) -> None:
    task = pinn_specs.task(problem, supervised=0.0)
    found = task.evaluation.describe()
    assert found["passes"] == 1 + streams
    assert (found["rows"], found["derivative_rows"]) == rows
    assert len(task.data.train_x) > rows[0]


def test_finding_out_what_is_asked_for_draws_nothing() -> None:
    data = every_kind_of_condition()
    net = network(data, 1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    choose_evaluation(data, net, CPU, "auto")
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


# --- new points ---------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [every_kind_of_condition, composites, korteweg_de_vries])
@pytest.mark.parametrize("bc_points", [False, True])
def test_points_that_are_drawn_anew(factory: Callable[[], Any], bc_points: bool) -> None:
    """As by DeepXDE's callback: values that DeepXDE remembers belong to the old points."""
    data = factory()
    net = network(data, OUTPUTS.get(factory, 1))
    ours = choose_evaluation(data, net, CPU, "auto")
    terms = [ours(training=True).tolist()]
    for _ in range(5):
        data.resample_train_points(pde_points=True, bc_points=bc_points)
        ours = ours.redrawn()
        theirs = StockEvaluation(data, net, CPU)
        found = ours(training=True)
        terms.append(found.tolist())
        assert relative_difference([found.detach()], [theirs(training=True).detach()]) < TOLERANCE
    assert len({tuple(row) for row in terms}) == len(terms)
