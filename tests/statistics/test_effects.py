"""Effects over problems: hand-computed cases, infinite values, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics.effects import effect

INF = math.inf


def random_problems() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(0.2 * k, 0.3, 4) for k in range(4)]


def test_one_problem_has_student_s_interval() -> None:
    values = random_problems()[0]
    found = effect([values])
    there = stats.ttest_1samp(values, 0)
    low, high = there.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(there.pvalue)
    assert found.on[0].p == pytest.approx(there.pvalue)
    assert math.isnan(found.like_low)


def test_the_estimate_is_the_mean_of_the_problems_means() -> None:
    found = effect([np.array([1.0, 1, 1, 1, 1, 1]), np.array([-2.0, -2])])
    assert found.estimate == pytest.approx((1 - 2) / 2)
    single = effect([np.array([1.0]), np.array([4.0])])
    assert single.estimate == pytest.approx(2.5)
    assert math.isnan(single.low)  # a single pair has no spread
    assert single.p == 1
    # Where others have more, it is left out.
    assert effect([np.array([1.0, 1.0]), np.array([4.0, INF, -INF])]).estimate == 1


def test_degrees_of_freedom_are_between_satterthwaite_s_and_the_smallest() -> None:
    equal = [np.array([-1.0, 0, 1]) + k for k in range(5)]
    assert effect(equal).freedom == pytest.approx((5 * 2 + 2) / 2)
    one = [np.array([-1.0, 0, 1]), *[1e-6 * np.array([-1.0, 0, 1])] * 4]
    assert effect(one).freedom == pytest.approx(2)


def test_problems_like_these_have_student_s_interval_over_their_means() -> None:
    problems = random_problems()
    means = [values.mean() for values in problems]
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    found = effect(problems)
    assert (found.like_low, found.like_high) == pytest.approx((low, high))
    assert math.isnan(effect(problems[:2]).like_low)


def test_models_of_one_problem_are_no_sample_of_problems() -> None:
    problems = [np.full(4, 0.1 * k) for k in range(4)]
    one = effect(problems, names=["a"] * 4)
    assert math.isnan(one.like_low) and (one.different(), one.problems) == (1, 4)
    assert math.isnan(effect(problems, names=["a", "a", "b", "b"]).like_low)
    three = effect(problems, names=["a", "a", "b", "c"])
    low, high = stats.ttest_1samp([0.05, 0.2, 0.3], 0).confidence_interval(0.95)
    assert (three.like_low, three.like_high) == pytest.approx((low, high))
    # These problems: as before.
    assert three.estimate == effect(problems).estimate and three.different() == 3
    # Where the arm diverges on the whole problem, it is none that counts.
    lost = effect([*problems[:3], np.full(4, INF)], names=["a", "b", "c", "d"])
    assert (lost.different(), lost.different(counting=True)) == (4, 3)


def test_wins_ties_losses_and_divergence_are_counted() -> None:
    found = effect([np.array([-1.0, 0, 2, math.nan]), np.array([INF, -INF, -3])])
    assert (found.wins, found.ties, found.losses) == (3, 2, 2)
    assert (found.pairs, found.problems, found.diverged) == (7, 2, 1)
    first, second = found.on
    assert (first.pairs, first.both_diverged) == (3, 1)
    assert (second.diverged, second.reference_diverged, second.pairs) == (1, 1, 1)


def test_divergence_is_no_number() -> None:
    problems = random_problems()
    with_stray = [np.append(problems[0], INF), *problems[1:]]
    assert effect(with_stray)[:7] == effect(problems)[:7]
    assert effect(with_stray).pairs == effect(problems).pairs + 1
    lost = effect([*problems, np.full(3, INF)])
    assert lost.estimate == effect(problems).estimate
    assert lost.on[-1].diverges
    assert not lost.on[-1].counts
    whole = effect([np.full(3, INF)] * 2)
    assert math.isnan(whole.estimate)
    assert whole.p == 1


@pytest.mark.parametrize(("lost", "diverges"), [(2, False), (3, True)])
def test_at_least_half_the_seeds_make_a_problem_diverge(lost: int, diverges: bool) -> None:
    values = np.array([INF] * lost + [0.1] * (6 - lost))
    assert effect([values]).on[0].diverges == diverges
    assert effect([-values]).on[0].reference_diverges == diverges


def test_problems_without_pairs_do_not_count() -> None:
    some = [np.array([1.0, 2, 3]), np.array([])]
    assert str(effect(some)) == str(effect(some[:1]))
    nothing = effect([])
    assert (nothing.pairs, nothing.problems, nothing.p) == (0, 0, 1)
    assert math.isnan(nothing.estimate)


def test_the_reference_and_the_arm_change_places() -> None:
    problems = [*random_problems(), np.array([INF, 0.1, -0.3])]
    there, back = effect(problems), effect([-values for values in problems])
    assert back.estimate == pytest.approx(-there.estimate)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert (back.wins, back.losses) == (there.losses, there.wins)


def test_a_shift_moves_and_a_scale_stretches_everything() -> None:
    problems = random_problems()
    first = np.array(effect(problems)[:5])
    assert effect([values + 2 for values in problems])[:5] == pytest.approx(first + 2)
    assert effect([3 * values for values in problems])[:5] == pytest.approx(3 * first)


def test_the_order_of_problems_and_seeds_does_not_matter() -> None:
    problems = random_problems()
    turned = [values[::-1] for values in problems[::-1]]
    assert effect(turned)[:7] == pytest.approx(effect(problems)[:7])


def test_constant_ratios_are_their_own_interval() -> None:
    found = effect([np.full(3, -0.5)] * 3)
    assert (found.low, found.high, found.p) == (-0.5, -0.5, 0.0)
    assert effect([np.zeros(3)] * 3).p == 1
