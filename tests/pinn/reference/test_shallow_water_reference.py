"""Radial dam break: exact planar dam break, conservation, symmetry, the two-dimensional check."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from suites.pinn.reference.convergence import relative_l2
from suites.pinn.reference.finite_volume import FiniteVolume
from suites.pinn.reference.radial_shocks import find_shocks
from suites.pinn.reference.shallow_water import (
    ShallowWater,
    evolve_radial,
    initial_rings,
    radial_scheme,
    solve,
    solve_cartesian,
)


def stoker(deep: float, shallow: float, similarity: np.ndarray) -> np.ndarray:
    """Exact (h, u) of a planar dam break at x/t, g = 1 (Stoker 1957; Toro 2001)."""

    def behind_shock(h):
        return (h - shallow) * np.sqrt((h + shallow) / (2 * h * shallow))

    h = scipy.optimize.brentq(
        lambda h: 2 * (np.sqrt(deep) - np.sqrt(h)) - behind_shock(h), shallow, deep
    )
    u = behind_shock(h)
    shock = u * h / (h - shallow)
    fan = (2 * np.sqrt(deep) - similarity) / 3
    values = np.where(
        similarity < u - np.sqrt(h),
        np.stack([fan**2, 2 * (np.sqrt(deep) - fan)]),
        np.array([[h], [u]]),
    )
    values = np.where(similarity < -np.sqrt(deep), [[deep], [0.0]], values)
    return np.where(similarity > shock, [[shallow], [0.0]], values)


def test_a_planar_dam_break_converges_to_the_exact_solution() -> None:
    law = ShallowWater()
    errors = []
    for n in (200, 400):
        x = (np.arange(n) + 0.5) / n - 0.5
        averages = np.stack([np.where(x < 0, 2.0, 1.0), 0 * x])
        scheme = FiniteVolume(law, (1 / n,), (("outflow", "outflow"),))
        computed = law.primitive(scheme.advance(averages, 0.25))
        errors.append(np.mean(np.abs(computed - stoker(2.0, 1.0, x / 0.25)), axis=-1))
    assert errors[1].max() < 2e-3
    assert (errors[1] < 0.6 * errors[0]).all()  # first order at the shock


def test_still_water_stays_still_and_water_is_kept() -> None:
    cells, width = 200, 2.5 / 200
    still = initial_rings(cells, width, 1.3, 1.3, 0.5)
    scheme = radial_scheme(cells, width, 1.0)
    np.testing.assert_allclose(scheme.advance(still, 1.0), still, atol=1e-13)
    volumes = (np.arange(cells) + 0.5) * width**2
    broken = initial_rings(cells, width, 2.0, 1.0, 0.5)
    assert broken[0] @ volumes == pytest.approx((2.5**2 + 0.5**2) / 2, rel=1e-14)
    after = scheme.advance(broken, 1.0)
    assert np.abs(after - broken).max() > 0.1
    assert after[0] @ volumes == pytest.approx(broken[0] @ volumes, rel=1e-13)


def test_shocks_are_placed_within_a_fraction_of_a_cell() -> None:
    """The exact planar shock, far from the axis, where the flow is as good as planar."""
    law, radius, time = ShallowWater(), 1e5, 0.25
    exact_shock = scipy.optimize.bisect(
        lambda s: stoker(2.0, 1.0, np.array([s]))[0, 0] - 1.2, 0.5, 2.0, xtol=1e-12
    )
    for n in (300, 350, 402):
        width = 1 / n
        edges = radius + np.arange(n + 1) * width
        x = edges[:-1] - radius + width / 2 - 0.5
        scheme = FiniteVolume(law, (width,), (("outflow", "outflow"),))
        averages = scheme.advance(np.stack([np.where(x < 0, 2.0, 1.0), 0 * x]), time)
        (shock,) = find_shocks(edges, law.primitive(averages), 1.0)
        assert abs(shock.position - radius - 0.5 - exact_shock * time) < 0.05 * width
        depth, speed = shock.values(np.array([shock.position - 1e-9, shock.position + 1e-9]))
        left = stoker(2.0, 1.0, np.array([exact_shock - 1e-6]))[:, 0]
        np.testing.assert_allclose([depth[0], speed[0]], left, rtol=5e-3)
        np.testing.assert_allclose([depth[1], speed[1]], [1.0, 0.0], atol=1e-9)


def test_rarefactions_and_smooth_waves_are_no_shocks() -> None:
    edges = np.linspace(0.0, 1.0, 201)
    r = 0.5 * (edges[:-1] + edges[1:])
    rarefaction = np.stack([1.0 - 0.3 * (r > 0.5), np.where(r > 0.5, 0.3, 0.0)])
    assert find_shocks(edges, rarefaction, 1.0) == []
    assert find_shocks(edges, np.stack([1 + 0.1 * np.sin(9 * r), np.sin(9 * r)]), 1.0) == []


def test_the_radial_solution_converges_and_its_estimate_holds() -> None:
    x = (np.arange(40) + 0.5) / 8 - 2.5
    times = np.linspace(0.0, 1.0, 6)
    reference = solve(times, x, x, cells=2000)
    finer = solve(times, x, x, cells=4000)
    actual = relative_l2(reference.values, finer.values)
    assert actual[0] < 1e-3
    assert actual[1:].max() < 1e-2
    assert (actual < 3 * np.asarray(reference.error)).all()


def test_the_flow_is_mirror_symmetric_and_starts_exactly() -> None:
    x = np.linspace(-2.5, 2.5, 21)
    values = solve([0.0, 0.4], x, x, cells=400).values
    depth, u, v = np.moveaxis(values, -1, 0)
    np.testing.assert_array_equal(depth, depth[::-1])
    np.testing.assert_array_equal(u, -u[::-1])
    np.testing.assert_array_equal(u, u[:, ::-1])
    np.testing.assert_array_equal(u, np.swapaxes(v, 0, 1))
    inside = np.hypot(x[:, None], x) < 0.5
    np.testing.assert_array_equal(depth[:, :, 0], np.where(inside, 2.0, 1.0))
    assert not u[:, :, 0].any()
    assert u[14, 10, 1] > 0.1  # outwards at x = 1, y = 0
    np.testing.assert_array_equal(values[0, 0, 1], [1.0, 0.0, 0.0])  # the corner is at rest


def test_the_radial_solution_agrees_with_the_two_dimensional_one() -> None:
    differences = []
    for n in (50, 100):
        centres, averages = solve_cartesian(0.5, n)
        np.testing.assert_allclose(averages[0], averages[0, ::-1], atol=1e-12)
        np.testing.assert_allclose(averages[1], np.swapaxes(averages[2], 0, 1), atol=1e-12)
        assert averages[0].mean() == pytest.approx(1 + np.pi / 100, rel=2e-3)
        two = np.moveaxis(ShallowWater().primitive(averages), 0, -1)
        radial = solve([0.5], centres, centres, cells=1200).values[:, :, 0]
        differences.append(np.mean(np.abs(two - radial), axis=(0, 1)))
    assert differences[1][0] < 5e-3
    assert differences[1][1:].max() < 6e-3
    assert (differences[1] < 0.65 * differences[0]).all()


def test_a_wave_at_the_wall_is_refused() -> None:
    with pytest.raises(ValueError, match="a wave arrives"):
        solve([2.5], [0.0], [0.0], cells=200)
    with pytest.raises(ValueError, match="a wave arrives"):
        evolve_radial(np.array([1.0]), np.array([0.1]), 200, 1.2)


def test_other_depths_gravity_and_radius_scale() -> None:
    """h → λh and g → μg stretch time by √(λμ)."""
    x = np.linspace(-1.0, 1.0, 9)
    one = solve([0.3], x, x, cells=400)
    other = solve([0.3 / 3.0], x, x, inner=8.0, outer=4.0, g=9.0 / 4.0, cells=400)
    np.testing.assert_allclose(other.values, one.values * [4.0, 3.0, 3.0], atol=1e-6)
    wide = solve([0.3], x, x, radius=0.7, cells=400)
    assert np.abs(wide.values - one.values).max() > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 30}, "multiple of 4"),
        ({"times": [0.2, 0.1]}, "times"),
        ({"x": [-3.0, 0.0]}, "coordinates"),
        ({"radius": 2.6}, "dam"),
        ({"outer": 0.0}, "positive"),
    ],
)
def test_bad_input_is_refused(change, message) -> None:
    arguments = {"times": [0.1], "x": [0.0], "y": [0.0], "cells": 32} | change
    with pytest.raises(ValueError, match=message):
        solve(**arguments)
