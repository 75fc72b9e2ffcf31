"""Error estimates from three resolutions."""

from __future__ import annotations

import numpy as np
import pytest

from suites.pinn.reference.convergence import relative_l2, richardson

TRUTH = np.random.default_rng(0).normal(size=(5, 6, 2)) * [1.0, 100.0]
DIRECTION = np.random.default_rng(1).normal(size=TRUTH.shape) * [1e-3, 1.0]


@pytest.mark.parametrize("order", [1.0, 1.7, 2.0])
def test_a_power_of_the_spacing_is_recovered(order: float) -> None:
    coarse, medium, fine = (TRUTH + h**order * DIRECTION for h in (0.4, 0.2, 0.1))
    error, measured = richardson(coarse, medium, fine)
    assert measured == pytest.approx(order, rel=1e-6)
    np.testing.assert_allclose(error, relative_l2(fine, TRUTH), rtol=1e-3)


def test_an_order_beyond_the_schemes_is_not_believed() -> None:
    coarse, medium, fine = (TRUTH + h**6 * DIRECTION for h in (0.4, 0.2, 0.1))
    error, measured = richardson(coarse, medium, fine)
    assert measured == pytest.approx(6.0, rel=1e-6)
    np.testing.assert_allclose(error, relative_l2(medium, fine) / 3.0, rtol=1e-3)


def test_growing_differences_do_not_shrink_the_estimate() -> None:
    error, measured = richardson(TRUTH, TRUTH + 0.01 * DIRECTION, TRUTH + DIRECTION)
    assert measured < 0
    assert min(np.divide(error, relative_l2(TRUTH + DIRECTION, TRUTH))) > 1


def test_identical_solutions_have_no_order() -> None:
    assert richardson(TRUTH, TRUTH, TRUTH) == ((0.0, 0.0), None)


def test_an_output_that_vanishes_is_judged_absolutely() -> None:
    np.testing.assert_allclose(relative_l2(np.full((4, 1), 0.3), np.zeros((4, 1))), 0.3)
