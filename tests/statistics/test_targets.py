"""Times to a target from runs of several lengths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.statistics.targets import (
    UNKNOWN,
    Time,
    errors_at,
    median_time,
    time_ratio,
    times_to_target,
)

INF, NAN = math.inf, math.nan
LENGTHS = (0.25, 0.5, 1.0, 2.0)


def time(*errors: float, target: float = 1.0) -> Time:
    return times_to_target(LENGTHS, np.array([errors]), target)[0]


def exact(value: float) -> Time:
    return Time(value, value)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_power_laws_are_interpolated_exactly(power: float) -> None:
    """error = c·length^−p reaches the target at (c / target)^(1/p)."""
    lengths = np.array(LENGTHS)
    curves = np.array([[0.7], [1.2]]) * lengths**-power
    found = times_to_target(LENGTHS, curves, 0.9)
    assert [one.kind for one in found] == ["exact", "exact"]
    assert [one.low for one in found] == pytest.approx(
        [(0.7 / 0.9) ** (1 / power), (1.2 / 0.9) ** (1 / power)]
    )
    ratio = time_ratio(found[:1], found[1:])
    assert ratio.estimate == pytest.approx((0.7 / 1.2) ** (1 / power))


def test_exponential_curves_are_exact_at_their_runs_and_close_between() -> None:
    lengths = np.geomspace(0.25, 2, 25)
    curves = np.exp(-np.array([[2.0], [1.0]]) * lengths)
    found = times_to_target(list(lengths), curves, 0.3)
    assert [one.low for one in found] == pytest.approx(
        [-math.log(0.3) / 2, -math.log(0.3)], rel=2e-3
    )
    at_a_run = times_to_target(list(lengths), curves, float(curves[1, 20]))[1]
    assert at_a_run.low == pytest.approx(lengths[20])


def test_what_is_not_seen_is_censored() -> None:
    assert time(1.0, 0.8, 0.5, 0.2) == Time(0, 0.25)
    assert time(4, 3, 2, 1.01) == Time(2, INF)
    assert time(4, 3, 2, INF) == Time(2, INF)
    assert time(4, INF, 0.5, 0.2) == Time(0.5, 1)
    assert time(4, 3, 0, 0) == Time(0.5, 1)
    assert time(NAN, NAN, NAN, NAN) == UNKNOWN
    kinds = [Time(0, 0.25), Time(2, INF), Time(0.5, 1), exact(1.0), UNKNOWN]
    assert [one.kind for one in kinds] == ["at most", "more than", "between", "exact", "unknown"]
    assert [one.reached for one in kinds] == [True, False, True, True, False]


def test_the_cost_of_what_is_censored_is_its_upper_bound() -> None:
    assert [one.cost for one in (Time(0, 0.25), Time(2, INF), exact(1.0))] == [0.25, INF, 1]
    assert math.isnan(UNKNOWN.cost)


def test_lengths_without_a_run_are_skipped() -> None:
    assert time(4, NAN, 0.25, 0.1) == pytest.approx((0.5, 0.5))
    assert time(NAN, NAN, 0.25, 0.1) == Time(0, 1)
    assert time(4, 3, 2, NAN) == Time(1, INF)


def test_the_first_run_that_reaches_counts() -> None:
    assert time(2, 0.5, 3, 0.5) == pytest.approx((0.25 * math.sqrt(2),) * 2)


def test_the_median_keeps_to_its_bounds() -> None:
    assert median_time([exact(1.0), exact(4.0), exact(2.0)]) == exact(2.0)
    assert median_time([exact(1.0), exact(4.0)]) == pytest.approx((2.0, 2.0))
    # Neither what is sooner than the median, nor what is later, has to be known.
    assert median_time([Time(0, 0.25), exact(1.0), Time(2, INF)]) == exact(1.0)
    assert median_time([exact(1.0), Time(2, INF), Time(2, INF)]) == Time(2, INF)
    assert median_time([Time(0, 0.25), Time(0, 0.25), exact(1.0)]) == Time(0, 0.25)
    assert median_time([exact(0.5), Time(2, INF)]) == pytest.approx((1, INF))
    assert median_time([UNKNOWN, exact(1.0)]) == exact(1.0)
    assert median_time([UNKNOWN]) == median_time([]) == UNKNOWN


def test_the_median_of_all_is_within_the_bounds_whatever_was_censored() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        true = np.exp(rng.normal(0, 1.5, rng.integers(1, 8)))
        seen = [
            Time(0, 0.25) if t < 0.25 else Time(2, INF) if t > 2 else exact(float(t)) for t in true
        ]
        found = median_time(seen)
        ordered = np.sort(true)
        middle = math.sqrt(ordered[(len(true) - 1) // 2] * ordered[len(true) // 2])
        assert found.low <= middle * (1 + 1e-12)
        assert middle <= found.high * (1 + 1e-12)


def test_a_ratio_of_times_counts_what_it_leaves_out() -> None:
    arm = [exact(0.5), exact(0.5), Time(2, INF), Time(2, INF), Time(0, 0.25), UNKNOWN]
    reference = [exact(1.0), Time(2, INF), exact(1.0), Time(2, INF), exact(1.0), exact(1.0)]
    found = time_ratio(arm, reference)
    assert found.estimate == pytest.approx(0.5)
    assert (found.exact, found.both) == (1, 2)
    assert (found.alone, found.reference_alone, found.neither, found.unknown) == (1, 1, 1, 1)
    assert found.on == (exact(0.5), Time(0, 0.25), Time(2, INF), UNKNOWN, Time(0, 0.25))
    assert (found.low, found.high) == (0, INF)


def test_bounds_of_a_ratio_are_bounds_of_its_mean() -> None:
    found = time_ratio([exact(0.5), exact(0.5)], [exact(1.0), Time(2, INF)])
    assert (found.estimate, found.low) == (pytest.approx(0.5), 0)
    assert found.high == pytest.approx(math.sqrt(0.5 * 0.25))
    exactly = time_ratio([exact(0.5), exact(2.0)], [exact(1.0), exact(1.0)])
    assert exactly[:3] == pytest.approx((1, 1, 1))
    nothing = time_ratio([UNKNOWN], [exact(1.0)])
    assert all(map(math.isnan, nothing[:3]))
    never = time_ratio([Time(2, INF)], [Time(2, INF)])
    assert never.neither == 1
    assert all(map(math.isnan, never[:3]))


def test_errors_between_lengths_are_interpolated_and_nothing_outside() -> None:
    curve = 3 * np.array([LENGTHS]) ** -0.7
    assert errors_at(LENGTHS, curve, 0.8) == pytest.approx([3 * 0.8**-0.7])
    assert errors_at(LENGTHS, curve, 0.5 * (1 + 1e-12)) == pytest.approx(curve[:, 1], rel=1e-15)
    assert np.isnan(errors_at(LENGTHS, curve, 2.1)).all()
    assert np.isnan(errors_at(LENGTHS, curve, 0.2)).all()


def test_errors_next_to_divergence_or_nothing() -> None:
    seeds = np.array([[4, 2, INF, 0.5], [4, 2, NAN, 0.5], [NAN, NAN, 1, 0.5], [NAN] * 4])
    found = errors_at(LENGTHS, seeds, 0.75)
    assert found[0] == INF
    assert found[1] == pytest.approx(2 * (0.75 / 0.5) ** -1)
    assert np.isnan(found[2:]).all()
    assert errors_at(LENGTHS, seeds, 0.5)[0] == 2
    assert errors_at(LENGTHS, seeds, 1.0)[0] == INF


def test_an_error_of_0_is_interpolated_to_0() -> None:
    assert errors_at(LENGTHS, np.array([[4.0, 2, 0, 0]]), 0.75)[0] == 0


def test_bad_values_are_refused() -> None:
    for lengths in ((1.0, 0.5), (0.0, 1.0)):
        with pytest.raises(ValueError, match="increase from above 0"):
            times_to_target(lengths, np.ones((1, 2)), 1.0)
    with pytest.raises(ValueError, match="3 errors of a seed at 2 lengths"):
        errors_at((0.5, 1.0), np.ones((1, 3)), 1.0)
    for target in (0.0, INF, NAN):
        with pytest.raises(ValueError, match="number above 0"):
            times_to_target(LENGTHS, np.ones((1, 4)), target)
