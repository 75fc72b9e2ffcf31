"""Ground truth of the FitzHugh–Nagumo diffusion–reaction system on a square."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft

from suites.pinn.reference.arguments import check_axis, check_times
from suites.pinn.reference.convergence import relative_l2
from suites.pinn.reference.method_of_lines import integrate_exponential
from suites.pinn.reference.reference import Reference

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def evolve(
    initial: Sequence[Field],
    diffusivities: Sequence[float],
    reaction: Callable[[np.ndarray], np.ndarray],
    times: np.ndarray,
    modes: int,
    longest_step: float,
) -> np.ndarray:
    """Cosine coefficients of a diffusion–reaction system on (−1, 1)² without flux at its walls.

    Every field is Σ cₘₙ cos(mπ(x+1)/2) cos(nπ(y+1)/2), which meets the boundary condition term
    by term; the reaction is evaluated at `modes`² cell centres (a type-II cosine transform).

    Args:
        initial: The fields at t = 0, from (x, y) that broadcast to values.
        diffusivities: One per field.
        reaction: From fields of shape ``(n_fields, modes, modes)`` to their sources.
        times: Ascending times from 0 on.
        modes: Number of cosines per direction.
        longest_step: Upper bound of the time step.

    Returns:
        Coefficients c, shape ``(n_times, n_fields, modes, modes)``.
    """
    centres = (2.0 * np.arange(modes) + 1.0) / modes - 1.0
    x, y = np.meshgrid(centres, centres, indexing="ij")
    squares = (0.5 * np.pi * np.arange(modes)) ** 2
    decay = -np.multiply.outer(np.asarray(diffusivities), squares[:, None] + squares)

    def to_fields(coefficients: np.ndarray) -> np.ndarray:
        return scipy.fft.idctn(coefficients, axes=(-2, -1), norm="ortho")

    def to_coefficients(fields: np.ndarray) -> np.ndarray:
        return scipy.fft.dctn(fields, axes=(-2, -1), norm="ortho")

    start = to_coefficients(np.stack([np.broadcast_to(f(x, y), x.shape) for f in initial]))
    states = integrate_exponential(
        decay,
        lambda c: to_coefficients(reaction(to_fields(c))),
        start,
        times,
        longest_step=longest_step,
    )
    # From the orthonormal transform to plain coefficients of the cosines.
    norm = np.where(np.arange(modes) == 0, 1.0, np.sqrt(2.0)) / np.sqrt(modes)
    return states * norm[:, None] * norm


def at_points(coefficients: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cosine series on a tensor grid: shape ``(..., modes, modes)`` to ``(..., n_x, n_y)``."""
    numbers = np.arange(coefficients.shape[-1])
    along_x = np.cos(0.5 * np.pi * (x[:, None] + 1.0) * numbers)
    along_y = np.cos(0.5 * np.pi * (y[:, None] + 1.0) * numbers)
    return along_x @ coefficients @ along_y.T


def solve(
    initial_u: Field,
    initial_v: Field,
    times: Sequence[float] | np.ndarray,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    diffusivity_u: float = 1e-3,
    diffusivity_v: float = 5e-3,
    k: float = 5e-3,
    modes: int = 128,
    longest_step: float = 0.0125,
) -> Reference:
    """Ground truth of u_t = D_u Δu + u − u³ − k − v, v_t = D_v Δv + u − v on (−1, 1)².

    FitzHugh–Nagumo kinetics with no-flow walls (Takamoto et al., arXiv 2210.07182). The initial
    fields must be smooth and without flux through the walls. Otherwise the cosine series converges
    slowly, and the error estimate says so.

    Args:
        initial_u, initial_v: From (x, y) that broadcast to u and v at t = 0.
        times: Ascending times from 0 on; at t = 0 the result is the exact initial state.
        x, y: Ascending coordinates in [−1, 1].
        diffusivity_u, diffusivity_v: D_u and D_v.
        k: Reaction constant.
        modes: Number of cosines per direction, even and at least 8.
        longest_step: Upper bound of the time step.

    Returns:
        Axes (x, y, t), outputs (u, v). The error estimate is the sum of two changes: with half the
        cosines, and with half the time step. So it bounds the error of this solution. A spectral
        method has no order.

    Raises:
        ValueError: `modes` is odd or below 8, or the times or coordinates do not fit.
    """
    times, x, y = (np.asarray(axis, dtype=float) for axis in (times, x, y))
    if modes < 8 or modes % 2:
        raise ValueError(f"modes must be even and at least 8, not {modes}")
    check_times(times)
    for axis in (x, y):
        check_axis(axis, -1, 1, "coordinates")

    def reaction(fields: np.ndarray) -> np.ndarray:
        u, v = fields
        return np.stack([u - u**3 - k - v, u - v])

    def run(n: int, step: float) -> np.ndarray:
        coefficients = evolve(
            (initial_u, initial_v), (diffusivity_u, diffusivity_v), reaction, times, n, step
        )
        values = np.moveaxis(at_points(coefficients, x, y), (0, 1), (2, 3))
        if times[0] == 0:
            for output, initial in enumerate((initial_u, initial_v)):
                values[:, :, 0, output] = initial(x[:, None], y)
        return values

    fine = run(modes, longest_step)
    half = run(modes // 2, longest_step)
    in_space = relative_l2(half, fine)
    in_time = relative_l2(half, run(modes // 2, 0.5 * longest_step))
    return Reference(
        axes=(x, y, times),
        values=fine,
        method=f"cosine series, {modes}² modes, ETDRK4 with steps of at most {longest_step:g}",
        error=tuple(float(e) for e in in_space + in_time),
    )
