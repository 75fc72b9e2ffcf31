"""Ground truth of the diffusion–sorption equation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.interpolate
import scipy.sparse

from suites.pinn.reference.arguments import check_axis, check_cells, check_times
from suites.pinn.reference.convergence import relative_l2, richardson
from suites.pinn.reference.method_of_lines import integrate_stiff
from suites.pinn.reference.reference import Reference

_RTOL = 1e-8
_ATOL = 1e-11
_CLUSTERING = 2.0  # cells at the ends are 1/14 of those in the middle


@dataclass(frozen=True)
class Sorption:
    """A porous medium with Freundlich sorption (Takamoto et al., arXiv 2210.07182).

    Attributes:
        diffusivity: Effective diffusion coefficient D.
        porosity: φ.
        bulk_density: ρ_s; 0 leaves linear diffusion (R = 1).
        freundlich_k: k.
        freundlich_n: n_f.
        shift: Added to u within the power, whose derivative is singular at 0.
    """

    diffusivity: float = 5e-4
    porosity: float = 0.29
    bulk_density: float = 2880.0
    freundlich_k: float = 3.5e-4
    freundlich_n: float = 0.874
    shift: float = 1e-6

    def retardation(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R(u) = 1 + (1 − φ)/φ ρ_s k n_f (u + shift)^(n_f − 1) and dR/du."""
        factor = (
            (1.0 - self.porosity)
            / self.porosity
            * self.bulk_density
            * self.freundlich_k
            * self.freundlich_n
        )
        # The integrator may try states just below 0, where the power does not exist; u itself
        # stays in [0, 1] by the maximum principle.
        base = np.maximum(u, 0.0) + self.shift
        power = factor * base ** (self.freundlich_n - 1.0)
        slope = np.where(u > 0, (self.freundlich_n - 1.0) * power / base, 0.0)
        return 1.0 + power, slope


def _constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.full(np.shape(x), value)


def _grid(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices on [0, 1] that cluster smoothly at both ends, with their uniform parameter.

    Both ends may start incompatible: u jumps to 1 at x = 0, and to almost 0 at x = 1.
    """
    parameter = np.linspace(0.0, 1.0, cells + 1)
    stretched = np.tanh(_CLUSTERING * (2.0 * parameter - 1.0)) / np.tanh(_CLUSTERING)
    x = 0.5 * (1.0 + stretched)
    x[0], x[-1] = 0.0, 1.0
    return parameter, x


def evolve(
    initial: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    points: np.ndarray,
    cells: int,
    medium: Sorption,
    rtol: float = _RTOL,
    atol: float = _ATOL,
) -> np.ndarray:
    """The concentration at one resolution, shape ``(n_points, n_times, 1)``.

    Vertex-centred second-order differences; at x = 1 the half cell's outer flux is the boundary
    condition's, u_x = −u/D (the ghost point of a uniform grid).

    Args:
        initial: From x of shape ``(m,)`` to u at t = 0.
        times: Ascending times from 0 on.
        points: Points in [0, 1] at which the solution is wanted.
        cells: Number of intervals of the grid.
        medium: The coefficients.
        rtol, atol: Tolerances of the time integration.
    """
    parameter, x = _grid(cells)
    width = np.diff(x)
    control = 0.5 * np.r_[width[:-1] + width[1:], width[-1]]
    below = 1.0 / (width * control)
    above = np.r_[1.0 / (width[1:] * control[:-1]), 0.0]
    outflow = np.zeros(cells)
    outflow[-1] = 1.0 / (medium.diffusivity * control[-1])
    laplacian = scipy.sparse.diags(
        [below[1:], -below - above - outflow, above[:-1]], (-1, 0, 1), format="csc"
    )
    inflow = np.zeros(cells)
    inflow[0] = below[0]

    def rate(u: np.ndarray) -> np.ndarray:
        return medium.diffusivity / medium.retardation(u)[0] * (laplacian @ u + inflow)

    def jacobian(u: np.ndarray) -> scipy.sparse.spmatrix:
        retardation, slope = medium.retardation(u)
        ratio = medium.diffusivity / retardation
        change = -ratio * slope / retardation * (laplacian @ u + inflow)
        return (scipy.sparse.diags(ratio) @ laplacian + scipy.sparse.diags(change)).tocsc()

    states = integrate_stiff(rate, jacobian, initial(x[1:]), times, rtol=rtol, atol=atol)
    states = np.concatenate([np.ones((len(times), 1)), states], axis=1)
    # The inverse of the grid's stretching.
    at = 0.5 + 0.5 * np.arctanh((2.0 * points - 1.0) * np.tanh(_CLUSTERING)) / _CLUSTERING
    values = scipy.interpolate.CubicSpline(parameter, states.T)(np.clip(at, 0.0, 1.0))
    if times[0] == 0:
        values[:, 0] = np.where(points > 0, initial(points), 1.0)
    return values[..., None]


def solve(
    times: Sequence[float] | np.ndarray,
    points: Sequence[float] | np.ndarray,
    initial: float | Callable[[np.ndarray], np.ndarray] = 0.0,
    cells: int = 1024,
    medium: Sorption | None = None,
) -> Reference:
    """Ground truth of u_t = D/R(u) u_xx with u(0, t) = 1 and outflow at x = 1.

    The outflow is u(1, t) = −D u_x(1, t), the sign of PDEBench's generator; with the opposite
    sign, that of its PINN, the problem is ill-posed. At t = 0 the initial state holds for x > 0
    and the boundary value 1 at x = 0, where the two jump.

    Args:
        times: Ascending times from 0 on.
        points: Ascending points in [0, 1].
        initial: Initial concentration in [0, 1], a constant or from x of shape ``(m,)``.
        cells: Number of intervals of the finest grid, a multiple of 4.
        medium: The coefficients; the problem's own by default.

    Returns:
        Axes (x, t), output u. The error estimate is the sum of the grid's and the tolerances'
        error; the latter comes from a run with tolerances 30 times as large.

    Raises:
        ValueError: `cells` is not a positive multiple of 4, or the times or points do not fit.
        RuntimeError: The time integration failed.
    """
    times, points = np.asarray(times, dtype=float), np.asarray(points, dtype=float)
    medium = Sorption() if medium is None else medium
    check_cells(cells)
    check_times(times)
    check_axis(points, 0, 1)
    start = initial if callable(initial) else _constant(float(initial))
    coarse, middle, fine = (
        evolve(start, times, points, n, medium) for n in (cells // 4, cells // 2, cells)
    )
    (in_space,), order = richardson(coarse, middle, fine)
    loose = evolve(start, times, points, cells // 4, medium, 30.0 * _RTOL, 30.0 * _ATOL)
    in_time = float(relative_l2(loose, coarse)[0])
    return Reference(
        axes=(points, times),
        values=fine,
        method=f"vertex-centred differences, {cells} intervals, Radau with rtol {_RTOL:g}",
        error=(in_space + in_time,),
        order=order,
    )
