"""The loss terms of DeepXDE's data, each with its own rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suites.pinn.engine.serving import Rows, Server
from suites.pinn.problems.dde_data import keep_for

#: From a term's inputs and outputs to its errors; one tensor an equation, or that of a condition.
Errors = Callable[[Tensor, Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Term:
    """Loss terms that share their rows: all equations, or one condition.

    Attributes:
        points: The points, shape ``(rows, n_inputs)``.
        inputs: The points on the device, as a leaf that requires a gradient.
        errors: Function that computes the errors.
        pde: The function of the equations, if these are the equations.
        extra: Further arguments of that function: auxiliary variables.
        condition: DeepXDE's condition, if this is a condition.
    """

    points: np.ndarray
    inputs: Tensor
    errors: Errors
    pde: Any = None
    extra: Sequence[Tensor] = ()
    condition: Any = None


def terms_of(data: Any, device: torch.device, before: Sequence[Term] = ()) -> list[Term]:
    """The terms of ``dde.data.PDE`` in the order of DeepXDE's losses.

    Args:
        data: Data that have drawn their points.
        device: Device for the points.
        before: Terms of the same data with other points. A condition whose points are the same
            keeps its term, and with it the values that DeepXDE remembers for the points.
    """
    count = int(sum(data.num_bcs))
    of_conditions = np.split(data.train_x[:count], np.cumsum(data.num_bcs)[:-1]) if data.bcs else []
    found: list[Term] = []
    if data.pde is not None:
        points = data.train_x[count:]
        extra: list[Tensor] = []
        if data.auxiliary_var_fn is not None:
            extra = [torch.tensor(data.train_aux_vars[count:], device=device)]
        found.append(
            Term(
                points,
                _leaf(points, device),
                equations(data.pde, extra),
                pde=data.pde,
                extra=extra,
            )
        )
    for bc, points in zip(data.bcs, of_conditions, strict=True):
        own = before[len(found)] if before else None
        if own is None or not np.array_equal(own.points, points):
            errors = condition_errors(bc, points)
            own = Term(points, _leaf(points, device), errors, condition=bc)
        found.append(own)
    return found


def _leaf(points: np.ndarray, device: torch.device) -> Tensor:
    return torch.tensor(points, device=device).requires_grad_()


def equations(pde: Any, extra: Sequence[Tensor]) -> Errors:
    """The residuals of a PDE function with its further arguments."""

    def errors(inputs: Tensor, outputs: Tensor) -> Sequence[Tensor]:
        found = pde(inputs, outputs, *extra)
        return found if isinstance(found, (list, tuple)) else [found]

    return errors


def condition_errors(condition: Any, points: np.ndarray) -> Errors:
    """The error of a condition at its points."""
    keep_for(condition, points)

    def errors(inputs: Tensor, outputs: Tensor) -> Sequence[Tensor]:
        return [condition.error(points, inputs, outputs, 0, len(points))]

    return errors


def losses(terms: Sequence[Term], rows: Callable[[int], tuple[Rows, Tensor]]) -> Tensor:
    """Mean squared error of every equation and condition, shape ``(n_losses,)``.

    Args:
        terms: The terms in order.
        rows: Gives the rows of a term, and the outputs that its errors are computed from.
    """
    server = Server()
    found = []
    with server.active():
        for k, term in enumerate(terms):
            of_term, outputs = rows(k)
            server.about(of_term)
            found += [e.square().mean() for e in term.errors(of_term.inputs, outputs)]
    return torch.stack(found)
