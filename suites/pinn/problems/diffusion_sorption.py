"""1-D diffusion–sorption."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import initial_condition, time_pde
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.problem import Points, Problem, PublishedSetup, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.cache import cached
from suites.pinn.reference.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

D, POROSITY, RHO_S, K_F, N_F = 5e-4, 0.29, 2880.0, 3.5e-4, 0.874
INITIAL = 0.1

FILE = PDEBenchFile(
    names=("1D_diff-sorp_NA_NA.h5",),
    folder="1D/diffusion-sorption",
    layout="groups",
    fields=("u",),
    outputs=(0,),
    n_outputs=1,
    space=("x",),
    bounds=((0.0, 1.0), (0.0, 500.0)),
    interpolation="linear",
    parameters={"D": D, "por": POROSITY, "rho_s": RHO_S, "k_f": K_F, "n_f": N_F},
)


class DiffusionSorption1D(Problem):
    """u_t = D/R(u) u_xx on x ∈ (0, 1), t ∈ (0, 500].

    R(u) = 1 + (1 − φ)/φ · ρ_s k n_f (u + 1e-6)^(n_f − 1) (Freundlich isotherm); D = 5e-4,
    φ = 0.29, ρ_s = 2880, k = 3.5e-4, n_f = 0.874. u(0, t) = 1 and outflow u(1, t) = −D u_x(1, t).

    Source: PDEBench, Takamoto et al., arXiv 2210.07182 (``1D_diff-sorp_NA_NA``). Where it
    disagrees with itself: the outflow is −D u_x, as in its generator (its PINN has +D u_x, which is
    ill-posed); the initial state is the constant 0.1, the mean of its generator's random constants
    in (0, 0.2) (its PINN has 0).

    R(u) is taken at max(0, u), since the power of a negative number is NaN. The published network
    ends in a ReLU instead. Where u > 0 the two are the same. Elsewhere the published network has no
    gradient, and it often dies altogether (14 of 20 seeds of irelu+lsuv within 100 steps), so that
    luck would rank the arms. It is the variant `DiffusionSorptionReLU1D`.

    Weights: with t up to 500 scaled to τ in [−1, 1], dt = 250 dτ, and the residual in units of τ is
    250 times that in t, so its square has the weight 250². The norm of its gradient before training
    (fnn:40x6, scaled inputs, median of 3 seeds) is 3.3e-5 unweighted and 2.1 weighted; of the
    conditions' terms it is from 1.3 to 7.5.
    """

    name = "diffusion-sorption-1d"
    outputs = ("u",)
    file = FILE
    terms = (
        Term("Lf", "residual"),
        Term("LIC", "initial", 0),
        Term("LBC_inflow", "boundary", 0),
        Term("LBC_outflow", "boundary", 0),
    )
    published = PublishedSetup(supervised=0.3)
    weights: Mapping[str, float] = MappingProxyType({"Lf": 250.0**2})

    def own_truth(self, fine: bool) -> Truth:
        cells = 1024 if fine else 64
        x = np.linspace(0, 1, 513 if fine else 65)
        t = np.linspace(0, 500, 101 if fine else 11)

        def solution() -> Reference:
            from suites.pinn.reference.diffusion_sorption import Sorption, solve

            return solve(t, x, INITIAL, cells, Sorption(D, POROSITY, RHO_S, K_F, N_F))

        parameters = {
            "initial": INITIAL,
            "coefficients": [D, POROSITY, RHO_S, K_F, N_F],
            "cells": cells,
            "grid": [len(x), len(t)],
        }
        reference = cached("diffusion-sorption-1d", parameters, self.truth_definition, solution)
        return Truth(reference, lambda points: np.full((len(points), 1), INITIAL), (0,))

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None
        geometry = dde.geometry.GeometryXTime(
            dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 500)
        )

        def pde(x: Tensor, u: Tensor) -> Tensor:
            u_t = dde.grad.jacobian(u, x, j=1)
            u_xx = dde.grad.hessian(u, x, i=0, j=0)
            power = (u.relu() + 1e-6) ** (N_F - 1)
            retardation = 1 + (1 - POROSITY) / POROSITY * RHO_S * K_F * N_F * power
            return u_t - D / retardation * u_xx

        def outflow(x: Tensor, u: Tensor, _: np.ndarray) -> Tensor:
            return u + D * dde.grad.jacobian(u, x, j=0)

        conditions = [
            initial_condition(geometry, truth, 0),
            dde.icbc.DirichletBC(
                geometry, lambda x: 1.0, lambda x, on_boundary: on_boundary and np.isclose(x[0], 0)
            ),
            dde.icbc.OperatorBC(
                geometry, outflow, lambda x, on_boundary: on_boundary and np.isclose(x[0], 1)
            ),
        ]
        return time_pde(geometry, pde, conditions, points, supervised)


class DiffusionSorptionReLU1D(DiffusionSorption1D):
    """The same with the published network's last ReLU. Seeds that die are flagged `collapsed`."""

    name = "diffusion-sorption-1d-relu"

    def output_transform(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """max(0, u), as published."""
        del inputs
        return outputs.relu()
