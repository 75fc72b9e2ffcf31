"""What the equations and conditions of a problem make of a state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from suites.pinn.backend import dde
from suites.pinn.problems.problem import Term
from suites.pinn.testing.declarations import named_output
from suites.pinn.testing.states import State
from suites.pinn.testing.subjects import Subject, error_of


class LossContract:
    """Residuals and errors are columns, and a condition is one of its own output."""

    def test_residuals_are_columns(self, subject: Subject) -> None:
        points = np.asarray(subject.data.train_x, dtype=float)
        for name, residual in _named(subject, subject.waves(), points):
            shape = (len(points), 1)
            assert tuple(residual.shape) == shape, (
                f"{subject}: the residual {name!r} of {len(points)} points has the shape"
                f" {tuple(residual.shape)}, not {shape}: something in it is broadcast"
            )
            assert residual.isfinite().all(), (
                f"{subject}: the residual {name!r} of a smooth state is not finite"
            )

    def test_equations_are_of_the_state(self, subject: Subject) -> None:
        points = np.asarray(subject.data.train_x, dtype=float)
        waves = subject.waves()
        before = _named(subject, waves, points)
        after = _named(subject, lambda x: 1.5 * waves(x), points)
        for (name, first), (_, second) in zip(before, after, strict=True):
            assert first.shape != second.shape or not torch.equal(first, second), (
                f"{subject}: the residual {name!r} does not depend on the outputs"
            )

    def test_errors_of_conditions_are_columns(self, subject: Subject) -> None:
        """Labels of the shape ``(N,)`` would be compared with every output of ``(N, 1)``."""
        for term, condition, points in subject.rows():
            assert len(points), f"{subject}: the condition {term.name!r} has no points"
            error = error_of(condition, subject.waves(), points)
            count = len(points) // 2 if isinstance(condition, dde.icbc.PeriodicBC) else len(points)
            columns = len(np.atleast_1d(getattr(condition, "component", 0)))
            assert tuple(error.shape) == (count, columns), (
                f"{subject}: the condition {term.name!r} has an error of the shape"
                f" {tuple(error.shape)} on {count} points, not {(count, columns)}: are its labels"
                f" of the shape {(count, columns)}?"
            )
            assert error.isfinite().all(), (
                f"{subject}: the error of the condition {term.name!r} is not finite"
            )

    def test_conditions_compare_their_own_output(self, subject: Subject) -> None:
        outputs = subject.problem.outputs
        for term, condition, points in subject.rows():
            own = _own_output(term, outputs)
            if own is None:
                continue
            state = subject.waves()
            before = error_of(condition, state, points)
            changed = [
                k
                for k in range(len(outputs))
                if not _same(before, error_of(condition, _moved(state, k), points))
            ]
            names = [outputs[k] for k in changed]
            assert own in changed, (
                f"{subject}: the condition {term.name!r} does not change with the output"
                f" {outputs[own]!r}, but with {names}"
            )
            assert changed == [own] or isinstance(condition, _ANY_OUTPUTS), (
                f"{subject}: the condition {term.name!r} changes with {names}, and is one of"
                f" {outputs[own]!r}"
            )

    def test_initial_conditions_are_those_of_the_truth(self, subject: Subject) -> None:
        """The state that the truth starts from, exactly, at the conditions' own points."""
        truth, state = subject.truth, subject.waves()
        if truth is None or truth.initial is None:
            pytest.skip(f"{subject}: its truth names no initial state")
        for term, condition, points in subject.rows():
            own = _own_output(term, subject.problem.outputs)
            if own is None or not isinstance(condition, dde.icbc.IC):
                continue
            start = subject.bounds()[0][-1]
            assert np.allclose(points[:, -1], start), (
                f"{subject}: the initial condition {term.name!r} has points later than t = {start}"
            )
            initial = truth.initial(points[:, :-1])
            shape = (len(points), len(subject.problem.outputs))
            assert initial.shape == shape, (
                f"{subject}: its initial state has the shape {initial.shape}, not {shape}"
            )
            with torch.no_grad():
                wanted = state(torch.tensor(points))[:, own].numpy() - initial[:, own]
            off = np.abs(error_of(condition, state, points)[:, 0].numpy() - wanted).max()
            assert off < 1e-10 * (1 + np.abs(wanted).max()), (
                f"{subject}: the initial condition {term.name!r} is off by {off:.2g} from the"
                " state that its truth starts from"
            )


#: Conditions that are made of whatever outputs they like.
_ANY_OUTPUTS = (
    dde.icbc.OperatorBC,
    dde.icbc.PointSetOperatorBC,
    dde.icbc.RobinBC,
    dde.icbc.Interface2DBC,
)


def _named(subject: Subject, state: State, points: np.ndarray) -> list[tuple[str, Tensor]]:
    found = [residual.detach() for residual in subject.residuals(state, points)]
    return [(term.name, one) for term, one in zip(subject.equations, found, strict=False)]


def _own_output(term: Term, outputs: tuple[str, ...]) -> int | None:
    """The output that a condition is to be one of, where that can be said."""
    if term.output is not None:
        return term.output
    return 0 if len(outputs) == 1 else named_output(term, outputs)


def _moved(state: State, output: int) -> State:
    """The state with another output in that place, which is not periodic."""

    def moved(x: Tensor) -> Tensor:
        y = state(x)
        bump = torch.exp(x - x.detach().mean(dim=0)).clamp(max=1e3).sum(dim=1)
        columns = list(y.unbind(dim=1))
        columns[output] = columns[output] + 0.3 * bump
        return torch.stack(columns, dim=1)

    return moved


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and bool(torch.allclose(first, second, 1e-12, 1e-12))
