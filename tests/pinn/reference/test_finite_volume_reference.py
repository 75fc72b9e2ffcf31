"""Finite volumes: conservation, boundaries, point values."""

from __future__ import annotations

import numpy as np
import pytest

from suites.pinn.reference.compressible_flow import Euler
from suites.pinn.reference.finite_volume import (
    FiniteVolume,
    cell_averages,
    hllc_flux,
    limited_slopes,
    point_values,
)
from suites.pinn.reference.shallow_water import ShallowWater

PERIODIC = ("periodic", "periodic")


@pytest.mark.parametrize("law", [Euler(), ShallowWater()])
def test_the_flux_of_equal_states_is_the_physical_flux(law) -> None:
    states = np.abs(np.random.default_rng(0).normal(size=(3, 20))) + 0.1
    states[1] -= 1.0
    np.testing.assert_allclose(hllc_flux(law, states, states), law.flux(states), atol=1e-13)


@pytest.mark.parametrize("law", [Euler(1.4), ShallowWater(9.81)])
def test_the_flux_of_supersonic_states_is_the_upwind_one(law) -> None:
    left = np.array([[1.0], [10.0], [1.0]])
    right = np.array([[0.5], [9.0], [0.6]])
    np.testing.assert_allclose(hllc_flux(law, left, right), law.flux(left), rtol=1e-14)
    left[1], right[1] = -9.0, -10.0
    np.testing.assert_allclose(hllc_flux(law, left, right), law.flux(right), rtol=1e-14)


@pytest.mark.parametrize("law", [Euler(), ShallowWater()])
def test_primitive_and_conserved_variables_are_inverse(law) -> None:
    states = np.abs(np.random.default_rng(1).normal(size=(3, 20))) + 0.1
    states[1] -= 1.0
    np.testing.assert_allclose(law.primitive(law.conserved(states)), states, rtol=1e-12)


def test_a_stationary_contact_is_kept_exactly() -> None:
    law = Euler()
    primitive = np.ones((3, 40))
    primitive[0, 20:] = 0.1
    primitive[1] = 0.0
    averages = law.conserved(primitive)
    scheme = FiniteVolume(law, (1 / 40,), (("outflow", "outflow"),))
    np.testing.assert_allclose(scheme.advance(averages, 0.5), averages, atol=1e-14)


def test_slopes_are_central_where_smooth_and_zero_at_extrema() -> None:
    smooth = np.linspace(0.0, 1.0, 12) ** 2 + 1.0
    np.testing.assert_allclose(limited_slopes(smooth)[1:], 0.5 * (smooth[3:] - smooth[1:-2]))
    assert limited_slopes(np.array([0.0, 1.0, 0.0])) == 0.0
    # A slope never exceeds twice the smaller one-sided difference.
    assert limited_slopes(np.array([0.0, 0.1, 5.0])) == pytest.approx(0.2)


def test_reflective_walls_keep_mass_and_energy_but_not_momentum() -> None:
    law = Euler()
    edges = np.linspace(0.0, 1.0, 65)
    averages = cell_averages(
        lambda x: law.conserved(np.stack([1 + 0.1 * x, 0.3 + 0 * x, 1 + 0 * x])), edges
    )
    scheme = FiniteVolume(law, (1 / 64,), (("reflective", "reflective"),))
    change = (scheme.advance(averages, 0.3) - averages).mean(axis=-1)
    assert abs(change[0]) < 1e-14
    assert abs(change[2]) < 1e-14
    assert abs(change[1]) > 1e-2


def test_outflow_lets_a_wave_leave() -> None:
    law = ShallowWater()
    x = (np.arange(200) + 0.5) / 200
    depth = 1.0 + 0.01 * np.exp(-(((x - 0.5) / 0.05) ** 2))
    scheme = FiniteVolume(law, (1 / 200,), (("outflow", "outflow"),))
    averages = scheme.advance(np.stack([depth, 0 * x]), 1.0)
    np.testing.assert_allclose(averages[0], 1.0, atol=2e-5)


def test_both_directions_of_a_plane_wave_agree() -> None:
    law = ShallowWater()
    x = (np.arange(32) + 0.5) / 32
    depth = np.broadcast_to((1.0 + 0.2 * np.sin(2 * np.pi * x))[:, None], (32, 8))
    along_x = np.stack([depth, 0.1 * depth, 0.2 * depth])
    along_y = np.swapaxes(along_x, 1, 2)[[0, 2, 1]]
    scheme_x = FiniteVolume(law, (1 / 32, 1 / 8), (PERIODIC, PERIODIC))
    scheme_y = FiniteVolume(law, (1 / 8, 1 / 32), (PERIODIC, PERIODIC))
    after_x, after_y = scheme_x.advance(along_x, 0.2), scheme_y.advance(along_y, 0.2)
    np.testing.assert_allclose(np.swapaxes(after_y, 1, 2)[[0, 2, 1]], after_x, atol=1e-13)
    assert np.abs(after_x - along_x).max() > 0.01


def test_point_values_converge_with_third_order() -> None:
    def function(x: np.ndarray) -> np.ndarray:
        return np.exp(x)[None]

    points = np.linspace(0.2, 0.8, 101)
    errors = []
    for n in (20, 40, 80):
        averages = cell_averages(function, np.linspace(0.0, 1.0, n + 1))
        values = point_values(averages, 0.0, 1 / n, ("outflow", "outflow"), points)
        errors.append(np.sqrt(np.mean((values - function(points)) ** 2)))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders.min() > 2.7
    assert errors[-1] < 1e-6


def test_point_values_wrap_and_do_not_overshoot() -> None:
    averages = np.where(np.arange(20) < 10, 1.0, 2.0)[None]
    points = np.linspace(-0.3, 1.3, 501)
    values = point_values(averages, 0.0, 1 / 20, PERIODIC, points)
    assert values.min() == 1.0
    assert values.max() == 2.0
    wrapped = point_values(averages, 0.0, 1 / 20, PERIODIC, points + 1.0)
    assert np.mean(np.abs(wrapped - values)) < 1e-3
    with pytest.raises(ValueError, match="outside"):
        point_values(averages, 0.0, 1 / 20, ("outflow", "outflow"), points)


def test_unphysical_states_and_boundaries_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="positive"):
        Euler().primitive(np.array([[1.0], [3.0], [1.0]]))
    with pytest.raises(FloatingPointError, match="depth"):
        ShallowWater().primitive(np.array([[np.nan], [0.0]]))
    with pytest.raises(ValueError, match="periodic"):
        FiniteVolume(Euler(), (0.1,), (("periodic", "outflow"),))
    with pytest.raises(ValueError, match="sticky"):
        FiniteVolume(Euler(), (0.1,), (("sticky", "outflow"),))
