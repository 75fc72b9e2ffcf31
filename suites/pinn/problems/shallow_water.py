"""2-D shallow water: radial dam break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import initial_condition, on_wall, time_pde
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.problem import Points, Problem, PublishedSetup, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.cache import cached
from suites.pinn.reference.reference import Reference, cell_centres

if TYPE_CHECKING:
    from torch import Tensor

G = 1.0
RADIUS, DEPTH_INSIDE, DEPTH_OUTSIDE = 0.5, 2.0, 1.0

FILE = PDEBenchFile(
    names=("2D_rdb_NA_NA.h5",),
    folder="2D/shallow-water",
    layout="groups",
    fields=("h",),
    outputs=(0,),
    n_outputs=3,
    space=("x", "y"),
    bounds=((-2.5, 2.5), (-2.5, 2.5), (0.0, 1.0)),
    interpolation="nearest",
    parameters={"gravity": G},
)


def at_rest(points: np.ndarray) -> np.ndarray:
    """The water before the dam breaks: (h, u, v) at points of shape ``(n, 2)``."""
    inside = np.hypot(points[:, 0], points[:, 1]) < RADIUS
    depth = np.where(inside, DEPTH_INSIDE, DEPTH_OUTSIDE)
    return np.stack([depth, np.zeros_like(depth), np.zeros_like(depth)], axis=-1)


class ShallowWater2D(Problem):
    """h_t + (hu)_x + (hv)_y = 0 and momentum with g = 1 on (−2.5, 2.5)², t ∈ (0, 1].

    Dam break: h = 2 inside the radius 0.5, 1 outside, at rest. Outputs: depth h, velocities u, v.

    Source: PDEBench, Takamoto et al., arXiv 2210.07182 (``2D_rdb_NA_NA``). Its configuration has
    the radius 0.5, as here; its files have a random radius in (0.3, 0.7). Its PINN scores only h,
    and sets only ∂h/∂n = 0 at the walls. Here all three outputs are scored and have wall
    conditions.

    Weights are 1: the norms of the terms' gradients before training (fnn:40x6, scaled inputs,
    median of 3 seeds) are from 1.9 to 10 for the equations and 0.9 to 7 for the initial state. They
    are from 0.04 to 0.12 for the walls, which the wave does not reach before t = 1.
    """

    name = "shallow-water-2d"
    outputs = ("h", "u", "v")
    file = FILE
    terms = (
        Term("Lf_mass", "residual"),
        Term("Lf_momentum_x", "residual"),
        Term("Lf_momentum_y", "residual"),
        Term("LICh", "initial", 0),
        Term("LICu", "initial", 1),
        Term("LICv", "initial", 2),
        Term("LBCh", "boundary", 0),
        Term("LBCu", "boundary", 1),
        Term("LBCv", "boundary", 2),
    )
    published = PublishedSetup(supervised=0.3)

    def own_truth(self, fine: bool) -> Truth:
        cells = 8000 if fine else 200
        x = cell_centres(-2.5, 2.5, 64 if fine else 16)
        t = np.linspace(0, 1, 51 if fine else 6)

        def solution() -> Reference:
            from suites.pinn.reference.shallow_water import solve

            return solve(t, x, x, DEPTH_INSIDE, DEPTH_OUTSIDE, RADIUS, G, cells)

        parameters = {
            "dam": [RADIUS, DEPTH_INSIDE, DEPTH_OUTSIDE],
            "g": G,
            "cells": cells,
            "grid": [len(x), len(t)],
        }
        reference = cached(self.name, parameters, self.truth_definition, solution)
        return Truth(reference, at_rest, (0, 1, 2))

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None
        square = dde.geometry.Rectangle((-2.5, -2.5), (2.5, 2.5))
        geometry = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0, 1))

        def pde(x: Tensor, y: Tensor) -> list[Tensor]:
            h, u, v = y[:, 0:1], y[:, 1:2], y[:, 2:3]
            h_x = dde.grad.jacobian(y, x, i=0, j=0)
            h_y = dde.grad.jacobian(y, x, i=0, j=1)
            h_t = dde.grad.jacobian(y, x, i=0, j=2)
            u_x = dde.grad.jacobian(y, x, i=1, j=0)
            u_y = dde.grad.jacobian(y, x, i=1, j=1)
            u_t = dde.grad.jacobian(y, x, i=1, j=2)
            v_x = dde.grad.jacobian(y, x, i=2, j=0)
            v_y = dde.grad.jacobian(y, x, i=2, j=1)
            v_t = dde.grad.jacobian(y, x, i=2, j=2)
            return [
                h_t + h_x * u + h * u_x + h_y * v + h * v_y,
                u_t + u * u_x + v * u_y + G * h_x,
                v_t + u * v_x + v * v_y + G * h_y,
            ]

        conditions = [
            *(initial_condition(geometry, truth, output) for output in range(3)),
            *(
                dde.icbc.NeumannBC(geometry, lambda x: 0, on_wall(2.5), component=output)
                for output in range(3)
            ),
        ]
        return time_pde(geometry, pde, conditions, points, supervised)

    def residual_scales(self, scales: Sequence[float]) -> Sequence[float]:
        """C_h, C_u and C_v: the units of h_t, u_t and v_t for x and t of order one."""
        return scales
