"""Derivatives by automatic differentiation, and by finite differences of order four."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Names of a function and its derivatives, by their order.
NAMES = ("value", "first derivative", "second derivative", "third derivative")


def derivatives(function: Callable[[Tensor], Tensor], x: Tensor, order: int) -> list[Tensor]:
    """An elementwise function and its derivatives, by nested reverse mode.

    Args:
        function: Of a tensor of any shape.
        x: Where; any shape.
        order: How many derivatives.

    Returns:
        ``order + 1`` tensors of the shape of `x`, without a graph; one that no longer depends on
        `x` is 0.
    """
    x = x.clone().requires_grad_()
    found = [function(x)]
    for _ in range(order):
        last = found[-1]
        if last.requires_grad:
            (slope,) = torch.autograd.grad(last.sum(), x, create_graph=True, materialize_grads=True)
            found.append(slope)
        else:
            found.append(torch.zeros_like(last))
    return [values.detach() for values in found]


def central_difference(function: Callable[[Tensor], Tensor], x: Tensor, step: float) -> Tensor:
    """The derivative of an elementwise function, of the shape of `x`."""
    near = function(x + step) - function(x - step)
    far = function(x + 2 * step) - function(x - 2 * step)
    return (8 * near - far) / (12 * step)


def slope_along(
    loss: Callable[[], Tensor], tensor: Tensor, direction: Tensor, step: float = 1e-4
) -> float:
    """The derivative of a loss along a direction of a tensor, by central differences.

    Args:
        loss: A scalar that depends on `tensor`.
        tensor: Changed in place, and restored.
        direction: Of the same shape.
        step: In units of `direction`.
    """
    before = tensor.detach().clone()

    def at(steps: int) -> float:
        with torch.no_grad():
            tensor.copy_(before + steps * step * direction)
        return float(loss().detach())

    try:
        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    finally:
        with torch.no_grad():
            tensor.copy_(before)


def residual_loss(net: nn.Module, x: Tensor, order: int) -> Tensor:
    """A loss as a PINN has it: of a network's output and its derivatives by the inputs.

    Args:
        net: Maps ``(rows, inputs)`` to ``(rows, 1)``.
        x: Shape ``(rows, inputs)``.
        order: Of the highest derivative, 1 or 2.
    """
    x = x.clone().requires_grad_()
    residual = net(x).sum(dim=1)
    slope = _gradient(residual, x)
    residual = residual + slope.sum(dim=1)
    for column in range(x.shape[1]) if order > 1 else ():
        residual = residual + _gradient(slope[:, column], x)[:, column]
    return residual.square().mean()


def _gradient(y: Tensor, x: Tensor) -> Tensor:
    if not y.requires_grad:
        return torch.zeros_like(x)
    found = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    return found[0]


def largest_jump(
    function: Callable[[Tensor], Tensor], low: float, high: float, cells: int = 20_000
) -> tuple[float, float, float]:
    """Where an elementwise function jumps most, for its size: the place, and its values before and
    after, which differ by rounding where it is continuous.

    Every cell of a grid is halved towards the half with the larger change, until it is as narrow
    as numbers are apart.
    """
    edges = torch.linspace(low, high, cells + 1, dtype=torch.float64)
    left, right = edges[:-1].clone(), edges[1:].clone()
    with torch.no_grad():
        at_left, at_right = function(left), function(right)
        for _ in range(40):
            middle = (left + right) / 2
            at_middle = function(middle)
            first = (at_middle - at_left).abs() >= (at_right - at_middle).abs()
            left, at_left = torch.where(first, left, middle), torch.where(first, at_left, at_middle)
            right = torch.where(first, middle, right)
            at_right = torch.where(first, at_middle, at_right)
    worst = int(((at_right - at_left).abs() / (1 + at_left.abs())).argmax())
    return float(right[worst]), float(at_left[worst]), float(at_right[worst])
