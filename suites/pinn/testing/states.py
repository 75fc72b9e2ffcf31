"""States of a problem as functions that equations can be applied to, like a network's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import NdBSpline, make_interp_spline
from torch import Tensor

from suites.pinn.reference.reference import Reference

#: Maps points ``(n, n_inputs)`` to outputs ``(n, n_outputs)``, with derivatives of any order.
State = Callable[[Tensor], Tensor]
#: Values of a derivative at points ``(n, n_inputs)``, of so many orders along each input.
Derivative = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]

#: Of finite differences, in units of the domain.
_STEP = 5e-4
#: Of the splines through a grid.
_DEGREE = 5
#: Waves of `wave` along the domain: none of its ends are alike, nor is it periodic.
_WAVES = 0.7


def state_of(derivative: Derivative, n_inputs: int) -> State:
    """A function that automatic differentiation takes, from one that knows its derivatives."""
    return _differentiable(derivative, (0,) * n_inputs)


def _differentiable(derivative: Derivative, orders: tuple[int, ...]) -> State:
    class Values(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return torch.as_tensor(derivative(x.detach().numpy(), orders))

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            (x,), (gradient,) = ctx.saved_tensors, gradients
            along = []
            for column in range(len(orders)):
                higher = tuple(order + (k == column) for k, order in enumerate(orders))
                along.append((gradient * _differentiable(derivative, higher)(x)).sum(dim=1))
            return torch.stack(along, dim=1)

    def apply(x: Tensor) -> Tensor:
        found: Tensor = Values.apply(x)
        return found

    return apply


def closed_form(exact: Callable[[np.ndarray], np.ndarray], extent: np.ndarray) -> Derivative:
    """The derivatives of a formula, by central differences of fourth order.

    Args:
        exact: Maps ``(n, n_inputs)`` to ``(n, n_outputs)``.
        extent: Of the domain along each input.
    """

    def derivative(points: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        column = next((k for k, order in enumerate(orders) if order), None)
        if column is None:
            return np.asarray(exact(points), dtype=float).reshape(len(points), -1)
        lower = tuple(order - (k == column) for k, order in enumerate(orders))
        step = _STEP * extent[column]

        def at(steps: int) -> np.ndarray:
            moved = points.copy()
            moved[:, column] += steps * step
            return derivative(moved, lower)

        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)

    return derivative


def gridded(reference: Reference, stride: int = 1) -> Derivative:
    """The derivatives of the spline through a grid.

    Args:
        reference: Its values.
        stride: Of the grid's points, every so many-th.
    """
    coefficients, knots, degrees = reference.values, [], []
    coefficients = coefficients[(slice(None, None, stride),) * len(reference.axes)]
    for axis, points in enumerate(reference.axes):
        along = points[::stride]
        # Odd: one of even degree has its knots between the points.
        degree = min(_DEGREE, (len(along) // 2) * 2 - 1)
        spline = make_interp_spline(along, coefficients, k=degree, axis=axis)
        coefficients = np.moveaxis(spline.c, 0, axis)
        knots.append(spline.t)
        degrees.append(degree)
    whole = NdBSpline(tuple(knots), coefficients, tuple(degrees))

    def derivative(points: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        found: np.ndarray = whole(points, nu=orders)
        return found

    return derivative


def wave(low: np.ndarray, high: np.ndarray, sizes: Sequence[float]) -> State:
    """Waves of all inputs, each output's with a phase of its own.

    Args:
        low: Lower bound of each input.
        high: Upper bound.
        sizes: Amplitude of each output.
    """
    amplitudes = torch.tensor(list(sizes), dtype=torch.float64)
    phases = torch.arange(len(amplitudes), dtype=torch.float64)

    def state(x: Tensor) -> Tensor:
        place = ((x - torch.tensor(low)) / torch.tensor(high - low)).sum(dim=1, keepdim=True)
        return amplitudes * torch.sin(2 * np.pi * _WAVES * place + phases)

    return state
