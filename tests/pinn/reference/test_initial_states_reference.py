"""Initial states: deterministic, smooth, compatible with their boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from suites.pinn.reference.initial_states import (
    band_limited_field,
    compressible_state,
    periodic_sines,
)

X = np.linspace(0.0, 1.0, 257)
SINES = [-0.009812276972939791, 0.15358669164673133]
STATE = [1.12575544554894, 0.47575267013864203, 1.0147649324942203]
FIELD = 0.1984576865849232


def test_streams_do_not_change() -> None:
    """Values of this version: a change means that every published number changes."""
    np.testing.assert_allclose(periodic_sines(0)(np.array([0.0, 0.3])), SINES, rtol=1e-12)
    np.testing.assert_allclose(compressible_state(0)(np.array([0.3]))[:, 0], STATE, rtol=1e-12)
    np.testing.assert_allclose(band_limited_field(0)(0.3, -0.2), FIELD, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_sines_are_periodic_and_band_limited(seed: int) -> None:
    wave = periodic_sines(seed, terms=2, highest=8)
    np.testing.assert_allclose(wave(X[-1:]), wave(X[:1]), atol=1e-13)
    spectrum = np.abs(np.fft.rfft(wave(X[:-1]))) / 128
    present = np.flatnonzero(spectrum > 1e-9)
    assert 1 <= len(present) <= 2
    assert present.min() >= 1
    assert present.max() <= 8
    assert spectrum.max() <= 2
    assert wave(X.reshape(257, 1)).shape == (257, 1)


@pytest.mark.parametrize("seed", range(4))
def test_the_compressible_state_is_periodic_positive_and_moderate(seed: int) -> None:
    density, velocity, pressure = compressible_state(seed)(X)
    for field in (density, velocity, pressure):
        assert field[0] == pytest.approx(field[-1], abs=1e-13)
        assert np.abs(np.fft.rfft(field[:-1])[3:]).max() < 1e-10
        assert np.ptp(field) > 0.01
    assert 0.7 <= density.min() < density.max() <= 1.3
    assert abs(pressure.mean() - 1) < 1e-3
    mach = np.abs(velocity) / np.sqrt(5 / 3 * pressure / density)
    assert mach.min() > 0.1
    assert mach.max() < 0.6


@pytest.mark.parametrize("seed", range(4))
def test_the_field_has_zero_mean_unit_variance_and_no_flux(seed: int) -> None:
    field = band_limited_field(seed, modes=5)
    centres = (np.arange(64) + 0.5) / 32 - 1
    values = field(centres[:, None], centres)
    assert abs(values.mean()) < 1e-13
    assert values.var() == pytest.approx(1.0, rel=1e-12)
    step = 1e-5
    for wall in (-1.0, 1.0):
        flux_x = field(wall + step, centres) - field(wall - step, centres)
        flux_y = field(centres, wall + step) - field(centres, wall - step)
        assert max(np.abs(flux_x).max(), np.abs(flux_y).max()) < 1e-11


def test_seeds_differ_and_repeat() -> None:
    for make in (periodic_sines, compressible_state):
        np.testing.assert_array_equal(make(3)(X), make(3)(X))
        assert np.abs(make(3)(X) - make(4)(X)).max() > 0.01
    assert band_limited_field(3)(0.1, 0.2) == band_limited_field(3)(0.1, 0.2)
    assert band_limited_field(3)(0.1, 0.2) != band_limited_field(4)(0.1, 0.2)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="density_contrast"):
        compressible_state(0, density_contrast=1.0)
    with pytest.raises(ValueError, match="mach"):
        compressible_state(0, mach=0.7)
    with pytest.raises(ValueError, match="modes"):
        band_limited_field(0, modes=0)
