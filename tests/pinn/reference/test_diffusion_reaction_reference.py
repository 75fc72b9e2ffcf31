"""Diffusion–reaction: exact modes, conservation, kinetics, an independent discretisation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

from suites.pinn.reference.convergence import relative_l2
from suites.pinn.reference.diffusion_reaction import at_points, evolve, solve
from suites.pinn.reference.initial_states import band_limited_field

X = np.linspace(-1.0, 1.0, 17)


def test_a_cosine_mode_decays_exactly() -> None:
    def mode(x, y):
        return np.cos(1.5 * np.pi * (x + 1)) * np.cos(np.pi * (y + 1))

    times = np.array([0.0, 0.7, 5.0])
    coefficients = evolve((mode,), (0.02,), np.zeros_like, times, 16, 0.5)
    values = at_points(coefficients, X, X)[:, 0]
    decay = np.exp(-0.02 * (1.5**2 + 1.0) * np.pi**2 * times)
    exact = decay[:, None, None] * mode(X[:, None], X)
    np.testing.assert_allclose(values, exact, atol=1e-13)


def test_pure_diffusion_keeps_the_amount_and_lets_nothing_out() -> None:
    def bump(x, y):
        return np.exp(-3 * (x - 0.4) ** 2 - 5 * (y + 0.3) ** 2)

    times = np.array([0.0, 1.0, 200.0])
    coefficients = evolve((bump,), (0.05,), np.zeros_like, times, 32, 0.5)[:, 0]
    np.testing.assert_allclose(coefficients[:, 0, 0], coefficients[0, 0, 0], rtol=1e-14)
    final = at_points(coefficients[2], X, X)
    np.testing.assert_allclose(final, coefficients[0, 0, 0], rtol=1e-9)
    near = at_points(coefficients[1], np.array([1.0 - 1e-4, 1.0]), X)
    inside = at_points(coefficients[1], np.array([0.5, 0.5 + 1e-4]), X)
    assert np.abs(np.diff(near, axis=0)).max() < 1e-3 * np.abs(np.diff(inside, axis=0)).max()


def test_uniform_fields_follow_the_kinetics() -> None:
    times = np.linspace(0.0, 5.0, 6)
    reference = solve(
        lambda x, y: 0 * (x + y) + 0.8, lambda x, y: 0 * (x + y) - 0.2, times, X, X, modes=8
    )
    kinetics = scipy.integrate.solve_ivp(
        lambda _, w: [w[0] - w[0] ** 3 - 5e-3 - w[1], w[0] - w[1]],
        (0.0, 5.0),
        [0.8, -0.2],
        t_eval=times,
        method="DOP853",
        rtol=1e-12,
        atol=1e-12,
    )
    exact = np.broadcast_to(kinetics.y.T, reference.values.shape)
    np.testing.assert_allclose(reference.values, exact, atol=1e-8)


def finite_differences(u0, v0, cells: int, time: float) -> np.ndarray:
    """(u, v) at cell centres by the five-point stencil with mirrored ghost cells."""
    width = 2.0 / cells
    centres = (np.arange(cells) + 0.5) * width - 1.0

    def laplacian(field):
        padded = np.pad(field, 1, mode="edge")
        neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        return (neighbours - 4 * field) / width**2

    def rate(_, state):
        u, v = state.reshape(2, cells, cells)
        return np.stack(
            [1e-3 * laplacian(u) + u - u**3 - 5e-3 - v, 5e-3 * laplacian(v) + u - v]
        ).ravel()

    start = np.stack([f(centres[:, None], centres) for f in (u0, v0)])
    solution = scipy.integrate.solve_ivp(
        rate, (0.0, time), start.ravel(), method="DOP853", rtol=1e-8, atol=1e-8
    )
    return np.moveaxis(solution.y[:, -1].reshape(2, cells, cells), 0, -1)


def test_finite_differences_converge_to_the_series_with_second_order() -> None:
    u0, v0 = band_limited_field(0, 4), band_limited_field(1, 4)
    errors = []
    for cells in (24, 48):
        centres = (np.arange(cells) + 0.5) * 2 / cells - 1
        truth = solve(u0, v0, [2.0], centres, centres, modes=64, longest_step=0.025)
        errors.append(relative_l2(finite_differences(u0, v0, cells, 2.0), truth.values[:, :, 0]))
    orders = np.log2(errors[0] / errors[1])
    assert orders.min() > 1.8, orders
    assert errors[1].max() < 1e-2


def test_the_estimate_bounds_the_error() -> None:
    u0, v0 = band_limited_field(0, 4), band_limited_field(1, 4)
    times = np.array([0.0, 1.0, 2.5])
    truth = solve(u0, v0, times, X, X, modes=96, longest_step=0.0125)
    assert max(truth.error) < 1e-3
    for modes, step in ((32, 0.0125), (64, 0.125)):  # limited by space, then by time
        reference = solve(u0, v0, times, X, X, modes=modes, longest_step=step)
        actual = relative_l2(reference.values, truth.values)
        assert (actual > 1e-7).all()
        assert (np.asarray(reference.error) > actual).all()


def test_the_initial_state_is_exact_and_the_time_axis_last() -> None:
    u0, v0 = band_limited_field(2), band_limited_field(3)
    y = np.linspace(-1.0, 1.0, 5)
    reference = solve(u0, v0, [0.0, 0.1], X, y, modes=32)
    assert reference.values.shape == (17, 5, 2, 2)
    np.testing.assert_array_equal(reference.values[:, :, 0, 0], u0(X[:, None], y))
    np.testing.assert_array_equal(reference.values[:, :, 0, 1], v0(X[:, None], y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modes": 9}, "modes"),
        ({"times": [0.1, 0.1]}, "times"),
        ({"x": [-1.1, 0.0]}, "coordinates"),
    ],
)
def test_bad_input_is_refused(change, message) -> None:
    arguments = {"times": [0.0, 0.1], "x": [0.0], "y": [0.0], "modes": 8} | change
    with pytest.raises(ValueError, match=message):
        solve(band_limited_field(0), band_limited_field(1), **arguments)
