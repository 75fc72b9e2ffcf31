"""What a PDE asks for is found on made-up numbers, which must not mislead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_server import run
from torch import Tensor, nn

from bench.training.parameters import FlatParameters
from bench.training.stock_speed import TOLERANCE, relative_difference
from suites.pinn.backend import dde, set_dtype
from suites.pinn.engine.choose import choose_evaluation
from suites.pinn.engine.gradients import TrainingGradient
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.models.network import FNN

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def double_precision() -> None:
    set_dtype("float64")
    np.random.seed(0)


def data(pde: Any, conditions: Callable[[Any], list[Any]] = lambda _: []) -> Any:
    geometry = dde.geometry.Rectangle((-1, -1), (1, 1))
    return dde.data.PDE(geometry, pde, conditions(geometry), 60, 16, train_distribution="pseudo")


def network(size: float = 1.0) -> FNN:
    torch.manual_seed(0)
    net = FNN(2, 1, 7, 3, "tanh", "denorm")
    with torch.no_grad():
        net.linears[-1].weight.mul_(size)
    return net


def difference(data: Any, net: FNN, path: str) -> float:
    ours, theirs = choose_evaluation(data, net, CPU, "auto"), StockEvaluation(data, net, CPU)
    assert ours.path == path, ours.describe()
    return compared(ours, theirs, net)


def compared(ours: Any, theirs: Any, net: FNN) -> float:
    found = []
    for evaluation in (ours, theirs):
        terms = evaluation(training=True)
        parameters = list(net.parameters())
        gradients = torch.autograd.grad(terms.sum(), parameters, materialize_grads=True)
        found.append([terms.detach(), *gradients])
    return relative_difference(*found)


def second(u: Tensor, x: Tensor, i: int) -> Tensor:
    return dde.grad.hessian(u, x, i=i, j=i)


def first(u: Tensor, x: Tensor, j: int) -> Tensor:
    return dde.grad.jacobian(u, x, i=0, j=j)


BRANCHES = {
    "beyond a threshold": lambda x, u: (
        torch.where(u > 100, second(u, x, 0), second(u, x, 1)) + second(u, x, 0) + second(u, x, 1)
    ),
    "of a derivative": lambda x, u: u + torch.relu(first(u, x, 0).abs() - 100),
    "a sign": lambda x, u: torch.sign(first(u, x, 0)) * second(u, x, 0) + second(u, x, 1),
    "a comparison": lambda x, u: torch.where(first(u, x, 0) > 0, u, second(u, x, 1)),
    "detached": lambda x, u: first(u, x, 1) - u / (1 + first(u, x, 0).detach() ** 2),
}


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("branch", BRANCHES)
def test_what_matters_elsewhere_is_computed(branch: str, size: float) -> None:
    """A network of large values reaches what made-up numbers of order one do not."""
    problem = data(BRANCHES[branch])
    ours = choose_evaluation(problem, network(), CPU, "auto")
    assert ours.path in ("taylor", "reverse")
    with torch.no_grad():
        ours.net.linears[-1].weight.mul_(size)
    assert compared(ours, StockEvaluation(problem, ours.net, CPU), ours.net) < TOLERANCE


def test_a_coefficient_of_the_place_is_seen_at_new_points() -> None:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        inside = (x - 0.85).square().sum(1, keepdim=True) < 0.02
        return torch.where(inside, 2.0, 1.0) * second(u, x, 0) + second(u, x, 1)

    problem, net = data(pde), network()
    ours = choose_evaluation(problem, net, CPU, "auto")
    for _ in range(8):
        problem.resample_train_points()
        ours = ours.redrawn()
        assert compared(ours, StockEvaluation(problem, net, CPU), net) < TOLERANCE


def test_a_linear_feature_transform_has_second_derivatives() -> None:
    net = network()
    net.apply_feature_transform(lambda x: (x - 0.3) / 2)
    problem = data(lambda x, u: second(u, x, 0) + second(u, x, 1))
    assert difference(problem, net, "taylor") < TOLERANCE


def test_a_pde_that_only_works_in_single_precision() -> None:
    set_dtype("float32")
    mixing = torch.tensor([[1.0, 0.5], [0.0, 1.0]])

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return (dde.grad.jacobian(u, x, i=0) @ mixing).sum(1, keepdim=True) - u

    assert difference(data(pde), network(), "reverse") < 1e-4


def test_a_condition_without_points_is_deepxdes_nan() -> None:
    def nowhere(geometry: Any) -> list[Any]:
        return [dde.icbc.DirichletBC(geometry, lambda x: 0, lambda x, on: False)]

    problem, net = data(lambda x, u: first(u, x, 0), nowhere), network()
    ours, theirs = choose_evaluation(problem, net, CPU, "auto"), StockEvaluation(problem, net, CPU)
    assert ours.path != "deepxde"
    torch.testing.assert_close(ours(training=True), theirs(training=True), equal_nan=True)


def test_activations_that_work_in_place() -> None:
    net = network()
    net.activations = nn.ModuleList(nn.ELU(inplace=True) for _ in net.activations)
    problem = data(lambda x, u: first(u, x, 0) * u)
    assert choose_evaluation(problem, net, CPU, "auto").path == "reverse"
    assert difference(problem, net, "reverse") < TOLERANCE


def test_values_that_leave_torch_are_not_compiled_into_constants() -> None:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return first(u, x, 0) - torch.as_tensor(np.sin(u.detach().numpy()))

    net = network()
    evaluation = choose_evaluation(data(pde), net, CPU, "auto")
    parameters, weights = FlatParameters(net), torch.ones(1)
    gradient = TrainingGradient(evaluation, weights, parameters, {}, "inductor")
    for _ in range(2):
        found = gradient(parameters.vector.detach())
        assert found.terms.item() == pytest.approx(evaluation(training=True).item(), rel=1e-12)
        with torch.no_grad():
            parameters.vector.mul_(1.3)
    assert gradient.how["executed"] == "eager" and "not_compiled" in gradient.how


SHARED = """
import sys
import numpy as np
import pinn_specs
from suites.pinn import wrap
from suites.pinn.backend import dde
import suites.pinn.task as task_module
from suites.pinn.check import build_checked

geometry = dde.geometry.Interval(-1, 1)
ends = dde.icbc.DirichletBC(geometry, lambda x: np.exp(x), lambda x, on: on)
inner = dde.icbc.PointSetBC(np.array([[0.3]]), np.array([[0.2]]))

def factory():
    pde = lambda x, u: dde.grad.hessian(u, x) - u
    return dde.data.PDE(geometry, pde, [ends, inner], 20, 8, train_distribution="pseudo")

problem = wrap(factory, name="own", outputs=["u"], losses=["Lf", "LBC", "Ldata"])
task_module.get_problem = lambda name: problem
for seed in map(int, sys.argv[1:]):
    spec = pinn_specs.specify(seed=seed, check_engine=True, dtype="float32")
    task = build_checked(spec, pinn_specs.CPU)
    task.step()
    print(seed, task.evaluation.path, sorted(task.evaluate().metrics.items()))
"""


def test_conditions_that_outlive_a_run_keep_no_values_of_it() -> None:
    """DeepXDE remembers them by the identity of an array, which another may get."""

    def lines(*seeds: int) -> list[str]:
        command = [sys.executable, "-c", SHARED, *map(str, seeds)]
        done = run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    together = lines(*range(8))
    assert all("taylor" in line for line in together)
    assert [lines(seed)[0] for seed in (3, 5)] == [together[3], together[5]]
