"""Inverse problems whose unknowns are passed on, or read, in unusual ways, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from inverse_problems import TERMS, labels, line, source
from torch import Tensor, nn

from suites.pinn.backend import dde
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.wrap import wrap

C = dde.Variable(0.3)
OTHER = dde.Variable(0.7)


def of(residual: Callable[[Tensor, Tensor], Tensor], name: str = "read") -> Problem:
    """A problem with the residual of ``x`` and ``u``."""
    return wrap(lambda: line(residual), name=name, **TERMS)


def with_ends(value: Callable[[np.ndarray], Any], **given: Any) -> Problem:
    """A problem with the value in a condition."""

    def factory() -> Any:
        geometry = dde.geometry.Interval(0, 1)
        ends = dde.icbc.DirichletBC(geometry, value, lambda _, on: on)
        return line(given.get("pde", plain), [ends, labels()])

    return wrap(factory, name="ends", **TERMS)


def plain(x: Tensor, u: Tensor) -> Tensor:
    return dde.grad.hessian(u, x) + source(x)


# --- unknowns that are passed on ------------------------------------------------------------------


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, c: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(c, x)
        return c * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        c, x = ctx.saved_tensors
        return (gradients[0] * x).sum(), gradients[0] * c


class Pair(NamedTuple):
    a: Tensor
    b: Tensor


@dataclass(slots=True)
class Rod:
    conductivity: Tensor


PAIR, ROD = Pair(C, OTHER), Rod(dde.Variable(0.3))
TRACED = torch.jit.trace(lambda c, x: c * x, (torch.tensor(1.0), torch.ones(2, 1)))

OWN_FUNCTION = of(lambda x, u: dde.grad.hessian(u, x) + Product.apply(C, source(x)))
NAMED_TUPLE = of(lambda x, u: dde.grad.hessian(u, x) + torch.stack(PAIR).sum() * source(x))
DATACLASS = of(lambda x, u: dde.grad.hessian(u, x) + ROD.conductivity * source(x))
BY_TRACE = of(lambda x, u: dde.grad.hessian(u, x) + TRACED(C, source(x)))
SHIFTED = C + 1
BEFORE = of(lambda x, u: dde.grad.hessian(u, x) + SHIFTED * source(x))


# --- unknowns that are read out of the graph ------------------------------------------------------

FLOAT = of(lambda x, u: float(C) * dde.grad.hessian(u, x) + source(x))
COPIED = of(lambda x, u: torch.tensor(C) * dde.grad.hessian(u, x) + source(x))
ITEM = of(lambda x, u: C.item() * dde.grad.hessian(u, x) + source(x))
DATA = of(lambda x, u: C.data * dde.grad.hessian(u, x) + source(x))
BRANCH = of(lambda x, u: dde.grad.hessian(u, x) + source(x) if C > 0 else u)
ENDS = with_ends(lambda x: C.detach().numpy() * np.sin(x[:, :1]))
PARTLY = with_ends(
    lambda x: C.detach().numpy() * np.sin(x[:, :1]),
    pde=lambda x, u: dde.grad.hessian(u, x) + C * source(x),
)
AUXILIARY = wrap(
    lambda: dde.data.PDE(
        dde.geometry.Interval(0, 1),
        lambda x, u, given: dde.grad.hessian(u, x) + given,
        dde.icbc.DirichletBC(dde.geometry.Interval(0, 1), lambda x: 0, lambda _, on: on),
        30,
        2,
        train_distribution="pseudo",
        auxiliary_var_function=lambda x: C.detach().numpy() * x,
    ),
    name="auxiliary",
    outputs=["u"],
    losses=["Lf", "LBC"],
)


def with_a_number() -> Any:
    number = float(C)
    return line(lambda x, u: number * dde.grad.hessian(u, x) + source(x))


BUILT = wrap(with_a_number, name="built", **TERMS)


# --- trainable tensors that are in reach, and not unknowns of the problem -------------------------


class Two:
    """Two coefficients, of which the residual has one."""

    def __init__(self) -> None:
        self.used, self.idle = dde.Variable(0.5), dde.Variable(0.5)

    def residual(self, x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + self.used * source(x)


CHOSEN = "constant"
SURROGATE = nn.Linear(1, 1)


def one_of_two(x: Tensor, u: Tensor) -> Tensor:
    factor = OTHER if CHOSEN == "trained" else 1.0
    return dde.grad.hessian(u, x) + factor * source(x)


def with_surrogate(x: Tensor, u: Tensor) -> Tensor:
    with torch.no_grad():
        known = SURROGATE(x.float()).to(x.dtype)
    return dde.grad.hessian(u, x) + known


IDLE = wrap(lambda: line(Two().residual), name="idle", **TERMS)
NOT_CHOSEN = of(one_of_two)
FROZEN = of(with_surrogate)
ABOUT = of(lambda x, u: dde.grad.hessian(u, x) + source(x).to(OTHER.device).reshape(-1, 1))


# --- unknowns at a bound, in 2 dimensions ---------------------------------------------------------


def at_a_bound(factor: Callable[[Tensor], Tensor], start: float) -> Problem:
    """A problem whose operator depends on an unknown away from its start."""

    def factory() -> Any:
        k = dde.Variable(start)

        def pde(x: Tensor, u: Tensor) -> Tensor:
            u_xx, u_yy = dde.grad.hessian(u, x, i=0, j=0), dde.grad.hessian(u, x, i=1, j=1)
            return u_xx + factor(k) * u_yy + k * x[:, :1]

        geometry = dde.geometry.Rectangle([0, 0], [1, 1])
        walls = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
        return dde.data.PDE(geometry, pde, walls, 40, 20, train_distribution="pseudo")

    return wrap(factory, name="bound", outputs=["u"], losses=["Lf", "LBC"])


UPPER = at_a_bound(lambda k: k.clamp(0, 1), 1.0)
LOWER = at_a_bound(lambda k: torch.relu(k) + 1, 0.0)
NEGATIVE = at_a_bound(lambda k: k.clamp(-1, 0), -1.0)
FLAT = at_a_bound(lambda k: torch.relu(k - 1) + 1, 0.5)
ROOT = at_a_bound(lambda k: k.sqrt(), 0.5)
