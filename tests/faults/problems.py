"""Problems with one fault each, and some without: heat in a rod, and a system of two waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suites.pinn.backend import dde
from suites.pinn.problems.advection import Advection1D
from suites.pinn.problems.problem import Points, Problem, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.problems.wrap import wrap
from suites.pinn.reference.reference import Reference

DIFFUSIVITY = 0.2


def _space_time() -> Any:
    space, time = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 0.5)
    return dde.geometry.GeometryXTime(space, time)


def _equation(x: Tensor, u: Tensor) -> Tensor:
    return dde.grad.jacobian(u, x, j=1) - DIFFUSIVITY * dde.grad.hessian(u, x, i=0, j=0)


def _start(x: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * x[:, :1])


def _on(_: Any, on: bool) -> bool:
    return on


def heat(
    pde: Callable[[Tensor, Tensor], Any] = _equation,
    start: Callable[[np.ndarray], Any] = _start,
    where: Callable[[Any, bool], bool] = _on,
    anchors: Callable[[], Any] = lambda: None,
) -> Callable[[], Any]:
    """What makes the data of heat in a rod, or of something like it."""

    def factory() -> Any:
        geometry = _space_time()
        conditions = [
            dde.icbc.IC(geometry, start, _on),
            dde.icbc.DirichletBC(geometry, lambda x: 0, where),
        ]
        return dde.data.TimePDE(geometry, pde, conditions, 60, 20, 20, "pseudo", anchors=anchors())

    return factory


def cooling(x: np.ndarray) -> np.ndarray:
    return np.exp(-DIFFUSIVITY * np.pi**2 * x[:, 1:]) * np.sin(np.pi * x[:, :1])


NAMES: Any = ["Lf", "LIC", "LBC"]


def _heat(factory: Callable[[], Any] | None = None, **more: Any) -> Problem:
    given = {"outputs": ["T"], "losses": NAMES, "exact": cooling, **more}
    return wrap(factory or heat(), name="heat", **given)


# Without a fault.

HEAT = _heat()
FLAT = _heat(exact=lambda x: cooling(x)[:, 0])
NO_TRUTH = _heat(exact=None)


def _by_hand(x: Tensor, u: Tensor) -> Tensor:
    """No operator of DeepXDE's: the engine leaves it alone."""
    slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    bend = torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)[0]
    return slope[:, 1:] - DIFFUSIVITY * bend[:, :1]


BY_HAND = _heat(heat(_by_hand))

# Names, units and transforms.

TOO_FEW = _heat(losses=["Lf", "LIC"])
TOO_MANY = _heat(losses=["Lf_1", "Lf_2", "LIC", "LBC"])
DISORDERED = _heat(losses=["LIC", "Lf", "LBC"])
TWICE = _heat(losses=["Lf", "LIC", Term("LIC", "boundary")])
MISNAMED = _heat(losses=["Lf", Term("LBC_0", "initial"), "LBC"])
NOWHERE = _heat(losses=["Lf", Term("LIC", "initial", 3), "LBC"])
ROWLESS = _heat(input_transform=lambda x: x.mean(dim=0))
SHAPELESS = _heat(output_transform=lambda x, y: y[:, 0])
UNITLESS = _heat(residual_scales=lambda c: [c[0], -1.0])

# Points.

OUTSIDE = _heat(heat(anchors=lambda: np.array([[2.0, 0.1]])))


def _quasi_random() -> Any:
    geometry = dde.geometry.Interval(0, 1)
    ends = dde.icbc.DirichletBC(geometry, lambda x: 0, _on)
    # DeepXDE's default.
    return dde.data.PDE(geometry, lambda x, u: dde.grad.hessian(u, x) + 1, ends, 20, 2)


HAMMERSLEY = wrap(_quasi_random, name="hammersley", outputs=["u"], losses=["Lf", "LBC"])
UNSEEDED = _heat(heat(anchors=lambda: np.random.default_rng().random((3, 2)) / 2))

# Equations.

BROADCAST = _heat(heat(lambda x, u: _equation(x, u) + 0 * x[:, 0]))
NAN = _heat(heat(lambda x, u: _equation(x, u) + 0 * torch.log(u)))
STATELESS = _heat(heat(lambda x, u: torch.cos(x[:, :1])))
ROWS_TOGETHER = _heat(heat(lambda x, u: _equation(x, u) + 0.1 * u.mean()))

# Conditions.

FLAT_LABELS = _heat(heat(start=lambda x: np.sin(np.pi * x[:, 0])))
NAN_LABELS = _heat(heat(start=lambda x: np.sqrt(x[:, :1] - 0.5)))
NO_POINTS = _heat(heat(where=lambda x, on: False))

# Truths.

TRANSPOSED = _heat(exact=lambda x: cooling(x).T)
SWAPPED = _heat(exact=lambda x: cooling(x[:, ::-1]))
FASTER = _heat(exact=lambda x: cooling(x * [1, 1.3]))
LARGER = _heat(exact=lambda x: 1.2 * cooling(x))
LATER = _heat(exact=None, reference=(np.array([[0.5, 0.1], [0.5, 0.9]]), np.zeros((2, 1))))
TWO_COLUMNS = _heat(exact=lambda x: np.hstack([cooling(x)] * 2))
FAILING = _heat(exact=lambda x: 1 / 0)
BROKEN = _heat(lambda: 1 / 0, exact=None)


class Faster(Advection1D):
    """Its truth, on a grid, is carried a little too fast."""

    def own_truth(self, fine: bool) -> Truth:
        truth = super().own_truth(fine)
        x, t = truth.reference.axes  # type: ignore[union-attr]
        assert truth.exact is not None
        points = np.stack(np.meshgrid(x, 1.1 * t, indexing="ij"), axis=-1).reshape(-1, 2)
        values = truth.exact(points).reshape(len(x), len(t), 1)
        return Truth(Reference((x, t), values, "a grid", (1e-3,)), truth.initial, (0,))


class OtherStart(Advection1D):
    """Its condition is another state than the truth starts from."""

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None and truth.initial is not None
        initial = truth.initial
        return super().data(
            replace(truth, initial=lambda x: 1.001 * initial(x)), points, supervised
        )


class FlatStart(Advection1D):
    """Its initial state is no column."""

    def own_truth(self, fine: bool) -> Truth:
        truth = super().own_truth(fine)
        assert truth.initial is not None
        initial = truth.initial
        return replace(truth, initial=lambda x: initial(x)[:, 0])

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        return super().data(super().own_truth(False), points, supervised)


# Systems.


def _waves(x: Tensor, y: Tensor) -> list[Tensor]:
    u_t, v_x = dde.grad.jacobian(y, x, i=0, j=1), dde.grad.jacobian(y, x, i=1, j=0)
    v_t, u_x = dde.grad.jacobian(y, x, i=1, j=1), dde.grad.jacobian(y, x, i=0, j=0)
    return [u_t + 4 * v_x, v_t + u_x]


def travelling(x: np.ndarray) -> np.ndarray:
    wave = np.sin(3 * (x[:, :1] - 2 * x[:, 1:]))
    return np.hstack([2 * wave, wave])


def _column(k: int) -> Callable[[np.ndarray], np.ndarray]:
    # A function of one argument: DeepXDE counts them.
    return lambda x: travelling(x)[:, [k]]


class Waves(Problem):
    """u_t + 4 v_x = 0, v_t + u_x = 0: no fault."""

    name = "waves"
    outputs = ("u", "v")
    terms = (
        Term("Lf_u", "residual"),
        Term("Lf_v", "residual"),
        Term("LICu", "initial", 0),
        Term("LICv", "initial", 1),
        Term("LBCu", "boundary", 0),
        Term("LBCv", "boundary", 1),
    )
    #: The output that each condition of the data constrains.
    components: tuple[Any, ...] = (0, 1, 0, 1)

    def own_truth(self, fine: bool) -> Truth:
        x, t = np.linspace(0, 1, 33), np.linspace(0, 0.5, 17)
        points = np.stack(np.meshgrid(x, t, indexing="ij"), axis=-1).reshape(-1, 2)
        values = travelling(points).reshape(33, 17, 2)
        return Truth(Reference((x, t), values, "exact", (0.0, 0.0)), None, (0, 1))

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        geometry = _space_time()
        kinds = (dde.icbc.IC, dde.icbc.IC, dde.icbc.DirichletBC, dde.icbc.DirichletBC)
        conditions = [
            kind(geometry, _column(k), _on, component=k)
            for kind, k in zip(kinds, self.components, strict=True)
        ]
        return dde.data.TimePDE(
            geometry,
            _waves,
            [*conditions, *self.labels(supervised)],
            points.domain,
            points.boundary,
            points.initial,
            "pseudo",
        )

    def labels(self, supervised: Supervised | None) -> list[Any]:
        if supervised is None:
            return []
        return [
            dde.icbc.PointSetBC(supervised.points, supervised.values[:, [k]], component=k)
            for k in supervised.outputs
        ]


class Misdeclared(Waves):
    terms = (*Waves.terms[:2], Term("LICv", "initial", 0), *Waves.terms[3:])


class Crossed(Waves):
    """The initial conditions of the two outputs have changed places."""

    components = (1, 0, 0, 1)


class Both(Waves):
    """A condition of two outputs under the name of one."""

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        data = super().data(truth, points, supervised)
        given = np.random.random((5, 2)) / 2
        pair = dde.icbc.PointSetBC(given, travelling(given), component=[0, 1])
        return dde.data.TimePDE(data.geom, _waves, [*data.bcs[:3], pair], 30, 20, 20, "pseudo")


class Unlabelled(Waves):
    def labels(self, supervised: Supervised | None) -> list[Any]:
        return []


class CrossedLabels(Waves):
    def labels(self, supervised: Supervised | None) -> list[Any]:
        return super().labels(supervised)[::-1]
