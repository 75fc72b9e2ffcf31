"""How much luck is in the choice of a setting, and what it does to effects, claims and ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rank_simulation as simulation
from rank_simulation import Design, Optimum

from bench.statistics.choices import NO_CHANCE, Chance, chance, filled, together
from bench.statistics.claims import claims
from bench.statistics.effects import effect
from bench.statistics.ranks import ranks

INF, NAN = math.inf, math.nan
FIVE = np.array([-0.03, -0.01, 0.0, 0.01, 0.03])
UNKNOWN = Chance(NAN, NAN)
#: (settings, seeds) held-out losses: each seed is off by itself, which changes no choice.
LOSSES = np.array([[0.0, 1.0], [0.1, 0.9], [0.5, 1.5]])


def test_where_nothing_is_chosen_there_is_no_chance() -> None:
    assert chance(np.zeros((1, 2)), np.array([[1.0, 2.0]])) == NO_CHANCE
    # Every other setting diverged for every seed.
    lost = np.array([[0.0, 1.0], [INF, INF]])
    assert chance(lost, lost) == NO_CHANCE
    assert effect([FIVE] * 3) == effect([FIVE] * 3, choices=[NO_CHANCE] * 3)


def test_the_seeds_of_the_trials_show_what_they_would_have_chosen() -> None:
    """The first seed alone chooses the first setting, and the second one the second."""
    errors = np.array([[0.0, 0.0], [3.0, 3.0], [9.0, 9.0]])  # no noise: nothing to be feared
    assert chance(LOSSES, errors).variance == pytest.approx(np.var([0, 3], ddof=1) / 2)
    again = chance(LOSSES + 5 * np.array([0, 1]), errors + 7 * np.array([1, 0]))
    assert again == pytest.approx(chance(LOSSES, errors))


def test_where_the_seeds_agree_the_noise_of_the_errors_is_feared() -> None:
    losses = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [9.0, 9.0]])
    errors = np.array([[0.0, 0.2], [1.0, 1.0], [2.0, 1.8], [-50.0, 50.0]])
    found = chance(losses, errors)
    # Variance 0.2² of the differences of the three best, so 0.02 of a run, over two seeds, half.
    assert found.variance == pytest.approx(0.5 * 0.02 / 2)
    assert found.freedom == 2


def test_the_feared_variance_is_the_largest_of_a_choice_between_neighbours() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (20_000, 3, 2)).mean(axis=2)
    variances = []
    for gap in np.arange(0.4, 3, 0.2):
        surface = gap * np.array([1.0, 0.0, 1.0])
        variances.append(surface[(surface + noise).argmin(axis=1)].var())
    largest = max(variances)
    assert 0.9 * 0.25 <= largest <= 0.25  # half the variance of a mean of two


def test_a_chance_that_cannot_be_told_is_that_of_the_others() -> None:
    lost = np.array([[0.0, 1.0], [0.0, INF]])
    assert math.isnan(chance(lost, lost).variance)
    assert math.isnan(chance(np.full((3, 2), NAN), np.full((3, 2), NAN)).variance)
    known = Chance(0.1, 2.0)
    assert together([known, UNKNOWN]) == pytest.approx((0.2, 2.0))
    assert together([known, known]) == pytest.approx((0.2, 4.0))
    assert filled([known, UNKNOWN]) == [known, known]
    assert filled([UNKNOWN]) == [UNKNOWN]
    nothing = effect([FIVE - 1], choices=[UNKNOWN])
    assert nothing.p == 1
    assert math.isnan(nothing.low)


def test_the_chance_is_the_same_for_all_seeds() -> None:
    """It is added to the variance of each problem's mean, and does not shrink with seeds."""
    rng = np.random.default_rng(1)
    for seeds in (5, 500):
        problems = [rng.normal(0, 0.1, seeds) for _ in range(4)]
        plain = effect(problems)
        found = effect(problems, choices=[Chance(0.01, 4.0)] * 4)
        assert found.variance == pytest.approx(plain.variance + 0.01 / 4)
        assert found.estimate == plain.estimate
        assert found.high > plain.high
        assert all(a.choice == 0.01 and a.p > b.p for a, b in zip(found.on, plain.on, strict=True))
    assert found.on[0].freedom == pytest.approx(4, rel=0.1)
    assert (found.like_low, found.like_high) == (plain.like_low, plain.like_high)


def test_no_number_of_seeds_decides_what_the_choice_cannot() -> None:
    unsure = [np.linspace(-1, 1, 5) - 0.15] * 3
    without = claims([effect(unsure)])[0].seeds_needed
    assert without is not None
    somewhat = claims([effect(unsure, choices=[Chance(0.0005, 8.0)] * 3)])[0].seeds_needed
    assert somewhat is not None
    assert somewhat > without
    assert claims([effect(unsure, choices=[Chance(0.05, 8.0)] * 3)])[0].seeds_needed is None


def test_a_chance_withholds_a_claim_and_an_equivalence() -> None:
    large = [Chance(0.1, 4.0)] * 5
    for shift, verdict in ((-0.2, "better"), (0.0, "equivalent")):
        problems = [FIVE + shift] * 5
        assert claims([effect(problems)])[0].verdict == verdict
        found = claims([effect(problems, choices=large)])[0]
        assert (found.verdict, set(found.outcomes)) == ("undecided", {"undecided"})


def test_a_chance_widens_ranks_but_not_between_equal_runs() -> None:
    rng = np.random.default_rng(2)
    cases = [rng.normal(0, 0.01, (2, 5)) + np.array([[0.0], [-0.2]]) for _ in range(4)]
    assert [rank.high for rank in ranks(cases)] == [2, 1]
    large = [[Chance(0.1, 4.0)] * 2] * 4
    assert [(one.rank, one.low, one.high) for one in ranks(cases, large)] == [(2, 1, 2), (1, 1, 2)]
    # On one case of four the two are the same run, which no other trials would change.
    twins = [np.vstack([values[0], values[0]]) for values in cases[:3]]
    of_one = [[Chance(0.1, 4.0)] * 2] * 3 + [[NO_CHANCE] * 2]
    assert ranks([*twins, cases[3]], of_one) == ranks([*twins, cases[3]])


# Simulations: `rank_simulation` has all designs.


@pytest.mark.parametrize("optimum", simulation.OPTIMA.values(), ids=simulation.OPTIMA)
@pytest.mark.parametrize("design", [Design(5, 20), Design(1, 10)])
def test_the_luck_of_the_trials_makes_no_claim(design: Design, optimum: Optimum) -> None:
    """Of two equal arms with 20 seeds one was called better or worse in 12 to 18 % of rankings, and
    of six in 26 to 29 %; intervals of 95 % covered 70 to 80 %."""
    rng = np.random.default_rng(3)
    found = simulation.simulate_tuned(rng, design, 3, optimum, 0.0, rankings=60)
    assert found.claims <= 0.06
    assert found.ranks <= 0.06
    assert found.covered >= 0.91  # 93 % less the error of 120 intervals
    if design.problems == 5:
        assert found.power >= 0.6
