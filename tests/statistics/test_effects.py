"""Paired comparisons: hand-computed cases, infinite values, coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.statistics import effects as statistics
from bench.statistics.effects import LEAST_SEEDS, effect, factorial, iqm, summarize

INF = math.inf


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert iqm(np.array([8.0, 1, 2, 3, 4, 5, 6, -90])) == (2 + 3 + 4 + 5) / 4
    assert iqm(np.array([1.0, 2, 3])) == 2  # of three nothing is trimmed
    assert iqm(np.array([[1.0, 9], [3, 5]]), axis=0).tolist() == [2, 7]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([INF, 1, 2, 3], 2.5),  # the worst is trimmed
        ([INF, INF, 1, 2], INF),
        ([-INF, -INF, 1, 2], -INF),
        ([-INF, -INF, INF, INF], math.nan),
    ],
)
def test_infinite_values_rank_and_are_not_averaged(values: list[float], expected: float) -> None:
    assert iqm(np.array(values)) == pytest.approx(expected, nan_ok=True)


def test_wins_ties_and_losses_are_counted_by_sign() -> None:
    found = effect([np.array([-1.0, 0, 2]), np.array([INF, -INF, -3])])
    assert (found.wins, found.ties, found.losses) == (3, 1, 2)
    assert (found.pairs, found.problems, found.diverged) == (6, 2, 1)


def test_problems_without_pairs_do_not_count() -> None:
    some = [np.array([1.0, 2, 3]), np.array([])]
    assert effect(some) == effect(some[:1])
    nothing = effect([])
    assert (nothing.pairs, nothing.verdict) == (0, "undecided")
    assert math.isnan(nothing.estimate)


def test_one_diverged_run_of_fifteen_leaves_the_estimate_and_is_counted() -> None:
    strata = [np.array([-1.0, -1.1, -0.9]) for _ in range(5)]
    strata[0][0] = INF
    found = effect(strata)
    assert found.estimate == pytest.approx(-1, abs=0.05)
    assert (found.losses, found.diverged) == (1, 1)


def test_an_arm_that_diverges_half_the_time_is_infinitely_worse() -> None:
    found = effect([np.array([INF, -2.0, INF, -2.0]) for _ in range(3)])
    assert found.estimate == INF
    assert found.high == INF
    assert found.verdict != "better"


def test_mixed_divergence_never_becomes_a_claim() -> None:
    found = effect([np.array([INF, -INF, INF, -INF]) for _ in range(3)])
    assert found.verdict == "undecided"
    assert (found.low, found.high) == (-INF, INF)


@pytest.mark.parametrize(
    ("sizes", "enough"),
    [
        ([5], False),
        ([6], True),
        ([3, 3], False),
        ([4, 4], True),
        ([3, 3, 3], True),
        ([2] * 10, False),
        ([3, 3, 3, 2], False),
    ],
)
def test_with_too_few_seeds_nothing_is_claimed(sizes: list[int], enough: bool) -> None:
    found = effect([np.linspace(-1.01, -0.99, size) for size in sizes])
    assert found.high < 0
    assert found.enough is enough
    assert found.verdict == ("better" if enough else "undecided")
    if not enough:
        assert found.seeds_needed is not None
        assert found.seeds_needed >= LEAST_SEEDS


def test_pairs_in_which_both_diverged_tie_and_do_not_count_for_a_claim() -> None:
    informative = [np.array([-1.0, -1.1, -0.9])] * 2
    found = effect([*informative, *[np.full(3, math.nan)] * 2])
    assert (found.ties, found.wins, found.pairs) == (6, 6, 12)
    assert not found.enough
    assert effect([*informative, np.array([-1.0, -1.1, -0.9, math.nan])]).enough


def test_where_a_run_diverged_no_number_of_seeds_is_promised() -> None:
    found = effect([np.array([INF, -1, -1]), np.array([INF, -1.05, -0.95]), np.array([-1.0] * 3)])
    assert (found.verdict, found.enough, found.seeds_needed) == ("undecided", True, None)


def test_single_seeds_have_no_interval() -> None:
    found = effect([np.array([-1.0]) for _ in range(8)])
    assert math.isnan(found.low)
    assert found.verdict == "undecided"


def test_equal_runs_are_undecided() -> None:
    found = effect([np.zeros(3)] * 4)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
    assert (found.ties, found.verdict, found.seeds_needed) == (12, "undecided", None)


def test_the_reference_and_the_arm_change_places() -> None:
    rng = np.random.default_rng(1)
    strata = [rng.normal(0.3, 1, 4) for _ in range(3)]
    one, other = effect(strata), effect([-values for values in strata])
    assert other.estimate == pytest.approx(-one.estimate)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), rel=0.15)
    assert (one.wins, one.losses) == (other.losses, other.wins)


def test_a_shift_moves_everything_by_as_much() -> None:
    rng = np.random.default_rng(2)
    strata = [rng.normal(0, 1, 5) for _ in range(3)]
    one, other = effect(strata), effect([values + 2 for values in strata])
    for name in ("estimate", "low", "high"):
        assert getattr(other, name) == pytest.approx(getattr(one, name) + 2)


def test_a_scale_stretches_everything_by_as_much() -> None:
    rng = np.random.default_rng(7)
    strata = [rng.normal(0.5, 1, 5) for _ in range(3)]
    one, other = effect(strata), effect([4 * values for values in strata])
    for name in ("estimate", "low", "high"):
        assert getattr(other, name) == pytest.approx(4 * getattr(one, name))


def test_the_order_of_the_problems_does_not_matter_to_the_estimate() -> None:
    rng = np.random.default_rng(8)
    strata = [rng.normal(mean, 1, 4) for mean in (0, 1, 2)]
    one, other = effect(strata), effect(strata[::-1])
    assert other.estimate == one.estimate
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.2)


def test_constant_ratios_are_their_own_interval() -> None:
    found = effect([np.full(3, -0.5)] * 4)
    assert (found.estimate, found.low, found.high, found.verdict) == (-0.5, -0.5, -0.5, "better")


def test_resampling_in_batches_has_the_same_interval_but_for_chance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strata = [np.random.default_rng(k).normal(0, 1, 6) for k in range(3)]
    whole = effect(strata)
    monkeypatch.setattr(statistics, "_BATCH_VALUES", 18 * 700)
    parts = effect(strata)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.1)


def test_the_same_input_has_the_same_interval() -> None:
    strata = [np.random.default_rng(3).normal(0, 1, 4)] * 3
    assert effect(strata) == effect(strata)


def test_a_summary_keeps_diverged_seeds() -> None:
    found = summarize(np.array([0.1, 0.3, INF]))
    assert (found.seeds, found.diverged, found.mean, found.median) == (3, 1, INF, 0.3)
    assert (found.low, found.high) == (0.1, INF)
    assert summarize(np.array([INF, INF])).median == INF
    alone = summarize(np.array([0.2]))
    assert (alone.mean, alone.median) == (0.2, 0.2)
    assert math.isnan(alone.low)


# Factorials.


def additive(*effects: float, interaction: float = 0.0) -> np.ndarray:
    """(2, …, 2, seeds) log errors with known main effects, and one interaction of the first two."""
    values = np.zeros((2,) * len(effects) + (3,))
    for levels in np.ndindex(*(2,) * len(effects)):
        values[levels] = 0.5 + sum(e * on for e, on in zip(effects, levels, strict=True))
        values[levels] += interaction * levels[0] * levels[1]
    return values + np.array([0.0, 0.3, -0.2])  # a seed's own level does not matter


@pytest.mark.parametrize("interaction", [0.0, 0.7])
def test_a_factorial_finds_what_was_put_in(interaction: float) -> None:
    terms = factorial(["a", "b"], [additive(-1, 0.25, interaction=interaction)] * 2)
    found = {term.factors: term.effect.estimate for term in terms}
    assert found == pytest.approx(
        {
            ("a",): -1 + interaction / 2,
            ("b",): 0.25 + interaction / 2,
            ("a", "b"): interaction,
        }
    )


def test_three_factors_have_all_orders() -> None:
    terms = factorial(["a", "b", "c"], [additive(1, 2, -3, interaction=0.4)] * 2)
    found = {"".join(term.factors): term.effect.estimate for term in terms}
    expected = {"a": 1.2, "b": 2.2, "c": -3, "ab": 0.4, "ac": 0, "bc": 0, "abc": 0}
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_diverged_cell_counts_as_the_worst_of_its_problem() -> None:
    values = additive(0, 0)
    values[1, 1, :] = INF
    worst = additive(0, 0)
    worst[1, 1, :] = values[np.isfinite(values)].max()
    guessed, known = (factorial(["a", "b"], [x] * 3) for x in (values, worst))
    assert [t.effect[:3] for t in guessed] == [t.effect[:3] for t in known]
    assert {t.diverged for t in guessed} == {9}
    # A guess is no ground for a claim, however clear the rest is.
    clear = [additive(-1, 0.5) for _ in range(3)]
    assert factorial(["a", "b"], clear)[0].effect.verdict == "better"
    clear[0][0, 1, 0] = INF
    assert {t.effect.verdict for t in factorial(["a", "b"], clear)} == {"undecided"}
    lost = np.full((2, 2, 3), INF)
    assert factorial(["a"], [lost[0]])[0].effect.pairs == 0


# Simulations.

STUDIES = 400


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for the tails of these studies, which are 0.2 % and wider."""
    monkeypatch.setattr(statistics, "_RESAMPLES", 1500)


def study(rng: np.random.Generator, mean: float, problems: int, seeds: int) -> list[np.ndarray]:
    """Normal log ratios of one mean and spread."""
    return [rng.normal(mean, 1, seeds) for _ in range(problems)]


def plain_interval(strata: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The percentile interval without its expansion."""
    drawn = [rng.choice(values, (1000, len(values))) for values in strata]
    return np.quantile(iqm(np.concatenate(drawn, axis=1)), [0.025, 0.975])


@pytest.mark.usefixtures("few_resamples")
def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, resampling = np.random.default_rng(4), np.random.default_rng(40)
    covered, plainly = [], []
    for k in range(STUDIES):
        strata = study(rng, 0.2, 5, 3)
        found = effect(strata, k)
        covered.append(found.low <= 0.2 <= found.high)
        low, high = plain_interval(strata, resampling)
        plainly.append(low <= 0.2 <= high)
    assert 0.92 <= np.mean(covered) <= 0.985
    assert np.mean(plainly) < 0.9


@pytest.mark.usefixtures("few_resamples")
def test_where_problems_differ_much_it_covers_nearly_as_often() -> None:
    """The interquartile mean then hangs on which problems are trimmed: the README says 90 %."""
    rng = np.random.default_rng(7)
    means = np.array([-3.0, -1, 0, 1, 3])
    # Of all values, as many seeds as make the trimmed share that of three.
    many = [rng.normal(mean, 1, 3 * 20_000) for mean in means]
    truth = float(iqm(np.concatenate(many)))
    found = [effect([rng.normal(mean, 1, 3) for mean in means], k) for k in range(STUDIES)]
    assert 0.85 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.985


def test_without_a_difference_claims_are_as_rare_as_they_should_be() -> None:
    rng = np.random.default_rng(5)
    claims = [effect(study(rng, 0, 4, 3), k).verdict != "undecided" for k in range(STUDIES)]
    assert np.mean(claims) <= 0.07


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("problems", [1, 3])
def test_as_many_seeds_as_needed_mostly_decide(problems: int) -> None:
    rng = np.random.default_rng(6)
    # Spread and estimate as they are, so that the number is for this effect.
    strata = [0.5 + np.array([-1.0, 0.0, 1.0]) for _ in range(problems)]
    first = effect(strata)
    assert first.verdict == "undecided"
    assert first.seeds_needed is not None
    assert first.estimate == pytest.approx(0.5)
    decided = [
        effect(study(rng, 0.5, problems, first.seeds_needed), k).verdict == "worse"
        for k in range(200)
    ]
    assert 0.7 <= np.mean(decided) <= 0.9


def test_no_more_seeds_are_named_than_anyone_would_run() -> None:
    assert effect([1e-3 + np.array([-1.0, 0.0, 1.0])] * 3).seeds_needed is None


def test_no_number_of_seeds_is_named_without_an_effect() -> None:
    assert effect([np.array([-1.0, 1.0])] * 3).seeds_needed is None
