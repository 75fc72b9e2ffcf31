"""A problem under test: its truth and its data, and what they give for a state."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.spec.randomness import global_numpy_stream
from bench.text.errors import typed
from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.problems.catalogue import get_problem
from suites.pinn.problems.dde_data import keep_for
from suites.pinn.problems.problem import Points, Problem, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.testing.states import State, wave

#: Few, since every test goes through all of them; a user's factory decides on its own.
POINTS = Points(domain=64, boundary=48, initial=48)
#: Labels that a problem is given which takes some.
_LABELS = 20


@dataclass(frozen=True)
class Subject:
    """A problem with its data in float64.

    Attributes:
        token: For messages.
        problem: The problem.
        truth: Its ground truth, if it has one.
        data: ``dde.data.PDE`` that has drawn its points.
    """

    token: str
    problem: Problem
    truth: Truth | None
    data: Any

    def __str__(self) -> str:
        return f"problem {self.token!r}"

    @property
    def conditions(self) -> list[Term]:
        """The terms of conditions, in DeepXDE's order."""
        return [term for term in self.problem.terms if term.kind != "residual"]

    @property
    def equations(self) -> list[Term]:
        """The terms of equations."""
        return [term for term in self.problem.terms if term.kind == "residual"]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinates of the points, shape ``(n_inputs,)`` each."""
        points = np.asarray(self.data.train_x_all, dtype=float)
        return points.min(axis=0), points.max(axis=0)

    def waves(self) -> State:
        """A state that solves nothing, of size 1."""
        return wave(*self.bounds(), [1.0] * len(self.problem.outputs))

    def residuals(self, state: State, points: np.ndarray) -> list[Tensor]:
        """What the equations leave of a state, as the problem's function returns it.

        Args:
            state: In the outputs' own units.
            points: Shape ``(n, n_inputs)``.
        """
        dde.grad.clear()
        x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        arguments = [x, state(x)]
        if self.data.auxiliary_var_fn is not None:
            arguments.append(torch.as_tensor(self.data.auxiliary_var_fn(points)))
        found = self.data.pde(*arguments) if self.data.pde is not None else []
        dde.grad.clear()
        return list(found) if isinstance(found, list | tuple) else [found]

    def rows(self) -> Iterator[tuple[Term, Any, np.ndarray]]:
        """Each condition's term, the condition, and its points ``(n, n_inputs)``."""
        start = 0
        for term, condition, count in zip(
            self.conditions, self.data.bcs, self.data.num_bcs, strict=True
        ):
            yield term, condition, np.asarray(self.data.train_x)[start : start + count]
            start += count


def error_of(condition: Any, state: State, points: np.ndarray) -> Tensor:
    """What a condition leaves of a state, as DeepXDE computes it.

    Args:
        condition: One of DeepXDE's.
        state: In the outputs' own units.
        points: Its own, or some of them where it compares each point alone.
    """
    dde.grad.clear()
    keep_for(condition, points)
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    found: Tensor = condition.error(points, x, state(x), 0, len(points))
    dde.grad.clear()
    return found.detach()


@functools.cache
def subject_of(token: str, fine: bool) -> Subject:
    """The problem of that name, or that a ``module:attribute`` names, with its data.

    Args:
        token: As on the command line.
        fine: Solve as accurately as scoring needs.

    Raises:
        BadInput: There is no such problem.
    """
    problem = get_problem(token)
    set_dtype("float64")
    what = "truth"
    try:
        with quiet(), global_numpy_stream(0, "truth"):
            truth = problem.truth(None, 0, fine)
        what = "data"
        return Subject(token, problem, truth, draw(problem, truth, 0))
    except Exception as error:
        raise AssertionError(
            f"problem {token!r}: its {what} cannot be made: {typed(error)}"
        ) from error


def draw(problem: Problem, truth: Truth | None, seed: int, labels: bool = False) -> Any:
    """The problem's data with the points of a seed; ``dde.data.PDE`` in float64.

    Args:
        problem: The problem.
        truth: Its ground truth.
        seed: Of the points.
        labels: Give it some of the truth's points.
    """
    set_dtype("float64")
    supervised = None
    if labels:
        assert truth is not None
        rows = np.arange(min(_LABELS, len(truth.reference.points())))
        supervised = Supervised(
            truth.reference.points()[rows], truth.reference.targets()[rows], truth.outputs, rows
        )
    with quiet(), global_numpy_stream(seed, "points"):
        return problem.data(truth, POINTS, supervised)


def inside(geometry: Any, points: np.ndarray) -> np.ndarray:
    """Which points lie in a geometry or on its boundary, shape ``(n,)``."""
    if isinstance(geometry, dde.geometry.GeometryXTime):
        space, time = points[:, :-1], points[:, -1:]
        return inside(geometry.geometry, space) & inside(geometry.timedomain, time)
    found: np.ndarray = geometry.inside(points) | geometry.on_boundary(points)
    return found


def size(values: Tensor) -> float:
    """Median of the absolute values: a shock or a corner is not looked at."""
    return float(values.detach().abs().median())
