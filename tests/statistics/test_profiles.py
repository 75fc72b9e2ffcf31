"""Performance profiles and their bands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rank_simulation as simulation
from rank_simulation import Design

from bench.statistics.profiles import profiles

INF, NAN = math.inf, math.nan


def test_the_profile_of_a_small_table() -> None:
    first = np.array([[1.0, 4.0], [2.0, 2.0]])  # ratios 1, 2 and 2, 1
    second = np.array([[3.0], [1.0]])  # ratios 3 and 1; one seed weighs as much as two
    one, other = profiles([first, second])
    assert one.taus.tolist() == [1, 2, 3]
    assert one.shares.tolist() == [0.25, 0.5, 1]
    assert other.taus.tolist() == [1, 2]
    assert other.shares.tolist() == [0.75, 1]
    assert [one.at(tau) for tau in (0.5, 1, 1.99, 2, 100)] == [0, 0.25, 0.25, 0.5, 1]


def test_what_is_censored_is_within_no_tau() -> None:
    costs = np.array([[1.0, INF, INF, 1.0], [2.0, 5.0, INF, INF]])
    one, other = profiles([costs])
    assert (one.taus.tolist(), one.shares.tolist()) == ([1], [0.5])
    assert (other.taus.tolist(), other.shares.tolist()) == ([1, 2], [0.25, 0.5])


def test_ties_costs_of_0_and_missing_runs() -> None:
    one, other = profiles([np.array([[0.0, 2.0, NAN], [0.0, 2.0, 1.0]])])
    assert one.shares.tolist() == other.shares.tolist() == [1]
    free, dear = profiles([np.array([[0.0, 0.0], [1.0, 1.0]])])
    assert (free.shares.tolist(), dear.shares.tolist()) == ([1], [0])
    nothing = profiles([np.array([[NAN, 1.0], [1.0, NAN]])])
    assert [len(one.taus) for one in nothing] == [0, 0]
    assert nothing[0].at(2) == 0
    assert profiles([]) == []


def test_order_and_units_change_nothing() -> None:
    rng = np.random.default_rng(0)
    cases = [rng.lognormal(0, 0.5, (4, 6)) for _ in range(3)]
    first = profiles(cases)
    scaled = profiles([1e-6 * cases[0], 7 * cases[1], cases[2]])
    arms, seeds = rng.permutation(4), rng.permutation(6)
    for one, other in zip(first, scaled, strict=True):
        assert other.taus == pytest.approx(one.taus)
        assert other.shares == pytest.approx(one.shares)
    again = profiles([values[arms] for values in cases])
    for arm, one in zip(arms, again, strict=True):
        assert all((a == b).all() for a, b in zip(one, first[arm], strict=True))
    for one, other in zip(first, profiles([values[:, seeds] for values in cases]), strict=True):
        assert (one.shares == other.shares).all()
        assert other.low == pytest.approx(one.low, abs=0.06)  # other draws of the bootstrap


def test_the_band_is_that_of_shares() -> None:
    """On one case the share at τ is a mean of zeros and ones: its band has their spread."""
    rng = np.random.default_rng(1)
    costs = rng.lognormal(0, 1, (2, 100))
    best = profiles([costs])[0]
    share = best.at(1.0)
    assert 0.3 < share < 0.7
    half = 1.98 * math.sqrt(share * (1 - share) / 99)
    assert best.low[0] == pytest.approx(share - half, abs=0.02)
    assert best.high[0] == pytest.approx(share + half, abs=0.02)
    assert (best.low <= best.shares).all()
    assert (best.shares <= best.high).all()
    assert (np.diff(best.low) >= 0).all()
    assert (np.diff(best.high) >= 0).all()


def test_the_band_is_the_same_again_and_absent_for_one_seed() -> None:
    costs = [np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])]
    assert (profiles(costs)[0].low == profiles(costs)[0].low).all()
    alone = profiles([*costs, np.array([[1.0], [2.0]])])[0]
    assert np.isnan(alone.low).all()
    assert np.isnan(alone.high).all()


def test_where_all_runs_agree_the_band_is_exact() -> None:
    """Of a share that all 10 runs show, the truth p has p¹⁰ ≥ 2.5 %."""
    one, other = profiles([np.array([[1.0] * 5, [2.0] * 5])] * 2)
    assert (one.low[0], one.high[0]) == (pytest.approx(0.025**0.1), 1)
    assert (other.low[0], other.high[0]) == (0, pytest.approx(1 - 0.025**0.1))
    assert other.at(2) == 1
    assert other.low[1] == one.low[0]


def test_seeds_are_drawn_for_all_arms_together() -> None:
    """Of two arms exactly one is the best of a seed, so their bands mirror each other."""
    costs = np.random.default_rng(2).lognormal(0, 1, (2, 11))
    one, other = profiles([costs])
    assert one.low[0] == pytest.approx(1 - other.high[0])


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers of arms"):
        profiles([np.ones((2, 5)), np.ones((3, 5))])
    with pytest.raises(ValueError, match="below 0"):
        profiles([-np.ones((2, 5))])


def test_the_band_covers_the_truth_where_shares_are_not_at_an_end() -> None:
    """`rank_simulation` has more designs."""
    found = simulation.profile_coverage(np.random.default_rng(3), Design(5, 10), 60)
    assert found[1.5] >= 0.88


def test_where_cases_disagree_the_band_covers_the_truth() -> None:
    """Where single cases were all won or all lost it was a point."""
    rng = np.random.default_rng(4)
    assert simulation.best_coverage(rng, Design(5, 5), 2.0, 60) >= 0.93
    costs = [np.array([[1.0] * 5, [2.0] * 5]), np.array([[2.0] * 5, [1.0] * 5])]
    for found in profiles(costs):
        assert found.at(1.0) == 0.5
        assert found.low[0] < 0.4 < 0.6 < found.high[0]
        assert found.shares[-1] == found.high[-1] == 1
