"""1-D linear advection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import initial_condition, time_pde
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.problem import Points, Problem, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.initial_states import periodic_sines
from suites.pinn.reference.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

BETA = 0.1
SEED = 2

FILE = PDEBenchFile(
    names=("1D_Advection_Sols_beta0.1.hdf5",),
    folder="1D/Advection/Train",
    layout="arrays",
    fields=("tensor",),
    outputs=(0,),
    n_outputs=1,
    space=("x",),
    bounds=((0.0, 1.0), (0.0, 2.0)),
    interpolation="periodic-cubic",
    parameters={"beta": BETA},
)


class Advection1D(Problem):
    """u_t + β u_x = 0 with β = 0.1, x ∈ (0, 1) periodic, t ∈ (0, 2].

    The initial state is a sum of two sines of wave numbers 1 and 2 with amplitudes 0.81 and 0.30.
    The truth is the exact solution u0(x − βt).

    Source: PDEBench, Takamoto et al., arXiv 2210.07182, where it is ``1D_Advection_Sols_beta0.1``.
    There the wave numbers are random, up to 8, and most states are harder. ``--data-root`` reads
    such a file.

    Weights are 1: the norms of the terms' gradients before training (fnn:40x6, scaled inputs,
    median of 3 seeds) are from 2.1 to 3.0.
    """

    name = "advection-1d"
    outputs = ("u",)
    file = FILE
    terms = (Term("Lf", "residual"), Term("LIC", "initial", 0), Term("LBC", "boundary", 0))

    def own_truth(self, fine: bool) -> Truth:
        initial = periodic_sines(SEED, terms=2, highest=2)
        x = np.linspace(0, 1, 512 if fine else 128, endpoint=False)
        t = np.linspace(0, 2, 101 if fine else 21)
        values = initial(x[:, None] - BETA * t[None, :])
        reference = Reference((x, t), values[..., None], "exact solution", (0.0,))

        def exact(points: np.ndarray) -> np.ndarray:
            return initial(points[:, :1] - BETA * points[:, 1:])

        return Truth(reference, initial, (0,), exact=exact)

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None
        geometry = dde.geometry.GeometryXTime(
            dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2)
        )

        def pde(x: Tensor, u: Tensor) -> Tensor:
            u_x = dde.grad.jacobian(u, x, j=0)
            u_t = dde.grad.jacobian(u, x, j=1)
            return u_t + BETA * u_x

        conditions = [
            initial_condition(geometry, truth, 0),
            dde.icbc.PeriodicBC(geometry, 0, lambda _, on_boundary: on_boundary),
        ]
        return time_pde(geometry, pde, conditions, points, supervised)
