"""Whether truth, residuals and conditions of a problem have one value a row.

A residual ``(N, 1) + (N,)``, or labels of the shape ``(N,)``, are broadcast to ``(N, N)``: each
point is compared with the labels of all points, and training goes on without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.spec.user_frames import in_place
from bench.text.errors import BadInput, typed
from suites.pinn.backend import dde
from suites.pinn.engine import terms
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.loss import Loss
from suites.pinn.problems.problem import Problem, Term
from suites.pinn.problems.truth import Truth

#: Conditions that compare pairs of points: two of them have one error.
_PAIRED = (dde.icbc.PeriodicBC, dde.icbc.Interface2DBC)
_WITH_LABELS = (dde.icbc.PointSetBC, dde.icbc.PointSetOperatorBC)
#: Conditions with a function of the points, whose values are the labels.
_WITH_FUNCTION = (dde.icbc.IC, dde.icbc.DirichletBC, dde.icbc.NeumannBC)


def check_truth(problem: Problem, truth: Truth, inputs: int) -> None:
    """Refuse a ground truth that is not a row of outputs for each point.

    Args:
        problem: The problem.
        truth: Its ground truth.
        inputs: Number of inputs of the problem.

    Raises:
        BadInput: Points or values have another shape.
    """
    points, values = truth.reference.points(), truth.reference.targets()
    if points.ndim != 2 or points.shape[1] != inputs:
        raise BadInput(
            f"problem {problem.name!r}: its truth has points of the shape {points.shape}, not"
            f" {(len(points), inputs)}"
        )
    wanted = (len(points), len(truth.outputs))
    if values.shape != wanted:
        raise BadInput(
            f"problem {problem.name!r}: its truth has values of the shape {values.shape}, not"
            f" {wanted}"
        )


def check_network(problem: Problem, points: Tensor, net: torch.nn.Module) -> None:
    """Refuse an output transform that does not keep rows and outputs.

    Args:
        problem: The problem.
        points: Shape ``(n, n_inputs)``.
        net: The network with the problem's transforms.

    Raises:
        BadInput: Its outputs have another shape than ``(n, n_outputs)``.
    """
    wanted = (len(points), len(problem.outputs))
    found = tuple(net(points).shape)
    if found != wanted:
        raise BadInput(
            f"problem {problem.name!r}: with its output transform the network's outputs have the"
            f" shape {found}, not {wanted}"
        )


def errors_of(problem: Problem, data: Any, net: torch.nn.Module) -> Iterator[tuple[Term, Tensor]]:
    """Every term of the loss, and its errors at the training points.

    Args:
        problem: For the names.
        data: ``dde.data.PDE`` that has drawn its points.
        net: A network with the problem's inputs and outputs.

    Raises:
        BadInput: There are not as many names as losses, or the errors are not one value a row.
    """
    names = iter([term for term in problem.terms if term.kind != "residual"])
    equations = [term for term in problem.terms if term.kind == "residual"]
    loss = Loss(problem.terms, torch.ones(0))
    loss.check_names(problem.name, len(data.bcs), len(equations))
    if isinstance(data, (dde.data.IDE, dde.data.FPDE)):
        yield from _errors_with_matrix(problem, data, net)
        return
    for rows in terms.terms_of(data, torch.device("cpu")):
        if rows.condition is None:
            residuals = _evaluated(problem, "the equations", rows, net)
            if len(residuals) < len(equations):
                # Columns in place of a list are not to be told of as missing equations.
                for term, residual in zip(equations, residuals, strict=False):
                    _check_residual(problem, term, residual, len(rows.points))
            loss.check_names(problem.name, len(data.bcs), len(residuals))
            for term, residual in zip(equations, residuals, strict=True):
                _check_residual(problem, term, residual, len(rows.points))
                yield term, residual
        else:
            term = next(names)
            for repeated in (False, True) if _may_be_repeated(rows) else (False,):
                asked = _twice(rows) if repeated else rows
                (error,) = _evaluated(problem, f"the condition {term.name!r}", asked, net)
                _check_condition(problem, term, asked, error)
            yield term, error


def _errors_with_matrix(
    problem: Problem, data: Any, net: torch.nn.Module
) -> Iterator[tuple[Term, Tensor]]:
    """Of an integral or fractional equation, whose function also gets a matrix from the data: the
    root mean square error of each term, after the residuals' shapes."""
    residuals: list[Tensor] = []
    equation = data.pde

    def seen(*arguments: Any) -> Any:
        found = equation(*arguments)
        residuals.extend(found if isinstance(found, list | tuple) else [found])
        return found

    data.pde = seen
    try:
        losses = StockEvaluation(data, net, torch.device("cpu"))(training=False).detach()
    except Exception as error:
        raise BadInput(
            f"problem {problem.name!r}: its losses cannot be evaluated:"
            f" {typed(error)}{in_place(error)}"
        ) from error
    finally:
        data.pde = equation
    Loss(problem.terms, torch.ones(0)).check_names(problem.name, len(data.bcs), len(residuals))
    equations = [term for term in problem.terms if term.kind == "residual"]
    for term, residual in zip(equations, residuals, strict=True):
        _check_residual(problem, term, residual, len(residual))
    for term, loss in zip(problem.terms, losses, strict=True):
        yield term, loss.sqrt()


def _evaluated(
    problem: Problem, what: str, rows: terms.Term, net: torch.nn.Module
) -> Sequence[Tensor]:
    if rows.condition is not None:
        _check_labels(problem, what, rows.condition)
    dde.grad.clear()
    try:
        found = rows.errors(rows.inputs, net(rows.inputs))
        return [error.detach() for error in found]
    except Exception as error:
        raise BadInput(
            f"problem {problem.name!r}: {what} cannot be evaluated: {typed(error)}{in_place(error)}"
        ) from error
    finally:
        dde.grad.clear()


def _may_be_repeated(rows: terms.Term) -> bool:
    """Whether one point hides what its function returns: other seeds may draw more of them."""
    kinds = (*_WITH_FUNCTION, dde.icbc.RobinBC, dde.icbc.OperatorBC)
    return len(rows.points) == 1 and isinstance(rows.condition, kinds)


def _twice(rows: terms.Term) -> terms.Term:
    """The same with each point twice."""
    points = np.repeat(rows.points, 2, axis=0)
    inputs = rows.inputs.detach().repeat_interleave(2, dim=0).requires_grad_()
    errors = terms.condition_errors(rows.condition, points)
    return replace(rows, points=points, inputs=inputs, errors=errors)


def _is_column(shape: tuple[int, ...], rows: int) -> bool:
    """Whether there is one value a row. DeepXDE takes the mean of ``(N,)`` as of ``(N, 1)``."""
    return shape in ((rows, 1), (rows,))


def _columns(shape: tuple[int, ...], rows: int) -> int | None:
    """How many values a row has, where that can be told from values of all pairs of rows."""
    several = len(shape) == 2 and shape[0] == rows and 1 < shape[1] != rows
    return shape[1] if several else None


def _check_residual(problem: Problem, term: Term, residual: Tensor, rows: int) -> None:
    shape = tuple(residual.shape)
    if _is_column(shape, rows):
        return
    if _columns(shape, rows):
        advice = f"if these are {shape[1]} equations, return a list of {shape[1]} columns"
    else:
        advice = "something in it, as x[:, 0] or an array, has the shape (N,) and is broadcast"
    raise BadInput(
        f"problem {problem.name!r}: the residual {term.name!r} of {rows} points has the shape"
        f" {shape}, not {(rows, 1)}: {advice}"
    )


def _check_condition(problem: Problem, term: Term, rows: terms.Term, error: Tensor) -> None:
    condition, count = rows.condition, len(rows.points)
    if isinstance(condition, _PAIRED):
        count //= 2
    columns = 1
    if isinstance(condition, dde.icbc.PointSetBC):
        columns = len(np.atleast_1d(condition.component))
    shape = tuple(error.shape)
    if shape == (count, columns) or (columns == 1 and _is_column(shape, count)):
        return
    raise BadInput(
        f"problem {problem.name!r}: the condition {term.name!r} has an error of the shape {shape}"
        f" on {count} points, not {(count, columns)}"
        f"{_reason(condition, rows.points, _columns(shape, count))}"
    )


def _reason(condition: Any, points: np.ndarray, columns: int | None) -> str:
    """What makes the error of a condition a matrix, where that can be said."""
    if isinstance(condition, _WITH_FUNCTION):
        values = condition.func(points, 0, len(points), None)
        return f": its function returns the shape {tuple(values.shape)}"
    if isinstance(condition, _WITH_LABELS):
        labels = tuple(condition.values.shape)
        if not (columns and labels == (len(points), 1)):
            return f": its labels have the shape {labels}"
    if columns:
        kind = type(condition).__name__
        return f": if these are {columns} conditions, make one {kind} for each of its columns"
    return ": its function returns another shape"


def _check_labels(problem: Problem, what: str, condition: Any) -> None:
    """Labels of several outputs are a column for each, or a number for each, or one number."""
    if not isinstance(condition, dde.icbc.PointSetBC):
        return
    columns = len(np.atleast_1d(condition.component))
    shape, count = tuple(condition.values.shape), len(condition)
    constant = condition.values.numel() == 1 or (
        columns > 1 and shape in ((columns,), (1, columns))
    )
    if not constant and shape != (count, columns):
        raise BadInput(
            f"problem {problem.name!r}: {what} has labels of the shape {shape}, not"
            f" {(count, columns)}"
        )
