"""Time integrators: order, tolerance, exactness of the linear part."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from suites.pinn.reference.method_of_lines import integrate_exponential, integrate_stiff

TIMES = np.array([0.0, 0.3, 1.0])


def test_a_stiff_system_is_as_accurate_as_its_tolerance() -> None:
    """y₁' = −1000 (y₁ − y₂²), y₂' = −y₂: y₂ = e^−t and y₁ = 1000/998 (e^−2t − …)."""

    def rate(y):
        return np.array([-1000.0 * (y[0] - y[1] ** 2), -y[1]])

    def jacobian(y):
        return scipy.sparse.csc_matrix([[-1000.0, 2000.0 * y[1]], [0.0, -1.0]])

    # y₁ = A e^−2t solves it for A = 1000/998.
    start = np.array([1000 / 998, 1.0])
    exact = np.stack([start[0] * np.exp(-2 * TIMES), np.exp(-TIMES)], axis=-1)
    loose, tight = (
        np.abs(integrate_stiff(rate, jacobian, start, TIMES, rtol=r, atol=r) - exact).max()
        for r in (1e-4, 1e-9)
    )
    assert tight < 1e-8
    assert loose > 30 * tight
    default = integrate_stiff(rate, jacobian, start, TIMES)
    np.testing.assert_allclose(default, exact, rtol=1e-7)


def test_a_failed_integration_is_reported() -> None:
    with pytest.raises(RuntimeError, match="Radau failed"):
        integrate_stiff(
            lambda y: y**2,
            lambda y: scipy.sparse.csc_matrix([[2.0 * y[0]]]),
            np.array([1.0]),
            np.array([2.0]),
        )


def test_the_linear_part_is_exact() -> None:
    linear = np.array([0.0, -1e-9, -1.0, -1e5])
    states = integrate_exponential(linear, np.zeros_like, np.ones(4), TIMES, longest_step=0.5)
    np.testing.assert_allclose(states, np.exp(np.multiply.outer(TIMES, linear)), rtol=1e-13)


def test_etdrk4_has_fourth_order() -> None:
    """The logistic equation y' = y − y² split into both parts."""
    exact = 1.0 / (1.0 + 9.0 * np.exp(-TIMES))
    errors = [
        np.abs(
            integrate_exponential(
                np.ones(1), lambda y: -(y**2), np.array([0.1]), TIMES, longest_step=step
            )[:, 0]
            - exact
        ).max()
        for step in (0.1, 0.05, 0.025)
    ]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders.min() > 3.7, orders
    assert errors[-1] < 1e-8


def test_unequal_intervals_are_met_exactly() -> None:
    times = np.array([0.013, 0.5, 0.50001, 1.7])
    states = integrate_exponential(
        np.array([-1.0]), lambda y: np.ones(1), np.zeros(1), times, longest_step=0.1
    )
    np.testing.assert_allclose(states[:, 0], 1 - np.exp(-times), rtol=1e-10)
