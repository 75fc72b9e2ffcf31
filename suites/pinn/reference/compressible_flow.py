"""Ground truth of the one-dimensional compressible Euler equations on a periodic interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from suites.pinn.reference.arguments import check_axis, check_cells, check_times
from suites.pinn.reference.convergence import richardson
from suites.pinn.reference.finite_volume import (
    Boundary,
    FiniteVolume,
    cell_averages,
    contact_speed,
    einfeldt_speeds,
    point_values,
)
from suites.pinn.reference.reference import Reference

_PERIODIC: tuple[Boundary, Boundary] = ("periodic", "periodic")


@dataclass(frozen=True)
class Euler:
    """Euler equations of an ideal gas; primitive (ρ, u, p), conserved (ρ, ρu, E).

    ρ_t + (ρu)_x = 0, (ρu)_t + (ρu² + p)_x = 0, E_t + (u(E + p))_x = 0 with
    E = p/(γ − 1) + ½ρu² (Toro 2009, equation 3.1; the problem of Takamoto et al., arXiv
    2210.07182, without viscosity). The pressure gradient has the sign of Newton's law, +p_x.

    Attributes:
        gamma: Ratio of the specific heats, γ > 1.
    """

    gamma: float = 5.0 / 3.0

    def conserved(self, primitive: np.ndarray) -> np.ndarray:
        density, velocity, pressure = primitive
        momentum = density * velocity
        energy = pressure / (self.gamma - 1.0) + 0.5 * momentum * velocity
        return np.stack([density, momentum, energy])

    def primitive(self, conserved: np.ndarray) -> np.ndarray:
        density, momentum, energy = conserved
        velocity = momentum / density
        pressure = (self.gamma - 1.0) * (energy - 0.5 * momentum * velocity)
        if not (density.min() > 0 and pressure.min() > 0):
            raise FloatingPointError("density or pressure of the flow is not positive")
        return np.stack([density, velocity, pressure])

    def flux(self, primitive: np.ndarray) -> np.ndarray:
        density, velocity, pressure = primitive
        mass = density * velocity
        enthalpy = self.gamma / (self.gamma - 1.0) * pressure + 0.5 * mass * velocity
        return np.stack([mass, mass * velocity + pressure, velocity * enthalpy])

    def sound_speed(self, primitive: np.ndarray) -> np.ndarray:
        return np.sqrt(self.gamma * primitive[2] / primitive[0])

    def wave_speeds(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sound = self.sound_speed(left), self.sound_speed(right)
        # The Roe mean: u and the total enthalpy H weighted by √ρ, c² = (γ − 1)(H − ½u²).
        root_left, root_right = np.sqrt(left[0]), np.sqrt(right[0])
        weight = root_left / (root_left + root_right)
        mean_velocity = weight * left[1] + (1.0 - weight) * right[1]
        mean_square = (
            weight * sound[0] ** 2
            + (1.0 - weight) * sound[1] ** 2
            + 0.5 * (self.gamma - 1.0) * weight * (1.0 - weight) * (right[1] - left[1]) ** 2
        )
        slow, fast = einfeldt_speeds(
            (left[1], right[1]), sound, mean_velocity, np.sqrt(mean_square)
        )
        contact = contact_speed(
            (left[0], right[0]), (left[1], right[1]), (left[2], right[2]), slow, fast
        )
        return slow, contact, fast

    def star_state(
        self, primitive: np.ndarray, speed: np.ndarray, contact: np.ndarray
    ) -> np.ndarray:
        density, velocity, pressure = primitive
        relative = speed - velocity
        star = density * relative / (speed - contact)
        specific = pressure / ((self.gamma - 1.0) * density) + 0.5 * velocity**2
        work = (contact - velocity) * (contact + pressure / (density * relative))
        return np.stack([star, star * contact, star * (specific + work)])


def evolve(
    initial: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    points: np.ndarray,
    cells: int,
    gamma: float = 5.0 / 3.0,
) -> np.ndarray:
    """The flow on (0, 1) at one resolution.

    Args:
        initial: From x of shape ``(m,)`` to (ρ, u, p) of shape ``(3, m)``, with period 1.
        times: Ascending times from 0 on, shape ``(n_times,)``.
        points: Points at which the solution is wanted, shape ``(n_points,)``.
        cells: Number of cells.
        gamma: Ratio of the specific heats.

    Returns:
        (ρ, u, p) in the last axis, shape ``(n_points, n_times, 3)``.
    """
    law = Euler(gamma)
    scheme = FiniteVolume(law, (1.0 / cells,), (_PERIODIC,))
    averages = cell_averages(
        lambda x: law.conserved(np.asarray(initial(x))), np.linspace(0.0, 1.0, cells + 1)
    )
    values = np.empty((len(points), len(times), 3))
    now = 0.0
    for i, time in enumerate(times):
        if time == 0:
            values[:, i] = np.asarray(initial(np.asarray(points))).T
            continue
        averages = scheme.advance(averages, time - now)
        now = time
        at_points = point_values(averages, 0.0, 1.0 / cells, _PERIODIC, points)
        values[:, i] = law.primitive(at_points).T
    return values


def solve(
    initial: Callable[[np.ndarray], np.ndarray],
    times: Sequence[float] | np.ndarray,
    points: Sequence[float] | np.ndarray,
    cells: int = 2048,
    gamma: float = 5.0 / 3.0,
) -> Reference:
    """Ground truth of the compressible flow, with an error estimate from three resolutions.

    Args:
        initial: From x of shape ``(m,)`` to (ρ, u, p) of shape ``(3, m)``, with period 1.
        times: Ascending times from 0 on; at t = 0 the result is the exact initial state.
        points: Ascending points in [0, 1].
        cells: Number of cells of the finest grid, a multiple of 4.
        gamma: Ratio of the specific heats, γ > 1.

    Returns:
        Axes (x, t), outputs (ρ, u, p).

    Raises:
        ValueError: `cells` is not a positive multiple of 4, or the times or points do not fit.
        FloatingPointError: The flow reaches a vacuum.
    """
    times, points = np.asarray(times, dtype=float), np.asarray(points, dtype=float)
    check_cells(cells)
    check_times(times)
    check_axis(points, 0, 1)
    coarse, medium, fine = (
        evolve(initial, times, points, n, gamma) for n in (cells // 4, cells // 2, cells)
    )
    error, order = richardson(coarse, medium, fine)
    return Reference(
        axes=(points, times),
        values=fine,
        method=f"finite volumes, MUSCL + HLLC, {cells} cells",
        error=error,
        order=order,
    )
