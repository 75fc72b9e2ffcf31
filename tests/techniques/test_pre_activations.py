"""The mean and the deviation of a pre-activation that follow from its activation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.pre_activations import (
    TOTAL_SLOPE,
    ActivationMoments,
    by_mean_field,
    by_measurement,
)
from bench.text.errors import BadInput


def function(token: str) -> torch.nn.Module:
    return make_activation(token).double()


@pytest.mark.parametrize(
    ("token", "mean", "std"),
    [("irelu", 1.00, 0.39), ("ielu", 1.00, 0.39), ("igelu", 1.13, 0.36), ("isilu", 1.26, 0.40)],
)
def test_mean_field_reproduces_the_reference(token: str, mean: float, std: float) -> None:
    """Means and deviations found independently, for six layers with slope 1.5 through all."""
    found = by_mean_field(function(token), 6, 1.5)
    assert (round(found.mean, 2), round(found.std, 2)) == (mean, std)
    assert found.slope == pytest.approx(1.5, rel=1e-2)


def test_moments_of_a_quadratic_are_exact() -> None:
    """φ = h²/2: E[φ′] = m, and χ = (m² + s²)/(m² + s²/2)."""
    moments = ActivationMoments(lambda x: x.square() / 2)
    means = torch.tensor([-2.0, 0.0, 0.7], dtype=torch.float64)
    torch.testing.assert_close(moments.mean_slope(means, 0.6), means, atol=1e-12, rtol=1e-12)
    for mean, std in [(1.0, 0.4), (0.2, 1.5), (-1.0, 0.1)]:
        exact = (mean**2 + std**2) / (mean**2 + std**2 / 2)
        assert moments.slope(mean, std) == pytest.approx(exact, rel=1e-10)


def test_a_linear_function_has_slope_one_and_any_other_more() -> None:
    assert ActivationMoments(lambda x: 3 * x - 1).slope(0.3, 0.7) == pytest.approx(1, rel=1e-12)
    for token in ("tanh", "sin", "irelu", "silu", "sigmoid"):
        assert ActivationMoments(function(token)).slope(0.3, 0.7) > 1.001


@pytest.mark.parametrize("token", ["tanh", "sin", "sigmoid"])
def test_an_activation_that_is_steepest_at_zero_has_mean_zero(token: str) -> None:
    moments = ActivationMoments(function(token))
    assert [moments.mean(std) for std in (0.1, 1.0)] == [0.0, 0.0]


@pytest.mark.parametrize("token", ["irelu", "igelu", "isoftplus", "gelu", "softplus"])
def test_the_mean_is_the_smallest_that_passes_the_gradient(token: str) -> None:
    moments, std = ActivationMoments(function(token)), 0.3
    mean = moments.mean(std)
    at = torch.tensor([mean - 1e-3, mean], dtype=torch.float64)
    less, enough = moments.mean_slope(at, std).tolist()
    far = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    wanted = min(1.0, 0.9 * float(moments.mean_slope(far, std).max()))
    assert mean > 0
    assert less < wanted <= enough + 1e-9


def test_the_sign_of_the_mean_is_that_of_the_activation() -> None:
    def mirrored(x: Tensor) -> Tensor:
        return -(torch.relu(-x) ** 2) / 2

    moments, plain = ActivationMoments(mirrored), ActivationMoments(function("irelu"))
    assert moments.mean(0.4) == pytest.approx(-plain.mean(0.4), abs=1e-9)


def test_of_two_means_of_equal_size_the_positive_one() -> None:
    """φ′ = h²: as large on either side."""
    assert ActivationMoments(lambda x: x**3 / 3).mean(0.1) == pytest.approx(math.sqrt(1 - 0.01))


def test_an_activation_that_rises_nowhere_is_refused() -> None:
    with pytest.raises(BadInput, match="rises nowhere on average"):
        ActivationMoments(lambda x: -x).mean(0.3)


@pytest.mark.parametrize("token", ["tanh", "irelu", "isilu", "sigmoid"])
def test_the_measured_slope_is_the_constant(token: str) -> None:
    found = by_measurement(function(token), 2, [40] * 6)
    assert found.slope == pytest.approx(TOTAL_SLOPE, rel=5e-3)
    again = by_measurement(function(token), 2, [40] * 6)
    assert again == found  # no seed, no global generator


def test_wide_networks_of_many_inputs_approach_mean_field() -> None:
    """And at width 40 with two inputs the slope of a layer is far from it."""
    field = by_mean_field(function("tanh"), 2, 1.5)
    wide = by_measurement(function("tanh"), 60, [400, 400], 1.5)
    assert wide.std == pytest.approx(field.std, rel=0.05)
    field = by_mean_field(function("irelu"), 6)
    narrow = by_measurement(function("irelu"), 2, [40] * 6)
    assert narrow.std < 0.5 * field.std


def test_a_larger_constant_gives_a_larger_deviation() -> None:
    stds = [by_measurement(function("irelu"), 2, [20] * 4, total).std for total in (1.5, 2, 3)]
    assert stds == sorted(stds) and stds[0] < 0.7 * stds[-1]


def test_where_no_deviation_has_the_slope_it_is_one() -> None:
    """Of ReLU only m/s matters."""
    found = by_measurement(function("relu"), 2, [20] * 4, 1.01)
    assert found.std == 1
    assert found.mean == pytest.approx(1.28, abs=0.05)
    assert found.slope > 1.1


@pytest.mark.parametrize("token", list(ACTIVATIONS.names()))
def test_every_activation_has_one(token: str) -> None:
    found = by_measurement(function(token), 3, [16] * 3)
    assert all(map(math.isfinite, (found.mean, found.std, found.slope)))
    assert 0.005 <= found.std <= 4
