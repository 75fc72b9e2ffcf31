"""Compressible flow: exact Riemann solutions, acoustic and simple waves, conservation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from suites.pinn.reference.compressible_flow import Euler, evolve, solve
from suites.pinn.reference.convergence import relative_l2
from suites.pinn.reference.finite_volume import FiniteVolume, cell_averages
from suites.pinn.reference.initial_states import compressible_state


def exact_riemann(
    left: tuple[float, float, float],
    right: tuple[float, float, float],
    gamma: float,
    similarity: np.ndarray,
) -> np.ndarray:
    """Exact (ρ, u, p) of a Riemann problem at x/t (Toro 2009, chapter 4), without vacuum."""

    def sound(state):
        return np.sqrt(gamma * state[2] / state[0])

    def curve(p, state):
        density, _, pressure = state
        if p > pressure:
            a = 2 / ((gamma + 1) * density)
            b = (gamma - 1) / (gamma + 1) * pressure
            return (p - pressure) * np.sqrt(a / (p + b))
        power = (gamma - 1) / (2 * gamma)
        return 2 * sound(state) / (gamma - 1) * ((p / pressure) ** power - 1)

    def mismatch(p):
        return curve(p, left) + curve(p, right) + right[1] - left[1]

    pressure = scipy.optimize.brentq(mismatch, 1e-10, 1e3, xtol=1e-15, rtol=1e-14)
    velocity = 0.5 * (left[1] + right[1] + curve(pressure, right) - curve(pressure, left))

    def side(state, direction, s):
        """The state left (direction −1) or right (+1) of the contact, mirrored for the right."""
        density, u, p = state
        s, u, star = -direction * s, -direction * u, -direction * velocity
        c = sound(state)
        ratio = pressure / p
        small = (gamma - 1) / (gamma + 1)
        if ratio > 1:
            shock = u - c * np.sqrt((gamma + 1) / (2 * gamma) * (ratio - 1) + 1)
            behind = density * (ratio + small) / (small * ratio + 1)
            values = np.where(s < shock, [[density], [u], [p]], [[behind], [star], [pressure]])
        else:
            behind = density * ratio ** (1 / gamma)
            head, tail = u - c, star - c * ratio ** ((gamma - 1) / (2 * gamma))
            fan = 2 / (gamma + 1) + small / c * (u - s)
            inside = np.stack(
                [
                    density * np.abs(fan) ** (2 / (gamma - 1)),
                    2 / (gamma + 1) * (c + (gamma - 1) / 2 * u + s),
                    p * np.abs(fan) ** (2 * gamma / (gamma - 1)),
                ]
            )
            values = np.where(s > tail, [[behind], [star], [pressure]], inside)
            values = np.where(s < head, [[density], [u], [p]], values)
        return values * np.array([[1.0], [-direction], [1.0]])

    left_values, right_values = side(left, -1, similarity), side(right, 1, similarity)
    return np.where(similarity < velocity, left_values, right_values)


SOD = ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))


def test_the_exact_riemann_solver_gives_toros_star_values() -> None:
    # Toro 2009, table 4.2, tests 1 and 4.
    star = exact_riemann(*SOD, 1.4, np.array([0.5, 1.2]))
    np.testing.assert_allclose(star[1:, 0], [0.92745, 0.30313], atol=1e-5)
    np.testing.assert_allclose(star[0], [0.42632, 0.26557], atol=1e-5)
    states = (1.0, 0.0, 0.01), (1.0, 0.0, 100.0)
    star = exact_riemann(*states, 1.4, np.array([-6.2]))
    np.testing.assert_allclose(star[1:, 0], [-6.19633, 46.0950], rtol=1e-5)


def shock_tube(left, right, cells: int, time: float) -> float:
    """Mean absolute error of the density, relative to its mean, on (0, 1)."""
    law = Euler(1.4)
    x = (np.arange(cells) + 0.5) / cells
    primitive = np.where(x < 0.5, np.array(left)[:, None], np.array(right)[:, None])
    scheme = FiniteVolume(law, (1 / cells,), (("outflow", "outflow"),))
    computed = law.primitive(scheme.advance(law.conserved(primitive), time))
    exact = exact_riemann(left, right, 1.4, (x - 0.5) / time)
    return float(np.mean(np.abs(computed - exact)[0]) / np.mean(exact[0]))


@pytest.mark.parametrize(
    ("left", "right", "time", "tolerance"),
    [
        (*SOD, 0.2, 3.5e-3),
        ((0.445, 0.698, 3.528), (0.5, 0.0, 0.571), 0.13, 1.5e-2),  # Lax
        ((1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.15, 1.5e-2),  # two rarefactions, near vacuum
    ],
)
def test_shock_tubes_converge_to_the_exact_solution(left, right, time, tolerance) -> None:
    coarse, fine = (shock_tube(left, right, n, time) for n in (200, 400))
    assert fine < tolerance
    assert fine < 0.65 * coarse  # first order at shocks, 2/3 at contacts


def simple_wave(x: np.ndarray, time: float, gamma: float, amplitude: float) -> np.ndarray:
    """Exact right-running simple wave of u = a sin 2πx over gas at rest with ρ = 1, p = 1/γ."""

    def speed(u):
        return 1.0 + 0.5 * (gamma + 1.0) * u

    origin = np.asarray(x, dtype=float).copy()
    for _ in range(60):  # Newton for x = x₀ + (u + c)(x₀) t
        u = amplitude * np.sin(2 * np.pi * origin)
        slope = amplitude * 2 * np.pi * np.cos(2 * np.pi * origin)
        residual = origin + speed(u) * time - x
        origin -= residual / (1.0 + 0.5 * (gamma + 1.0) * slope * time)
    u = amplitude * np.sin(2 * np.pi * origin)
    sound = 1.0 + 0.5 * (gamma - 1.0) * u
    return np.stack([sound ** (2 / (gamma - 1)), u, sound ** (2 * gamma / (gamma - 1)) / gamma])


def test_a_simple_wave_converges_with_second_order() -> None:
    gamma, amplitude = 5 / 3, 0.05
    points, times = np.linspace(0, 1, 200), np.array([0.0, 0.5, 1.0])
    exact = np.stack([simple_wave(points, t, gamma, amplitude).T for t in times], axis=1)
    errors = []
    for cells in (128, 256, 512):
        values = evolve(lambda x: simple_wave(x, 0.0, gamma, amplitude), times, points, cells)
        np.testing.assert_array_equal(values[:, 0], exact[:, 0])
        # In the mean: a limiter that clips extrema costs a third of an order in L2.
        errors.append(np.mean(np.abs(values - exact), axis=(0, 1)) / np.abs(exact).max((0, 1)))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders.min() > 1.8, orders
    assert max(errors[-1]) < 2e-3


def test_the_error_estimate_of_a_simple_wave_is_close_to_its_error() -> None:
    points, times = np.linspace(0, 1, 256, endpoint=False), np.linspace(0, 1, 11)
    truth = np.stack([simple_wave(points, t, 5 / 3, 0.05).T for t in times], axis=1)
    reference = solve(lambda x: simple_wave(x, 0.0, 5 / 3, 0.05), times, points, cells=512)
    actual = relative_l2(reference.values, truth)
    ratio = np.asarray(reference.error) / actual
    assert ratio.min() > 0.5, ratio
    assert ratio.max() < 3.0, ratio
    assert 1.5 < reference.order < 2.5


def test_a_drifting_contact_keeps_velocity_and_pressure() -> None:
    def drifting(x, time=0.0):
        return np.stack([1 + 0.5 * np.sin(2 * np.pi * (x - 0.7 * time)), 0 * x + 0.7, 0 * x + 1])

    points = np.linspace(0, 1, 100)
    values = evolve(drifting, np.array([1.0]), points, 256)[:, 0].T
    np.testing.assert_allclose(values[1:], drifting(points)[1:], atol=1e-12)
    np.testing.assert_allclose(values[0], drifting(points, 1.0)[0], atol=2e-3)


def test_mass_momentum_and_energy_are_kept_to_rounding() -> None:
    law = Euler()
    initial = compressible_state(0, mach=0.2)  # with shocks
    averages = cell_averages(lambda x: law.conserved(initial(x)), np.linspace(0, 1, 257))
    scheme = FiniteVolume(law, (1 / 256,), (("periodic", "periodic"),))
    after = scheme.advance(averages, 1.0)
    assert np.abs(after - averages).max() > 0.05
    np.testing.assert_allclose(after.mean(axis=-1), averages.mean(axis=-1), rtol=1e-13)


def test_the_default_state_is_accurate_enough_and_periodic() -> None:
    points, times = np.linspace(0, 1, 129), np.linspace(0, 1, 5)
    reference = solve(compressible_state(0), times, points, cells=512)
    assert max(reference.error) < 2e-4
    np.testing.assert_allclose(reference.values[0], reference.values[-1], atol=1e-12)
    finer = evolve(compressible_state(0), times, points, 2048)
    actual = relative_l2(reference.values, finer)
    assert (actual < 1.5 * np.asarray(reference.error)).all()
    assert (actual > 0.3 * np.asarray(reference.error)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 30}, "multiple of 4"),
        ({"times": [0.5, 0.1]}, "times"),
        ({"points": [0.0, 1.5]}, "points"),
    ],
)
def test_bad_input_is_refused(change, message) -> None:
    arguments = {"times": [0.0, 0.1], "points": [0.0, 0.5], "cells": 32} | change
    with pytest.raises(ValueError, match=message):
        solve(compressible_state(0), **arguments)
