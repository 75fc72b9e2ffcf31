"""Diffusion–sorption: linear series solution, self-similar solution, order, tolerances."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from suites.pinn.reference.convergence import relative_l2
from suites.pinn.reference.diffusion_sorption import Sorption, evolve, solve

POINTS = np.linspace(0.0, 1.0, 101)


def linear_series(times: np.ndarray, points: np.ndarray, diffusivity: float) -> np.ndarray:
    """Exact u_t = D u_xx with u(0) = 1, u(1) = −D u_x(1) and u = 0 at first."""
    slope = 1.0 / (1.0 + diffusivity)
    x, weights = np.polynomial.legendre.leggauss(600)
    x, weights = 0.5 * (x + 1), 0.5 * weights
    u = np.repeat((1 - slope * points)[:, None], len(times), axis=1)
    for n in range(1, 80):
        root = scipy.optimize.brentq(
            lambda k: np.sin(k) + diffusivity * k * np.cos(k), (n - 0.5) * np.pi, n * np.pi
        )
        mode = np.sin(root * x)
        weight = -(weights * (1 - slope * x)) @ mode / (weights @ mode**2)
        u += np.multiply.outer(
            weight * np.sin(root * points), np.exp(-diffusivity * root**2 * times)
        )
    return u


@pytest.mark.parametrize("diffusivity", [0.5, 5e-4])
def test_linear_diffusion_with_a_robin_end_has_second_order(diffusivity: float) -> None:
    times = np.array([0.02, 0.1, 0.5]) / diffusivity
    exact = linear_series(times, POINTS, diffusivity)
    medium = Sorption(diffusivity=diffusivity, bulk_density=0.0)
    errors = [
        relative_l2(evolve(np.zeros_like, times, POINTS, n, medium)[..., 0:1], exact[..., None])[0]
        for n in (32, 64, 128)
    ]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders.min() > 1.8, orders
    assert errors[-1] < 1e-4


def similarity_solution(eta: np.ndarray, medium: Sorption) -> np.ndarray:
    """u(x/√t) on a half line: f'' = −½ η R(f)/D f', f(0) = 1, f(∞) = 0, by iteration."""
    grid = np.linspace(0.0, 0.12, 40001)
    f = np.exp(-((grid / 0.02) ** 2))
    for _ in range(200):
        factor = (
            (1 - medium.porosity)
            / medium.porosity
            * medium.bulk_density
            * medium.freundlich_k
            * medium.freundlich_n
        )
        retardation = 1 + factor * (f + medium.shift) ** (medium.freundlich_n - 1)
        exponent = scipy.integrate.cumulative_simpson(
            0.5 * grid * retardation / medium.diffusivity, x=grid, initial=0.0
        )
        integral = scipy.integrate.cumulative_simpson(np.exp(-exponent), x=grid, initial=0.0)
        new = np.maximum(1.0 - integral / integral[-1], 0.0)
        change, f = np.abs(new - f).max(), new
        if change < 1e-13:
            break
    else:
        raise AssertionError("the iteration for the similarity solution does not converge")
    return np.interp(eta, grid, f, right=0.0)


def test_the_early_solution_is_the_self_similar_one() -> None:
    times = np.array([5.0, 15.0, 30.0])
    exact = similarity_solution(POINTS[:, None] / np.sqrt(times), Sorption())
    assert exact[POINTS > 0.9].max() < 1e-9  # the end is not felt yet
    reference = solve(times, POINTS, cells=512)
    actual = relative_l2(reference.values, exact[..., None])[0]
    assert actual < 1e-4
    assert 0.3 < reference.error[0] / actual < 3.0


def test_the_order_is_two_and_the_estimate_holds() -> None:
    times = np.linspace(0.0, 500.0, 6)
    reference = solve(times, POINTS, cells=256)
    assert 1.8 < reference.order < 2.2
    finer = evolve(np.zeros_like, times, POINTS, 1024, Sorption())
    actual = relative_l2(reference.values, finer)[0]
    assert 0.5 < reference.error[0] / actual < 2.0
    assert reference.error[0] < 1e-4


def test_the_time_integration_is_not_the_limit() -> None:
    times = np.linspace(0.0, 500.0, 6)
    tight = evolve(np.zeros_like, times, POINTS, 64, Sorption(), 1e-11, 1e-13)
    default = evolve(np.zeros_like, times, POINTS, 64, Sorption())
    scipys = evolve(np.zeros_like, times, POINTS, 64, Sorption(), 1e-3, 1e-6)
    assert relative_l2(default, tight)[0] < 1e-7
    assert relative_l2(scipys, tight)[0] > 30 * relative_l2(default, tight)[0]


def test_boundary_and_initial_values_and_bounds() -> None:
    times = np.array([0.0, 1.0, 100.0, 500.0])
    values = solve(times, POINTS, initial=0.1, cells=256).values[..., 0]
    np.testing.assert_array_equal(values[1:, 0], 0.1)
    np.testing.assert_allclose(values[0], 1.0, rtol=1e-12)
    assert values.min() > 0
    assert values.max() < 1 + 1e-9
    slope = -values[-1, 1:] / 5e-4
    ends = np.array([0.9999, 1.0])
    near = solve(times, ends, initial=0.1, cells=256).values[:, 1:, 0]
    np.testing.assert_allclose((near[1] - near[0]) / 1e-4, slope, rtol=0.1)


def test_an_initial_profile_may_be_a_function() -> None:
    by_value = solve([0.0, 50.0], POINTS, initial=0.1, cells=64)
    by_function = solve([0.0, 50.0], POINTS, initial=lambda x: 0.1 + 0 * x, cells=64)
    np.testing.assert_array_equal(by_value.values, by_function.values)


def test_the_retardation_is_the_published_one_with_its_derivative() -> None:
    u = np.array([1e-4, 0.1, 1.0])
    retardation, slope = Sorption().retardation(u)
    expected = 1 + 0.71 / 0.29 * 2880 * 3.5e-4 * 0.874 * (u + 1e-6) ** (0.874 - 1)
    np.testing.assert_allclose(retardation, expected, rtol=1e-14)
    step = 1e-6 * u
    difference = Sorption().retardation(u + step)[0] - Sorption().retardation(u - step)[0]
    np.testing.assert_allclose(slope, difference / (2 * step), rtol=1e-6)
    assert np.isfinite(Sorption().retardation(np.array([-1e-3]))[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 30}, "multiple of 4"),
        ({"times": [-1.0, 1.0]}, "times"),
        ({"points": [0.5, 0.5]}, "points"),
    ],
)
def test_bad_input_is_refused(change, message) -> None:
    arguments = {"times": [0.0, 1.0], "points": [0.0, 0.5], "cells": 32} | change
    with pytest.raises(ValueError, match=message):
        solve(**arguments)
