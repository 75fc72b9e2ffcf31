"""One value a row: truths, residuals and conditions of a user's problem."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.spec.randomness import global_numpy_stream
from bench.text.errors import BadInput
from suites.pinn.backend import dde, set_dtype
from suites.pinn.inspection.points import check_points
from suites.pinn.inspection.shapes import check_truth
from suites.pinn.inspection.start import faults
from suites.pinn.problems.problem import Points, Problem, Term
from suites.pinn.problems.truth import Truth
from suites.pinn.problems.wrap import wrap
from suites.pinn.reference.reference import ScatteredReference

AT = np.linspace(0.05, 0.95, 20)[:, None]
POINTS = Points(64, 32, 32)


def solution(x: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * x)


def poisson(x: Tensor, y: Tensor) -> Tensor:
    return dde.grad.hessian(y, x) + np.pi**2 * torch.sin(np.pi * x)


def zero(x: np.ndarray) -> float:
    return 0.0


def on(x: Any, on_boundary: bool) -> bool:
    return on_boundary


def left(x: Any, on_boundary: bool) -> bool:
    return on_boundary and bool(np.isclose(x[0], 0))


Condition = Callable[[Any], Any]


def line(condition: Condition, pde: Any = poisson, outputs: str = "u", **more: Any) -> Problem:
    """A problem on (0, 1) with one condition, the boundary's two points among its points."""

    def factory() -> Any:
        geometry = dde.geometry.Interval(0, 1)
        return dde.data.PDE(
            geometry,
            pde,
            condition(geometry),
            num_domain=40,
            train_distribution="pseudo",
            anchors=np.array([[0.0], [1.0]]),
        )

    given = {"losses": ["Lf", Term("LBC", "boundary", 0)], **more}
    return wrap(factory, name="mine", outputs=list(outputs), **given)


def looked_at(problem: Problem, dtype: str = "float32") -> dict[str, str]:
    """What is wrong at the start; shapes are refused."""
    set_dtype(dtype)
    with global_numpy_stream(0, "points"):
        data = problem.data(None, POINTS, None)
    check_points(problem, data)
    return faults(problem, data)


def dirichlet(function: Any, where: Any = on, **more: Any) -> Condition:
    return lambda g: dde.icbc.DirichletBC(g, function, where, **more)


def labels(values: Any, component: Any = 0) -> Condition:
    return lambda g: dde.icbc.PointSetBC(AT, values, component=component)


def two(x: Tensor, y: Tensor) -> list[Tensor]:
    return [poisson(x, y[:, :1]), poisson(x, y[:, 1:])]


TWO: dict[str, Any] = {"pde": two, "outputs": "uv", "losses": ["Lfu", "Lfv", "LBC"]}


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            line(labels(solution(AT).ravel())),
            r"'LBC' has labels .*\(20,\), not \(20, 1\)",
        ),
        (
            line(labels(np.zeros((20, 2)))),
            r"'LBC' has labels .*\(20, 2\), not \(20, 1\)",
        ),
        (line(labels(AT, [0, 1]), **TWO), r"labels of the shape \(20, 1\), not \(20, 2\)"),
        (line(labels(AT[:7])), r"labels of the shape \(7, 1\), not \(20, 1\)"),
        (
            line(dirichlet(lambda x: x[:, 0])),
            r"'LBC' has an error of the shape \(2, 2\) on 2 points, not \(2, 1\): its function"
            r" returns the shape \(2,\)",
        ),
        # One point hides it; another seed, or another number of points, would not.
        (line(dirichlet(lambda x: x[:, 0], left)), r"'LBC' has an error of the shape \(2, 2\)"),
        (
            line(lambda g: dde.icbc.NeumannBC(g, lambda x: x[:, 0], on)),
            r"'LBC' has an error of the shape \(2, 2\) on 2 points, not \(2, 1\)",
        ),
        (
            line(lambda g: dde.icbc.RobinBC(g, lambda x, y: y[:, 0], on)),
            r"'LBC' has an error of the shape \(2, 2\) on 2 points, not \(2, 1\)",
        ),
        (
            line(lambda g: dde.icbc.OperatorBC(g, lambda x, y, _: y - x[:, 0], on)),
            r"'LBC' has an error of the shape \(2, 2\) on 2 points, not \(2, 1\)",
        ),
        (
            line(lambda g: dde.icbc.PointSetOperatorBC(AT, AT, lambda x, y, _: y[:, 0])),
            r"'LBC' has an error of the shape \(20, 20\) on 20 points, not \(20, 1\)",
        ),
        (
            line(dirichlet(zero), lambda x, y: poisson(x, y) + 0 * x[:, 0]),
            r"the residual 'Lf' of 42 points has the shape \(42, 42\), not \(42, 1\).*broadcast",
        ),
        (
            line(dirichlet(zero), lambda x, y: torch.cat([y, x], dim=1)),
            r"'Lf' of 42 points has the shape \(42, 2\), not \(42, 1\): .*a list of 2 columns",
        ),
        (
            line(
                dirichlet(zero),
                lambda x, y: torch.cat([y, x], dim=1),
                losses=["Lf1", "Lf2", Term("LBC", "boundary", 0)],
            ),
            r"'Lf1' of 42 points has the shape \(42, 2\), not \(42, 1\): .*a list of 2 columns",
        ),
        (
            line(
                lambda g: dde.icbc.OperatorBC(g, lambda x, y, _: torch.cat([y, x, x], 1), on),
            ),
            r"'LBC' has .* shape \(2, 3\) on 2 points, not \(2, 1\): if these are 3 conditions,"
            " make one OperatorBC for each of its columns",
        ),
        (
            line(
                lambda g: dde.icbc.PointSetOperatorBC(
                    AT, AT, lambda x, y, _: torch.cat([y, x], dim=1)
                )
            ),
            r"shape \(20, 2\) on 20 points, .* make one PointSetOperatorBC for each",
        ),
        (
            line(dirichlet(zero), lambda x, y: y[:, 0] * x[:3, 0]),
            r"the equations cannot be evaluated: RuntimeError: .*\(.*test_shapes.py, line \d+\)",
        ),
        (
            line(dirichlet(zero), output_transform=lambda x, y: y[:, 0]),
            r"outputs have the shape \(44,\), not \(44, 1\)",
        ),
        (line(dirichlet(zero, lambda x, on: False)), r"the condition 'LBC' has no points"),
        (line(dirichlet(zero), losses=["Lf1", "Lf2", "LBC"]), "names 2 equations"),
    ],
)
def test_what_would_be_broadcast_is_refused(problem: Problem, words: str) -> None:
    with pytest.raises(BadInput, match="problem 'mine'.*" + words):
        looked_at(problem)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "problem",
    [
        line(labels(solution(AT))),
        line(labels(0.5)),
        line(labels(np.zeros((20, 2)), [0, 1]), **TWO),
        line(labels([0.0, 1.0], [0, 1]), **TWO),
        line(labels(solution(AT), 1), **TWO),
        line(dirichlet(lambda x: 0.0)),
        line(dirichlet(lambda x: x[:, :1])),
        line(dirichlet(lambda x: np.zeros((1, 1)), left)),
        line(lambda g: dde.icbc.NeumannBC(g, lambda x: 1, left)),
        line(lambda g: dde.icbc.RobinBC(g, lambda x, y: 1 - y, on)),
        line(lambda g: dde.icbc.PeriodicBC(g, 0, on)),
        line(lambda g: dde.icbc.PeriodicBC(g, 0, on, derivative_order=1)),
        line(lambda g: dde.icbc.OperatorBC(g, lambda x, y, _: dde.grad.jacobian(y, x), left)),
        line(lambda g: dde.icbc.PointSetOperatorBC(AT, AT, lambda x, y, _: y)),
        # A row of numbers has the mean of a column.
        line(dirichlet(zero), lambda x, y: poisson(x, y)[:, 0]),
        line(dirichlet(zero), lambda x, y: [poisson(x, y)]),
    ],
)
def test_what_deepxde_means_is_taken(problem: Problem, dtype: str) -> None:
    assert looked_at(problem, dtype) == {}


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (line(labels(np.where(AT > 0.94, np.nan, AT))), "'LBC' .*: 1 of 20 errors are NaN"),
        (
            line(dirichlet(zero), lambda x, y: torch.log(0 * y - 1)),
            "'Lf' .*: 42 of 42 errors",
        ),
        (line(dirichlet(zero), lambda x, y: 1e30 * (1 + poisson(x, y)) ** 2), "'Lf' is not finite"),
    ],
)
def test_a_loss_that_is_not_finite_is_the_problem_s_fault(problem: Problem, words: str) -> None:
    found = looked_at(problem)
    assert sorted(found) == ["raw", "scaled"]
    assert re.search(f"problem 'mine': the loss term {words}", found["raw"])


# --- truths -----------------------------------------------------------------------------------


def pair(x: np.ndarray) -> np.ndarray:
    return np.hstack([x, 1 - x])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"exact": lambda x: pair(x).T},
            r"exact returns .*\(2, (\d+)\).*not \(\1, 2\): .*transposed",
        ),
        ({"exact": lambda x: x}, r"exact returns values of the shape \((\d+), 1\).*not \(\1, 2\)"),
        ({"exact": lambda x: x[:, 0]}, r"exact returns .*shape \((\d+),\).*not \(\1, 2\)"),
        ({"exact": lambda x: pair(x) / (x > 0.5)}, r"exact returns \d+ of \d+ values that are NaN"),
        ({"reference": (AT, pair(AT).T)}, r"reference has .*\(2, 20\).*not \(20, 2\).*transposed"),
        ({"reference": (AT, AT)}, r"reference has values of the shape \(20, 1\).*not \(20, 2\)"),
        ({"reference": (AT, pair(AT[:9]))}, r"reference has .*\(9, 2\) for 20 points"),
        ({"reference": (AT[:, 0], pair(AT))}, r"reference has points .*\(20,\), not \(n, in"),
        (
            {"reference": (AT, np.where(AT < 0.2, np.nan, pair(AT)))},
            r"reference has 8 of 40 values that are NaN",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning")
def test_a_truth_that_is_no_row_of_outputs_a_point_is_refused(given: Any, words: str) -> None:
    with pytest.raises(BadInput, match="problem 'mine': " + words):
        line(labels(AT), **TWO, **given).own_truth(True)


@pytest.mark.parametrize("flat", [True, False])
def test_one_output_may_be_flat(flat: bool) -> None:
    values = solution(AT)[:, 0] if flat else solution(AT)
    truth = line(labels(AT), reference=(AT, values)).own_truth(True)
    assert truth is not None
    assert truth.reference.targets().tolist() == solution(AT).tolist()


def test_a_truth_of_a_problem_s_own_has_its_inputs() -> None:
    truth = Truth(ScatteredReference(np.hstack([AT, AT]), AT, ""), None, (0,))
    with pytest.raises(BadInput, match=r"points of the shape \(20, 2\), not \(20, 1\)"):
        check_truth(line(labels(AT)), truth, 1)
    truth = Truth(ScatteredReference(AT, AT[:, 0], ""), None, (0,))
    with pytest.raises(BadInput, match=r"values of the shape \(20,\), not \(20, 1\)"):
        check_truth(line(labels(AT)), truth, 1)
