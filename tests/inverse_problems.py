"""Inverse problems as users write them, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from suites.pinn.backend import dde
from suites.pinn.problems.wrap import wrap

#: The true value is 1.
C = dde.Variable(0.3)
AT = np.linspace(0.05, 0.95, 20)[:, None]


def solution(x: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * x)


def labels() -> Any:
    return dde.icbc.PointSetBC(AT, solution(AT))


def line(pde: Callable[..., Any], conditions: list[Any] | None = None) -> Any:
    geometry = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
    given = [ends, labels()] if conditions is None else conditions
    return dde.data.PDE(geometry, pde, given, 30, 2, train_distribution="pseudo")


COMMON: dict[str, Any] = {"outputs": ["u"], "exact": solution}
TERMS = {"losses": ["Lf", "LBC", "Ldata"], **COMMON}


def source(x: Tensor) -> Tensor:
    return np.pi**2 * torch.sin(np.pi * x)


# --- a variable of the module ---------------------------------------------------------------------


def of_module() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + C * source(x)

    return line(pde)


MODULE = wrap(of_module, name="module", unknowns={"C": 1.0}, **TERMS)
UNDECLARED = wrap(of_module, name="undeclared", **TERMS)
MISSPELT = wrap(of_module, name="misspelt", unknowns={"c": 1.0}, **TERMS)
MISSHAPEN = wrap(of_module, name="misshapen", unknowns={"C": [1.0, 2.0]}, **TERMS)


NO_SOLUTION = wrap(
    of_module,
    name="no-solution",
    outputs=["u"],
    losses=TERMS["losses"],
    unknowns={"C": 1.0},
)


# --- two, made inside the factory -----------------------------------------------------------------


def of_factory() -> Any:
    a, b = dde.Variable(0.5), dde.Variable([0.4])

    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + b * source(x)

    def told(x: Tensor, u: Tensor, points: np.ndarray) -> Tensor:
        return u[:, :1] * 0 + a - 1.0

    geometry = dde.geometry.Interval(0, 1)
    on_left = dde.icbc.OperatorBC(geometry, told, lambda x, on: on and np.isclose(x[0], 0))
    ends = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
    return line(pde, [ends, on_left, labels()])


FACTORY = wrap(
    of_factory,
    name="factory",
    losses=["Lf", "LBC_ends", "LBC_told", "Ldata"],
    unknowns={"a": 1.0, "b": 1.0},
    **COMMON,
)


# --- a vector, in an object, multiplying derivatives ----------------------------------------------


class Medium:
    """Two coefficients in one tensor, and one in a list."""

    def __init__(self) -> None:
        self.k = dde.Variable([0.8, 0.3])
        self.more = [dde.Variable(0.1)]

    def residual(self, x: Tensor, u: Tensor) -> list[Tensor]:
        u_x, u_xx = dde.grad.jacobian(u, x), dde.grad.hessian(u, x)
        return [self.k[0] * u_xx + self.k[1] * u_x + self.more[0] * u + torch.exp(self.k[1]) * x]


VECTOR = wrap(lambda: line(Medium().residual), name="vector", unknowns={"k": [1.0, 0.0]}, **TERMS)


# --- in 2 dimensions, where derivatives are combined ----------------------------------------------

D = [dde.Variable(0.5), dde.Variable(2.0)]


def anisotropic() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        u_xx, u_yy = dde.grad.hessian(u, x, i=0, j=0), dde.grad.hessian(u, x, i=1, j=1)
        return D[0] * (u_xx + D[1] * u_yy) + x[:, :1]

    geometry = dde.geometry.Rectangle([0, 0], [1, 1])
    walls = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on: on)
    return dde.data.PDE(geometry, pde, walls, 40, 20, train_distribution="pseudo")


ANISOTROPIC = wrap(anisotropic, name="anisotropic", outputs=["u"], losses=["Lf", "LBC"])


# --- in the transforms ----------------------------------------------------------------------------

AMPLITUDE = dde.Variable(0.7)
FREQUENCY = dde.Variable(2.5)


def plain() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + source(x)

    return line(pde)


OUTPUT = wrap(plain, name="output", output_transform=lambda x, u: AMPLITUDE * x + u, **TERMS)
INPUT = wrap(
    plain,
    name="input",
    input_transform=lambda x: torch.cat([x, torch.sin(FREQUENCY * x)], 1),
    **TERMS,
)


# --- an unknown function, as a network of the user's ----------------------------------------------

torch.manual_seed(1)
FORCE = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))


def unknown_function() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + FORCE(x)

    return line(pde)


FUNCTION = wrap(unknown_function, name="function", **TERMS)


# --- what cannot be trained -----------------------------------------------------------------------

SQUARED = C**2
WHOLE = torch.tensor(3)
FROZEN = torch.tensor(0.5)
NUMBER = 0.5
UNUSED = dde.Variable(0.5)


def of_each(coefficient: Callable[[], Any]) -> Callable[[], Any]:
    def factory() -> Any:
        def pde(x: Tensor, u: Tensor) -> Tensor:
            return dde.grad.hessian(u, x) + coefficient() * source(x)

        return line(pde)

    return factory


COMPUTED = wrap(of_each(lambda: SQUARED), name="computed", **TERMS)
INTEGER = wrap(of_each(lambda: WHOLE), name="integer", unknowns={"WHOLE": 1}, **TERMS)
CONSTANT = wrap(of_each(lambda: FROZEN), name="constant", unknowns={"FROZEN": 1}, **TERMS)
PLAIN = wrap(of_each(lambda: NUMBER), name="plain", unknowns={"NUMBER": 1}, **TERMS)
IDLE = wrap(
    of_each(lambda: 2 * float(UNUSED.detach())), name="idle", unknowns={"UNUSED": 1}, **TERMS
)
REMADE = wrap(of_each(lambda: dde.Variable(0.5)), name="remade", **TERMS)


def kept_by_a_condition() -> Any:
    def pde(x: Tensor, u: Tensor) -> Tensor:
        return dde.grad.hessian(u, x) + source(x)

    geometry = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(geometry, lambda x: C * torch.ones(len(x), 1), lambda _, on: on)
    return line(pde, [ends, labels()])


KEPT = wrap(kept_by_a_condition, name="kept", **TERMS)
