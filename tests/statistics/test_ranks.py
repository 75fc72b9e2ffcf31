"""Ranks with simultaneous intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rank_simulation as simulation
from rank_simulation import Design

from bench.statistics.ranks import Rank, ranks

INF, NAN = math.inf, math.nan


def case(*means: float, seeds: int = 5, spread: float = 0.01, rng_seed: int = 0) -> np.ndarray:
    """(arms, seeds) log errors; a seed does far more to all arms than to one."""
    rng = np.random.default_rng(rng_seed)
    noise = rng.normal(0, spread, (len(means), seeds)) + rng.normal(0, 2, seeds)
    return np.array(means)[:, None] + noise


def places(found: list[Rank]) -> list[tuple[int, int, int]]:
    return [(one.rank, one.low, one.high) for one in found]


def test_clear_differences_leave_one_rank_each() -> None:
    found = ranks([case(0, -1, 1, rng_seed=k) for k in range(3)])
    assert places(found) == [(2, 2, 2), (1, 1, 1), (3, 3, 3)]
    assert [one.estimate for one in found] == pytest.approx([0, -1, 1], abs=0.02)


def test_arms_that_cannot_be_told_apart_share_their_intervals() -> None:
    found = ranks([case(0, 0, 3, spread=0.3, rng_seed=k) for k in range(5)])
    assert [(one.low, one.high) for one in found] == [(1, 2), (1, 2), (3, 3)]
    assert {one.rank for one in found[:2]} == {1, 2}


def test_arms_with_equal_errors_share_a_rank() -> None:
    values = case(0, 1, -1)
    tied = np.vstack([values, values[1]])
    assert [one.rank for one in ranks([tied])] == [2, 3, 1, 3]


def test_the_order_is_that_of_the_mean_over_the_cases() -> None:
    """One case on which all errors are large counts no more than another."""
    one, other = case(0, -1, spread=0.0), case(0, 0.5, spread=0.0) + 20
    found = ranks([one, other])
    assert found[1].estimate == pytest.approx(-0.25)
    assert [rank.rank for rank in found] == [2, 1]


def test_an_arm_that_diverges_on_a_case_stands_behind_those_that_do_not() -> None:
    cases = [case(0, -2, 1, rng_seed=k) for k in range(5)]
    cases[0][1, :3] = INF
    found = ranks(cases)
    assert [(one.rank, one.diverges) for one in found] == [(1, 0), (3, 1), (2, 0)]
    # Its errors are significantly smaller elsewhere, so it is not significantly worse either.
    assert found[1].high == 3
    assert found[1].low == 1
    stray = [case(0, -2, 1, rng_seed=k) for k in range(5)]
    stray[0][1, :2] = INF  # less than half of the seeds
    assert places(ranks(stray)) == [(2, 2, 2), (1, 1, 1), (3, 3, 3)]


def test_errors_elsewhere_tell_only_once_an_arm_surely_diverges_on_a_case() -> None:
    cases = [case(0, 2, rng_seed=k) for k in range(5)]
    cases[0][1, :4] = INF
    assert places(ranks(cases)) == [(1, 1, 2), (2, 1, 2)]
    cases[0][1] = INF
    assert places(ranks(cases)) == [(1, 1, 1), (2, 2, 2)]
    # Both lose two seeds, so that a single pair is left: neither diverges, and little is known.
    cases = [case(0, 2, rng_seed=k) for k in range(5)]
    cases[0][0, :2] = cases[0][1, 2:4] = INF
    assert places(ranks(cases)) == [(1, 1, 2), (2, 1, 2)]


def test_an_arm_that_diverges_everywhere_is_surely_last() -> None:
    cases = [case(0, 0.1, -1, rng_seed=k) for k in range(5)]
    for values in cases:
        values[2] = INF
    found = ranks(cases)
    assert (found[2].rank, found[2].low, found[2].high, found[2].diverges) == (3, 3, 3, 5)
    assert math.isnan(found[2].estimate)


def test_where_the_reference_diverges_the_others_are_still_ordered() -> None:
    values = case(0, 1, -1)
    values[0] = INF
    found = ranks([values])
    assert [one.rank for one in found] == [3, 2, 1]
    assert [one.estimate for one in found[1:]] == pytest.approx([0, -2], abs=0.05)


@pytest.mark.parametrize(("seeds", "sure"), [(4, False), (5, True)])
def test_with_fewer_seeds_than_a_family_needs_every_rank_is_possible(
    seeds: int, sure: bool
) -> None:
    found = ranks([case(0, 3, 6, seeds=seeds, rng_seed=k) for k in range(4)])
    assert [one.rank for one in found] == [1, 2, 3]
    assert all((one.low, one.high) == (one.rank, one.rank) for one in found) == sure
    assert all((one.low, one.high) == (1, 3) for one in found) != sure


def test_two_arms_are_one_comparison() -> None:
    assert places(ranks([case(0, 1, seeds=3, rng_seed=k) for k in range(4)])) == [
        (1, 1, 1),
        (2, 2, 2),
    ]


def test_an_arm_without_a_result_is_last_and_blurs_no_other_comparison() -> None:
    cases = [np.vstack([case(0, 1, rng_seed=k), np.full(5, NAN)]) for k in range(4)]
    assert places(ranks(cases)) == [(1, 1, 2), (2, 2, 3), (3, 1, 3)]
    assert ranks([]) == []


def test_an_arm_that_lacks_seeds_widens_no_other_interval() -> None:
    """One lost run of any arm made every interval all ranks."""
    cases = [case(0, 1, -1, 2, rng_seed=k) for k in range(4)]
    cases[3][3, 0] = NAN
    assert places(ranks(cases)) == [(2, 2, 3), (3, 3, 4), (1, 1, 2), (4, 1, 4)]


def test_an_arm_that_lacks_a_case_is_surely_neither_better_nor_worse() -> None:
    cases = [case(0, 1, -1, rng_seed=k) for k in range(4)]
    cases[3][2] = NAN
    assert places(ranks(cases)) == [(2, 1, 2), (3, 2, 3), (1, 1, 3)]
    # A case that no arm has is none.
    assert places(ranks([*cases[:3], np.full((3, 5), NAN)])) == [(2, 2, 2), (3, 3, 3), (1, 1, 1)]


def test_a_missing_run_takes_its_pair_out() -> None:
    values = case(0, 1, seeds=6, spread=0.0)
    values[1, 0] = NAN
    values[0, 0] = 100
    assert ranks([values])[1].estimate == pytest.approx(1)


def test_order_and_units_change_nothing() -> None:
    rng = np.random.default_rng(3)
    cases = [rng.normal(0, 0.5, (5, 8)) + 0.4 * np.arange(5)[:, None] for _ in range(4)]
    cases[1][3, 2] = INF
    first = ranks(cases)
    assert len({one.high - one.low for one in first}) > 1
    seeds = rng.permutation(8)
    assert places(ranks([values[:, seeds] for values in cases])) == places(first)
    assert places(ranks(cases[::-1])) == places(first)
    factors = [values + shift for values, shift in zip(cases, (5, -3, 0, 40), strict=True)]
    assert places(ranks(factors)) == places(first)
    arms = np.array([0, 3, 4, 1, 2])
    again = places(ranks([values[arms] for values in cases]))
    assert again == [places(first)[arm] for arm in arms]


def test_a_rank_is_within_its_interval_whatever_the_values() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        cases = [3 * rng.standard_t(2, (4, 6)) for _ in range(3)]
        for values in cases:
            values[rng.random(values.shape) < rng.choice([0, 0.2, 0.5])] = INF
            values[rng.random(values.shape) < 0.05] = NAN
        for one in ranks(cases):
            assert 1 <= one.low <= one.rank <= one.high <= 4


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers of arms"):
        ranks([np.zeros((2, 5)), np.zeros((3, 5))])
    with pytest.raises(ValueError, match="above 0"):
        ranks([np.full((2, 5), -INF)])


# Simulations: `rank_simulation` has all designs.


@pytest.mark.parametrize("draw", list(simulation.DRAWS))
@pytest.mark.parametrize("truth", ["equal", "differing", "graded"])
def test_true_ranks_are_seldom_outside_their_intervals(draw: str, truth: simulation.Truth) -> None:
    rng = np.random.default_rng(5)
    spread = np.geomspace(0.03, 1, 5)
    found = simulation.simulate(
        rng, Design(5, 5), simulation.DRAWS[draw], spread, 6, truth, rankings=50
    )
    assert found.wrong <= 0.06
    if truth == "graded":  # of unequal arms not all ranks are possible
        assert found.width < 5.8
    else:
        assert found.width > 5.9


def test_a_case_that_is_lost_by_chance_makes_no_difference_significant() -> None:
    """Up to 21 % of rankings had a wrong interval."""
    rng = np.random.default_rng(6)
    spread = np.array([1, 0.03, 0.03, 0.03, 0.03])
    found = simulation.simulate(
        rng, Design(5, 5), simulation.diverging, spread, 12, "differing", rankings=60
    )
    assert found.wrong <= 0.06


def test_the_simulation_sees_wrong_intervals() -> None:
    truth = np.array([[0.0, 0.0, 1.0]])
    right = [Rank(1, 1, 2, 0.0, 0), Rank(2, 1, 2, 0.1, 0), Rank(3, 3, 3, 1.0, 0)]
    assert not simulation.is_wrong(right, truth)
    assert simulation.is_wrong([right[0]._replace(high=1), *right[1:]], truth)
    assert simulation.is_wrong([*right[:2], right[2]._replace(low=1, high=2)], truth)
