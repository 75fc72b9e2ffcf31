"""Time integration of semi-discrete partial differential equations with a controlled error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.integrate
import scipy.sparse


def integrate_stiff(
    rate: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], scipy.sparse.spmatrix],
    state: np.ndarray,
    times: np.ndarray,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> np.ndarray:
    """Integrate an autonomous stiff system with Radau IIA of order 5 (Hairer & Wanner 1996).

    The tolerances are far below SciPy's defaults (1e-3 and 1e-6), which PDEBench's generators
    use: here the error in space must dominate.

    Args:
        rate: From the state to its time derivative, both of shape ``(n,)``.
        jacobian: From the state to the sparse derivative of `rate`, shape ``(n, n)``.
        state: State at t = 0, shape ``(n,)``.
        times: Ascending times from 0 on, shape ``(n_times,)``.
        rtol, atol: Tolerances of the local error per step.

    Returns:
        States at `times`, shape ``(n_times, n)``.

    Raises:
        RuntimeError: The integrator gave up.
    """
    solution = scipy.integrate.solve_ivp(
        lambda _, y: rate(y),
        (0.0, float(times[-1])),
        state,
        method="Radau",
        t_eval=times,
        jac=lambda _, y: jacobian(y),
        rtol=rtol,
        atol=atol,
    )
    if not solution.success:
        raise RuntimeError(f"Radau failed before t = {times[-1]:g}: {solution.message}")
    return solution.y.T


def _exponential_coefficients(linear: np.ndarray, step: float) -> tuple[np.ndarray, ...]:
    """Coefficients of ETDRK4 for a diagonal operator, by means over a circle around each entry."""
    scaled = step * linear
    roots = np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
    z = scaled[..., None] + roots
    exp = np.exp(z)

    def mean(values: np.ndarray) -> np.ndarray:
        return step * values.mean(axis=-1).real

    return (
        np.exp(scaled),
        np.exp(0.5 * scaled),
        mean((np.exp(0.5 * z) - 1.0) / z),
        mean((-4.0 - z + exp * (4.0 - 3.0 * z + z**2)) / z**3),
        mean((2.0 + z + exp * (z - 2.0)) / z**3),
        mean((-4.0 - 3.0 * z - z**2 + exp * (4.0 - z)) / z**3),
    )


def integrate_exponential(
    linear: np.ndarray,
    nonlinear: Callable[[np.ndarray], np.ndarray],
    state: np.ndarray,
    times: np.ndarray,
    *,
    longest_step: float,
) -> np.ndarray:
    """Integrate ``y' = L y + N(y)`` with a real diagonal L by ETDRK4 (Cox & Matthews 2002).

    The coefficients are contour means (Kassam & Trefethen 2005), which do not lose
    digits where L is near 0. The linear part is exact; the error is of fourth order in the step.

    Args:
        linear: Diagonal of L, of the state's shape.
        nonlinear: N, from a state to an array of its shape.
        state: State at t = 0, any shape.
        times: Ascending times from 0 on, shape ``(n_times,)``; each is met exactly.
        longest_step: Upper bound of the step.

    Returns:
        States at `times`, shape ``(n_times, *state.shape)``.
    """
    states = np.empty((len(times), *state.shape))
    now, last_step = 0.0, 0.0
    coefficients: tuple[np.ndarray, ...] = ()
    for i, time in enumerate(times):
        steps = int(np.ceil((time - now) / longest_step - 1e-9))
        # Equal intervals differ by rounding only: the coefficients are kept for all of them.
        step = float(f"{(time - now) / steps:.12e}") if steps else 0.0
        if steps and step != last_step:
            coefficients, last_step = _exponential_coefficients(linear, step), step
        for _ in range(steps):
            full, half, phi, first, middle, last = coefficients
            at_start = nonlinear(state)
            start = half * state
            a = start + phi * at_start
            at_a = nonlinear(a)
            at_b = nonlinear(start + phi * at_a)
            at_end = nonlinear(half * a + phi * (2.0 * at_b - at_start))
            state = full * state + first * at_start + 2.0 * middle * (at_a + at_b) + last * at_end
        states[i] = state
        now = time
    return states
