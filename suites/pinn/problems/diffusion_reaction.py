"""2-D diffusion–reaction (FitzHugh–Nagumo)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import initial_condition, on_wall, time_pde
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.problem import Points, Problem, PublishedSetup, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.cache import cached
from suites.pinn.reference.initial_states import band_limited_field
from suites.pinn.reference.reference import Reference, cell_centres

if TYPE_CHECKING:
    from torch import Tensor

D_U, D_V, K = 1e-3, 5e-3, 5e-3
SEED = 0
#: Highest wave number of the initial state, in half waves across the square.
MODES = 3

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]

FILE = PDEBenchFile(
    names=("2D_diff-react_NA_NA.h5",),
    folder="2D/diffusion-reaction",
    layout="groups",
    fields=("u", "v"),
    outputs=(0, 1),
    n_outputs=2,
    space=("x", "y"),
    bounds=((-1.0, 1.0), (-1.0, 1.0), (0.0, 5.0)),
    interpolation="linear",
    parameters={"Du": D_U, "Dv": D_V, "k": K},
)


class DiffusionReaction2D(Problem):
    """u_t = D_u Δu + u − u³ − k − v;  v_t = D_v Δv + u − v on (−1, 1)², t ∈ (0, 5], no-flow.

    D_u = 1e-3, D_v = 5e-3, k = 5e-3. Source: PDEBench, Takamoto et al., arXiv 2210.07182
    (``2D_diff-react_NA_NA``). That starts from white noise in each grid cell, for which no
    grid-independent truth exists. So the initial state here is a random field of at most three half
    waves across the square; the noise is the variant `DiffusionReactionNoise2D`.

    Weights are 1: the norms of the terms' gradients before training (fnn:40x6, scaled inputs,
    median of 3 seeds) are 2.2 and 2.3 for the equations, 1.3 and 4.5 for the initial state, 0.3 and
    0.8 for the walls.
    """

    name = "diffusion-reaction-2d"
    outputs = ("u", "v")
    file = FILE
    terms = (
        Term("Lf_u", "residual"),
        Term("Lf_v", "residual"),
        Term("LICu", "initial", 0),
        Term("LICv", "initial", 1),
        Term("LBCu", "boundary", 0),
        Term("LBCv", "boundary", 1),
    )
    published = PublishedSetup(steps=100, supervised=0.3)

    def own_truth(self, fine: bool) -> Truth:
        return self._solved(
            band_limited_field(SEED, MODES), band_limited_field(SEED + 1, MODES), fine
        )

    def _solved(self, u: Field, v: Field, fine: bool) -> Truth:
        modes = 128 if fine else 32
        x = cell_centres(-1, 1, 64 if fine else 16)
        t = np.linspace(0, 5, 51 if fine else 6)

        def solution() -> Reference:
            from suites.pinn.reference.diffusion_reaction import solve

            return solve(u, v, t, x, x, D_U, D_V, K, modes)

        parameters = {
            "state": [SEED, MODES],
            "coefficients": [D_U, D_V, K],
            "modes": modes,
            "grid": [len(x), len(t)],
        }
        reference = cached(self.name, parameters, self.truth_definition, solution)

        def initial(points: np.ndarray) -> np.ndarray:
            return np.stack([field(points[:, 0], points[:, 1]) for field in (u, v)], axis=-1)

        return Truth(reference, initial, (0, 1))

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None
        square = dde.geometry.Rectangle((-1, -1), (1, 1))
        geometry = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0, 5))

        def pde(x: Tensor, y: Tensor) -> list[Tensor]:
            u, v = y[:, 0:1], y[:, 1:2]
            u_t = dde.grad.jacobian(y, x, i=0, j=2)
            v_t = dde.grad.jacobian(y, x, i=1, j=2)
            u_xx = dde.grad.hessian(y, x, component=0, i=0, j=0)
            u_yy = dde.grad.hessian(y, x, component=0, i=1, j=1)
            v_xx = dde.grad.hessian(y, x, component=1, i=0, j=0)
            v_yy = dde.grad.hessian(y, x, component=1, i=1, j=1)
            return [
                u_t - D_U * (u_xx + u_yy) - (u - u**3 - K - v),
                v_t - D_V * (v_xx + v_yy) - (u - v),
            ]

        conditions = [
            initial_condition(geometry, truth, 0),
            initial_condition(geometry, truth, 1),
            dde.icbc.NeumannBC(geometry, lambda x: 0, on_wall(1), component=0),
            dde.icbc.NeumannBC(geometry, lambda x: 0, on_wall(1), component=1),
        ]
        return time_pde(geometry, pde, conditions, points, supervised)


class DiffusionReactionNoise2D(DiffusionReaction2D):
    """The same from PDEBench's initial state: white noise, one draw for each cell of a 128² grid.

    The noise has no limit as the grid is refined. So this truth belongs to its grid and has no
    error estimate.
    """

    name = "diffusion-reaction-2d-noise"

    def own_truth(self, fine: bool) -> Truth:
        u, v = (_cell_noise(SEED + k) for k in range(2))
        truth = self._solved(u, v, fine)
        return replace(truth, reference=replace(truth.reference, error=None))


def _cell_noise(seed: int, cells: int = 128) -> Field:
    """Standard normal noise, constant in each cell of a grid on (−1, 1)²."""
    noise = np.random.default_rng(seed).standard_normal((cells, cells))

    def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        rows, columns = (
            np.clip(((np.asarray(a) + 1) / 2 * cells).astype(int), 0, cells - 1) for a in (x, y)
        )
        values: np.ndarray = noise[rows, columns]
        return values

    return field
