"""Derivatives of elementwise activations, up to the third, as plain values.

The code that carries derivatives through a network (`suites.pinn.engine.taylor`) needs σ, σ′, σ″
and, for its own gradient, σ‴, all at one point and without a graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, gelu


class Slopes(Protocol):
    """An elementwise function and its derivatives."""

    def value(self, x: Tensor) -> Tensor:
        """σ(x), of the shape of `x`."""

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        """The first `order` derivatives at `x`; ``None`` for one that is 0 everywhere.

        Args:
            x: Tensor of any shape.
            y: ``value(x)``.
            order: 1, 2 or 3.
        """


def slopes_of_tanh(y: Tensor, order: int) -> list[Tensor | None]:
    """The first `order` derivatives of tanh, from its value `y`."""
    if not order:
        return []
    one = torch.ones((), dtype=y.dtype, device=y.device)
    first = torch.addcmul(one, y, y, value=-1)
    found: list[Tensor | None] = [first]
    if order > 1:
        found.append((first * y).mul_(-2))
    if order > 2:
        found.append(torch.addcmul(-2 * one, y, y, value=6).mul_(first))
    return found


def slopes_of_elu(x: Tensor, alpha: float, order: int) -> list[Tensor | None]:
    """The first `order` derivatives of ELU at `x`; they share one exponential."""
    if not order:
        return []
    exponential, positive = x.clamp(max=0).exp_(), (x > 0).to(x.dtype)
    found: list[Tensor | None] = [(exponential - positive).mul_(alpha).add_(positive)]
    if order > 1:
        # 0 at 0, as torch's own.
        second = exponential.sub_((x >= 0).to(x.dtype)).mul_(alpha)
        found += [second, second]
    return found[:order]


def slopes_of_gelu(x: Tensor, order: int) -> list[Tensor | None]:
    """The first `order` derivatives of the exact GELU at `x`, by one exponential and one erf."""
    if not order:
        return []
    square = x * x
    density = square.mul(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))
    found: list[Tensor | None] = []
    below = torch.erf(x * math.sqrt(0.5)).add_(1).mul_(0.5)
    found.append(below.addcmul_(x, density))
    if order > 1:
        found.append((2 - square).mul_(density))
    if order > 2:
        found.append(square.sub_(4).mul_(x).mul_(density))
    return found


class _Tanh:
    def value(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_tanh(y, order)


class _ELU:
    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def value(self, x: Tensor) -> Tensor:
        return elu(x, self._alpha)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_elu(x, self._alpha, order)


class _GELU:
    def value(self, x: Tensor) -> Tensor:
        return gelu(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_gelu(x, order)


class _ByAutograd:
    """Any elementwise module that can be differentiated three times."""

    def __init__(self, activation: nn.Module) -> None:
        self._activation = activation

    def value(self, x: Tensor) -> Tensor:
        found: Tensor = self._activation(x)
        return found

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        found: list[Tensor | None] = []
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            slope = self._activation(x)
            for k in range(order):
                # Where a derivative is a constant, the next has no graph and is 0.
                if not slope.requires_grad:
                    return found + [None] * (order - k)
                (slope,) = torch.autograd.grad(
                    slope,
                    x,
                    torch.ones_like(slope),
                    create_graph=k + 1 < order,
                    materialize_grads=True,
                )
                found.append(slope.detach())
        return found


#: Of torch's own, by a module's kind; ``None`` for one whose settings make it something else. An
#: activation of this package has its own as a method ``closed_form``.
_CLOSED_FORMS: dict[type[nn.Module], Callable[[Any], Slopes | None]] = {
    nn.Tanh: lambda module: _Tanh(),
    nn.ELU: lambda module: None if module.inplace else _ELU(module.alpha),
    nn.GELU: lambda module: _GELU() if module.approximate == "none" else None,
}


def slopes_of(activation: nn.Module) -> Slopes | None:
    """The derivatives of an activation; ``None`` if it is not a fixed elementwise function.

    A module with parameters or buffers is not fixed. Neither is one that mixes elements, draws
    random numbers, or works in place.
    """
    kind = type(activation)
    # Not what a subclass inherits, which may compute something else.
    closed = _CLOSED_FORMS.get(kind) or vars(kind).get("closed_form")
    form: Slopes | None = None if closed is None else closed(activation)
    if form is not None:
        return form
    if any(True for _ in (*activation.parameters(), *activation.buffers())):
        return None
    return _ByAutograd(activation) if _is_elementwise(activation) else None


def _is_elementwise(activation: nn.Module) -> bool:
    x = torch.linspace(-2.0, 2.0, 35).reshape(5, 7)
    changed = x.clone()
    changed[2, 3] += 1.5
    given = x.clone()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before, again, after = activation(given), activation(x.clone()), activation(changed)
    differs = before != after
    differs[2, 3] = False
    untouched = torch.equal(given, x)
    return untouched and torch.equal(before, again) and not bool(differs.any())
