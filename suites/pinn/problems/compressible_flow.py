"""1-D compressible flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import initial_condition, time_pde
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.problem import Points, Problem, Term
from suites.pinn.problems.truth import Supervised, Truth
from suites.pinn.reference.cache import cached
from suites.pinn.reference.initial_states import compressible_state
from suites.pinn.reference.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

GAMMA = 5 / 3
SEED = 0
MACH, HIGHEST = 0.07, 1

FILE = PDEBenchFile(
    names=("1D_CFD_Rand_Eta1.e-8_Zeta1.e-8_periodic_Train.hdf5",),
    folder="1D/CFD/Train",
    layout="arrays",
    fields=("density", "Vx", "pressure"),
    outputs=(0, 1, 2),
    n_outputs=3,
    space=("x",),
    bounds=(None, (0.0, 1.0)),
    interpolation="periodic-cubic",
    parameters={"eta": 1e-8, "zeta": 1e-8},
)


class CompressibleFlow1D(Problem):
    """Euler's equations for an ideal gas, x ∈ (0, 1) periodic, t ∈ (0, 1].

    ρ_t + (ρu)_x = 0;  ρ(u_t + u u_x) + p_x = 0;  E_t + [u(E + p)]_x = 0;
    E = p/(γ − 1) + ½ρu²; γ = 5/3. Outputs: density ρ, velocity u, pressure p.

    The initial state is one density wave on a mean flow with sound waves of wave number 1 and Mach
    0.07, about the strongest that form no shock before t = 1. PDEBench's states are rougher, and
    most of them form shocks. ``--data-root`` reads such a file.

    Source: PDEBench, Takamoto et al., arXiv 2210.07182 (``1D_CFD_Rand_Eta1.e-8_Zeta1.e-8``, whose
    viscosity of 1e-8 is left out). Its PINN code has −p_x in the momentum equation and adds the
    equations before squaring. Here the equations are Euler's, and each has a loss of its own.

    Weights are 1: the norms of the terms' gradients before training (fnn:40x6, scaled inputs,
    median of 3 seeds) are from 2 to 15 for the equations, 4 to 10 for the initial state and 0.7 to
    2.6 for the periods.
    """

    name = "compressible-flow-1d"
    outputs = ("d", "v", "p")
    file = FILE
    terms = (
        Term("Lf_mass", "residual"),
        Term("Lf_momentum", "residual"),
        Term("Lf_energy", "residual"),
        Term("LICd", "initial", 0),
        Term("LICv", "initial", 1),
        Term("LICp", "initial", 2),
        Term("LBCd", "boundary", 0),
        Term("LBCv", "boundary", 1),
        Term("LBCp", "boundary", 2),
    )

    def own_truth(self, fine: bool) -> Truth:
        state = compressible_state(SEED, mach=MACH, highest=HIGHEST)
        cells = 1024 if fine else 128
        x = np.linspace(0, 1, 512 if fine else 64, endpoint=False)
        t = np.linspace(0, 1, 101 if fine else 11)

        def solution() -> Reference:
            from suites.pinn.reference.compressible_flow import solve

            return solve(state, t, x, cells, GAMMA)

        parameters = {
            "state": [SEED, MACH, HIGHEST],
            "gamma": GAMMA,
            "cells": cells,
            "grid": [len(x), len(t)],
        }
        reference = cached(self.name, parameters, self.truth_definition, solution)
        return Truth(reference, lambda points: state(points[:, 0]).T, (0, 1, 2))

    def data(self, truth: Truth | None, points: Points, supervised: Supervised | None) -> Any:
        assert truth is not None
        (left, right), _ = truth.bounds or ((0.0, 1.0), (0.0, 1.0))
        geometry = dde.geometry.GeometryXTime(
            dde.geometry.Interval(left, right), dde.geometry.TimeDomain(0, 1)
        )

        def pde(x: Tensor, y: Tensor) -> list[Tensor]:
            density, velocity, pressure = y[:, 0:1], y[:, 1:2], y[:, 2:3]
            energy = pressure / (GAMMA - 1) + 0.5 * density * velocity**2
            velocity_x = dde.grad.jacobian(y, x, i=1, j=0)
            velocity_t = dde.grad.jacobian(y, x, i=1, j=1)
            density_t = dde.grad.jacobian(y, x, i=0, j=1)
            pressure_x = dde.grad.jacobian(y, x, i=2, j=0)
            mass_flux_x = dde.grad.jacobian(density * velocity, x, i=0, j=0)
            energy_t = dde.grad.jacobian(energy, x, i=0, j=1)
            energy_flux_x = dde.grad.jacobian(velocity * (energy + pressure), x, i=0, j=0)
            return [
                density_t + mass_flux_x,
                density * (velocity_t + velocity * velocity_x) + pressure_x,
                energy_t + energy_flux_x,
            ]

        conditions = [
            *(initial_condition(geometry, truth, output) for output in range(3)),
            *(
                dde.icbc.PeriodicBC(
                    geometry, 0, lambda _, on_boundary: on_boundary, component=output
                )
                for output in range(3)
            ),
        ]
        return time_pde(geometry, pde, conditions, points, supervised)

    def residual_scales(self, scales: Sequence[float]) -> Sequence[float]:
        """C_ρ, C_ρ·C_v and C_p: the units of ρ_t, ρu_t and E_t for x and t of order one."""
        density, velocity, pressure = scales
        return density, density * velocity, pressure
