"""Whether the ground truth of a problem solves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from torch import Tensor

from bench.spec.randomness import numpy_generator
from suites.pinn.backend import dde
from suites.pinn.reference.reference import Reference
from suites.pinn.testing.states import State, closed_form, gridded, state_of, wave
from suites.pinn.testing.subjects import Subject, error_of, inside, size

#: Points at which equations are looked at, and how much of the domain beside its ends is left out.
_POINTS, _MARGIN = 400, 0.05
#: What finite differences and splines leave of a solution.
_ROUNDING = 1e-5
#: How much more of an equation than of the values an error may be.
_FACTOR = 10.0
#: Points of a grid along each axis, without which nothing can be said of derivatives.
_LEAST = 4
#: Where more would be allowed, nothing is said.
_UNRESOLVED = 0.7


class Solution(NamedTuple):
    """A ground truth as functions.

    Attributes:
        states: The truth; where it is on a grid also the one through every other point, which
            tells how much of a residual is the grid's.
        wrong: One that is off by waves of the truth's own size.
        low: Lowest coordinates at which they are known.
        high: Highest ones.
        error: Declared relative error.
    """

    states: Sequence[State]
    wrong: State
    low: np.ndarray
    high: np.ndarray
    error: float


class TruthContract:
    """The truth has the form that it should have, and solves equations and conditions.

    A residual is compared with that of a state which is off by waves of the truth's own size, at
    half of the points, so that a shock or a corner does not matter. Allowed is ten times the
    declared error, and what the grid leaves.
    """

    def test_truth_belongs_to_the_problem(self, subject: Subject) -> None:
        truth, outputs = subject.truth, len(subject.problem.outputs)
        if truth is None:
            pytest.skip(f"{subject} has no ground truth")
        points, values = truth.reference.points(), truth.reference.targets()
        inputs = np.asarray(subject.data.train_x).shape[1]
        assert points.shape == (len(points), inputs), (
            f"{subject}: its truth has points of the shape {points.shape} for {inputs} inputs"
        )
        assert values.shape == (len(points), len(truth.outputs)), (
            f"{subject}: its truth has values of the shape {values.shape} for {len(points)} points"
            f" and {len(truth.outputs)} outputs"
        )
        assert set(truth.outputs) <= set(range(outputs)), (
            f"{subject}: its truth is of the outputs {truth.outputs}, and there are {outputs}"
        )
        outside = points[~inside(subject.data.geom, points)]
        assert not len(outside), (
            f"{subject}: its truth has points outside the domain, for instance"
            f" {outside[0].tolist()}"
        )

    def test_truth_satisfies_the_equations(self, subject: Subject) -> None:
        solution = _solution(subject)
        places = numpy_generator(0, "points of a contract").uniform(
            _MARGIN, 1 - _MARGIN, (_POINTS, len(solution.low))
        )
        points = solution.low + (solution.high - solution.low) * places
        of_states = [subject.residuals(state, points) for state in solution.states]
        wrong = subject.residuals(solution.wrong, points)
        checked = [
            _expect_small(
                subject,
                f"the equation {term.name!r}",
                [residuals[k] for residuals in of_states],
                wrong[k],
                solution.error,
            )
            for k, term in enumerate(subject.equations)
        ]
        if not any(checked):
            pytest.skip(f"{subject}: its grid does not resolve its truth; try fine=True")

    def test_truth_satisfies_the_conditions(self, subject: Subject) -> None:
        solution = _solution(subject)
        for name, condition, points in _known_rows(subject, solution):
            found = [error_of(condition, state, points) for state in solution.states]
            wrong = error_of(condition, solution.wrong, points)
            _expect_small(subject, f"the condition {name!r}", found, wrong, solution.error)


#: Conditions that compare each of their points alone.
_POINTWISE = (
    dde.icbc.IC,
    dde.icbc.DirichletBC,
    dde.icbc.NeumannBC,
    dde.icbc.RobinBC,
    dde.icbc.OperatorBC,
)


def _solution(subject: Subject) -> Solution:
    """The truth as functions; skips the test where there is none that could be checked."""
    truth = subject.truth
    if truth is None:
        pytest.skip(f"{subject} has no ground truth")
    reference = truth.reference
    if tuple(truth.outputs) != tuple(range(len(subject.problem.outputs))):
        pytest.skip(f"{subject}: its truth has not all outputs")
    points, values = reference.points(), reference.targets()
    low, high = points.min(axis=0), points.max(axis=0)
    if truth.exact is not None:
        exact = truth.exact
        derivatives = [closed_form(exact, high - low)]
    elif (
        isinstance(reference, Reference)
        and reference.error is not None
        and min(reference.shape) >= _LEAST
    ):
        derivatives = [gridded(reference), gridded(reference, stride=2)]
    else:
        pytest.skip(f"{subject}: its truth has no closed form, and declares no error on a grid")
    states = [state_of(derivative, len(low)) for derivative in derivatives]
    deviations = values.std(axis=0)
    off = wave(low, high, np.where(deviations > 0, deviations, 1.0).tolist())
    error = max(reference.error or (0.0,))
    return Solution(states, lambda x: states[0](x) + off(x), low, high, error)


def _known_rows(subject: Subject, solution: Solution) -> Iterator[tuple[str, object, np.ndarray]]:
    """Each condition's name, the condition, and its points at which the truth is known."""
    for term, condition, points in subject.rows():
        slack = 1e-9 * (solution.high - solution.low)
        known = ((points >= solution.low - slack) & (points <= solution.high + slack)).all(axis=1)
        if known.all():
            yield term.name, condition, points
        elif isinstance(condition, _POINTWISE) and known.any():
            yield term.name, condition, points[known]


def _expect_small(
    subject: Subject, what: str, found: Sequence[Tensor], wrong: Tensor, error: float
) -> bool:
    """Whether that can be said at all: a coarse grid may leave as much as a wrong state."""
    scale = size(wrong)
    left = [size(one) / scale if scale else size(one) for one in found]
    allowed = _ROUNDING + _FACTOR * error + abs(left[-1] - left[0])
    if allowed > _UNRESOLVED:
        return False
    assert left[0] <= allowed, (
        f"{subject}: its truth leaves {left[0]:.2g} of {what} that a wrong state leaves, and"
        f" declares a relative error of {error:.2g}"
    )
    return True
