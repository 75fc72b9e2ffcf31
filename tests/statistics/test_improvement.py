"""Probability of improvement."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rank_simulation as simulation
from rank_simulation import Design
from scipy import stats

from bench.statistics.improvement import improvement

INF, NAN = math.inf, math.nan


def test_by_hand() -> None:
    """Of 3 × 3 pairs: 1 beats 2, 3, 5; 3 ties with 3 and beats 5; 4 beats 5."""
    found = improvement([np.array([1.0, 3, 4])], [np.array([2.0, 3, 5])])
    assert found.probability == pytest.approx((3 + 1.5 + 1) / 9)
    assert found.cases == 1


def test_it_is_mann_whitney_s_u() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(-0.5, 1, 12), rng.normal(0, 1, 12)
    u = stats.mannwhitneyu(theirs, ours).statistic
    assert improvement([ours], [theirs]).probability == pytest.approx(u / 144)


def test_cases_weigh_the_same() -> None:
    won, lost = np.zeros(9), np.ones(2)
    found = improvement([won, lost], [won + 1, lost - 1])
    assert found.probability == 0.5
    assert found.cases == 2


def test_a_run_that_diverged_is_worse_than_any_that_did_not() -> None:
    assert improvement([np.array([INF, 1e30])], [np.array([1e30, INF])]).probability == 0.5
    assert improvement([np.array([9.0, 9.0])], [np.array([INF, INF])]).probability == 1
    assert improvement([np.array([INF, INF])], [np.array([INF, INF])]).probability == 0.5


def test_missing_seeds_and_cases_are_left_out() -> None:
    found = improvement(
        [np.array([1.0, NAN, 3]), np.array([NAN])], [np.array([2.0, 0, NAN]), np.array([1.0])]
    )
    assert (found.probability, found.cases) == (1, 1)
    assert math.isnan(found.low)
    nothing = improvement([], [])
    assert math.isnan(nothing.probability)
    assert nothing.cases == 0


def test_order_units_and_sides() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.lognormal(-0.3, 1, (2, 8)), rng.lognormal(0, 1, (2, 8))
    found = improvement(list(ours), list(theirs))
    assert found == improvement(list(ours), list(theirs))
    assert 0 < found.low < found.probability < found.high < 1
    scaled = improvement([1e-9 * ours[0], 5 * ours[1]], [1e-9 * theirs[0], 5 * theirs[1]])
    assert scaled == found
    seeds = rng.permutation(8)
    again = improvement(list(ours[:, seeds]), list(theirs[:, seeds]))
    assert again.probability == pytest.approx(found.probability)
    assert again.low == pytest.approx(found.low, abs=0.06)  # other draws of the bootstrap
    assert improvement(list(theirs), list(ours)).probability == pytest.approx(1 - found.probability)


def test_where_all_pairs_agree_the_interval_is_exact() -> None:
    ours, theirs = [np.arange(5.0)] * 2, [np.arange(5.0, 10.0)] * 2
    assert improvement(ours, theirs)[:3] == pytest.approx((1, 0.025**0.1, 1))
    assert improvement(theirs, ours)[:3] == pytest.approx((0, 0, 1 - 0.025**0.1))


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_interval_mostly_covers_the_truth(shift: float) -> None:
    """`rank_simulation` has more designs."""
    found = simulation.improvement_coverage(np.random.default_rng(2), Design(5, 10), shift, 150)
    assert found >= 0.9


@pytest.mark.parametrize("shift", simulation.OPPOSED)
def test_where_cases_disagree_the_interval_covers_the_truth(shift: float) -> None:
    """Where single cases were all won or all lost it was a point."""
    rng = np.random.default_rng(3)
    found = simulation.improvement_coverage(rng, Design(5, 5), shift, 100, opposed=True)
    assert found >= 0.93
    ours, theirs = [np.arange(5.0), np.arange(5.0, 10.0)], [np.arange(5.0, 10.0), np.arange(5.0)]
    one = improvement(ours, theirs)
    assert one.probability == 0.5
    assert one.low < 0.4 < 0.6 < one.high
