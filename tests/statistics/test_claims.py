"""Verdicts: what is claimed, what is not, and how often that is wrong."""

from __future__ import annotations

import math

import claim_simulation as simulation
import numpy as np
import pytest
from claim_simulation import Design
from scipy import stats

from bench.statistics.claims import ALPHA, Claim, claims, divergence_p, holm
from bench.statistics.effects import effect

INF = math.inf
#: Three, five seeds around 0 with mean 0.
THREE = np.array([-0.02, 0.0, 0.02])
FIVE = np.array([-0.03, -0.01, 0.0, 0.01, 0.03])


def claim(*problems: np.ndarray) -> Claim:
    return claims([effect(problems)])[0]


def test_a_clear_effect_on_all_problems_is_claimed() -> None:
    assert claim(*[THREE - 0.5] * 5).verdict == "better"
    assert claim(*[THREE + 0.5] * 5).verdict == "worse"
    assert claim(FIVE - 0.5).outcomes == ("better",)


def test_an_arm_that_diverges_on_a_whole_problem_is_not_better() -> None:
    """Four problems at ×0.82 and one on which every seed diverges was “better ×0.834”."""
    found = claim(*[0.1 * THREE + math.log(0.82)] * 4, np.full(3, INF))
    assert found.verdict == "mixed"
    assert found.outcomes == ("better",) * 4 + ("diverges",)
    assert claim(*[np.full(3, INF)] * 3).verdict == "worse"


def test_three_models_of_one_problem_need_the_seeds_of_one_problem() -> None:
    of_three = [THREE - 0.5] * 3
    assert claims([effect(of_three, names=["a", "b", "c"])])[0].verdict == "better"
    for names in (["a", "a", "a"], ["a", "a", "b"]):
        (found,) = claims([effect(of_three, names=names)])
        assert (found.verdict, found.enough) == ("undecided", False)
        assert claims([effect([FIVE - 0.5] * 3, names=names)])[0].verdict == "better"


def test_a_stray_divergence_does_not_spoil_an_arm() -> None:
    problems = [FIVE - 0.5 for _ in range(5)]
    problems[0] = np.array([*FIVE[:4] - 0.5, INF])
    assert claim(*problems).verdict == "better"


def test_where_the_reference_diverges_the_arm_is_better() -> None:
    assert claim(*[np.full(5, -INF)] * 3).verdict == "better"
    found = claim(*[FIVE - 0.5] * 2, np.full(5, -INF))
    assert (found.verdict, found.outcomes[-1]) == ("better", "reference diverges")
    both = claim(*[np.full(5, math.nan)] * 3)
    assert (both.verdict, set(both.outcomes)) == ("undecided", {"undecided"})


def test_an_arm_is_not_worse_where_the_reference_diverges() -> None:
    """What is left when that problem drops out is not all that was compared."""
    some = np.array([-INF, -INF, -INF, 0.5, 0.5])
    for lost in (np.full(5, -INF), some):
        found = claim(*[FIVE + 0.5] * 4, lost)
        assert (found.verdict, found.outcomes[-1]) == ("mixed", "reference diverges")


def test_where_the_reference_diverges_and_elsewhere_the_arm_is_worse_is_mixed() -> None:
    """Neither test is significant over all problems, so what is found on each decides."""
    far = 40 * FIVE  # undecided, and so wide that nothing is decided over all problems
    better, worse, lost = FIVE - 0.5, FIVE + 0.5, np.full(5, INF)
    for good, bad in ((better, worse), (better, lost), (-lost, worse)):
        assert claim(good, bad, far, far).verdict == "mixed"
    # Counts are no tests: where one run in ten diverges, both are common among 20 problems.
    assert claim(-lost, lost, far, far).verdict == "undecided"


def test_arms_that_diverge_unequally_often_are_not_equivalent() -> None:
    """Equal errors where neither diverged made an arm “equivalent” of which 40 % of runs do."""
    ten = np.concatenate([FIVE, FIVE])
    often = claim(*[np.array([*[INF] * 4, *ten[4:]])] * 5)
    assert (often.verdict, set(often.outcomes)) == ("worse", {"undecided"})
    assert claim(*[np.array([*[-INF] * 4, *ten[4:]])] * 5).verdict == "better"
    # As often, by different seeds: the shares are not shown to be equal.
    both = np.array([INF, -INF, INF, -INF, *ten[4:]])
    assert claim(*[both] * 5).verdict == "undecided"
    # A stray of 25 pairs is what a margin of a tenth stands for; three are more.
    one = np.array([INF, *FIVE, *FIVE[:4]])
    assert claim(one, *[ten] * 4).verdict == "equivalent"
    few = claim(*[np.array([INF, *FIVE[1:]])] * 3, *[FIVE] * 2)
    assert few.verdict == "undecided"
    # One run in twelve of very many is a significant difference within the margin.
    many = np.tile(FIVE, 5)
    assert claim(*[np.array([INF, INF, *many[2:]])] * 8).verdict == "worse"
    # On one problem alone it diverges, or the reference does.
    for lost in (INF, -INF):
        some = claim(*[np.tile(FIVE, 4)] * 5, np.array([lost] * 3 + [0.0, 0.0]))
        assert some.verdict == "undecided"


def test_divergence_is_a_count_that_needs_no_claim() -> None:
    few = claim(np.full(3, INF), THREE, np.full(2, -INF))
    assert (few.enough, few.outcomes) == (False, ("diverges", "undecided", "reference diverges"))
    lost = effect([np.full(3, INF), *[THREE - 1] * 4])
    _, second = claims([lost, lost])
    assert (second.exploratory, second.outcomes) == (True, ("diverges",) + ("undecided",) * 4)


def test_better_over_problems_needs_no_inferior_problem() -> None:
    noisy = np.array([-0.6, -0.1, 0.2, 0.5, 1.0])  # estimate 0.2, undecided
    assert claim(*[FIVE - 2] * 8, noisy).verdict == "mixed"
    fine = claim(*[FIVE - 2] * 8, noisy - 0.2)
    assert fine.verdict == "better"
    assert fine.outcomes[-1] == "undecided"
    assert claim(*[FIVE - 1] * 3, *[FIVE + 1] * 3).verdict == "mixed"


def test_equal_arms_are_equivalent_once_that_is_sure() -> None:
    assert claim(*[FIVE] * 5).verdict == "equivalent"
    assert claim(*[FIVE + 0.03] * 5).verdict == "equivalent"  # surely 3 % worse: within 10 %
    assert claim(*[30 * FIVE] * 5).verdict == "undecided"


@pytest.mark.parametrize(
    ("problems", "seeds", "enough"),
    [(1, 4, False), (1, 5, True), (2, 4, False), (2, 5, True), (3, 2, False), (3, 3, True)],
)
def test_with_too_few_seeds_nothing_is_claimed(problems: int, seeds: int, enough: bool) -> None:
    clear = [-1 + 0.01 * np.arange(seeds) for _ in range(problems)]
    found = claim(*clear)
    assert (found.enough, found.verdict == "better") == (enough, enough)
    # Neither a further problem that has fewer, nor problems that both sides diverge on, help.
    assert not claim(*clear, clear[0][:2]).enough
    if problems < 3:
        assert claim(*clear, *[np.full(seeds, math.nan)] * 2).enough == enough


def test_with_three_seeds_the_declared_comparison_alone_may_claim() -> None:
    clear = effect([THREE - 0.5] * 5)
    first, second = claims([clear, clear])
    assert (first.verdict, first.exploratory) == ("better", False)
    assert (second.verdict, second.exploratory) == ("undecided", True)
    # Which one is declared does not depend on what has been run, or has seen its equation.
    nothing_yet = effect([])
    assert [one.exploratory for one in claims([nothing_yet, clear, clear])[1:]] == [True, True]
    assert claims([nothing_yet, clear])[1].verdict == "better"


def test_a_family_is_corrected_for_its_size() -> None:
    clear = effect([FIVE - 0.5] * 5)
    assert [one.verdict for one in claims([clear] * 20)] == ["better"] * 20
    borderline = effect([6 * FIVE - 0.09] * 5)
    assert ALPHA / 20 < borderline.p < ALPHA
    assert claims([borderline])[0].verdict == "better"
    null = [effect([40 * FIVE] * 5)] * 19
    assert claims([borderline, *null])[0].verdict == "undecided"
    # What has no pairs is no part of it.
    assert claims([borderline, *[effect([])] * 19])[0].verdict == "better"


def test_a_lost_run_of_one_arm_changes_nothing_for_the_others() -> None:
    """With one run of another arm deleted a candidate was better without Holm's adjustment: in 85 %
    of studies and not in 51 %; and all others were silent."""
    borderline, clear = effect([6 * FIVE - 0.09] * 5), effect([FIVE - 0.5] * 5)
    null = [effect([40 * FIVE] * 5)] * 18
    whole = claims([borderline, clear, *null])
    lacking = effect([40 * FIVE[:4], *[40 * FIVE] * 4])
    part = claims([borderline, clear, *null[:-1], lacking])
    assert part[:-1] == whole[:-1]
    assert (part[-1].verdict, part[-1].enough, part[-1].exploratory) == ("undecided", False, False)
    # Where it has no pair at all, or all but it lack seeds, the plan knows the family.
    assert claims([borderline, clear, *null[:-1], effect([])], size=20)[:-1] == whole[:-1]
    fewer = [effect([of[:4] for of in [FIVE - 0.5] * 5])] * 2
    assert [one.verdict for one in claims(fewer)] == ["better", "undecided"]
    assert [one.enough for one in claims(fewer, seeds=5)] == [False, False]
    # A candidate that lacks seeds itself is no exception.
    assert claims([lacking, clear])[0].verdict == "undecided"


def test_a_stray_divergence_of_one_arm_changes_nothing_for_the_others() -> None:
    clear = effect([FIVE - 0.5] * 5)
    stray = effect([np.array([*FIVE[:4] - 0.5, INF]), *[FIVE - 0.5] * 4])
    assert [one.verdict for one in claims([clear, stray, clear])] == ["better"] * 3


def test_how_often_runs_diverge_is_tested() -> None:
    """Two equal arms of which half the runs diverge were called better or worse in 50 %."""
    few = claim(np.array([INF, INF, -INF, 0.01, -0.01]))
    assert few.verdict == "undecided"
    rng = np.random.default_rng(3)
    wrong = []
    for _ in range(300):
        arm, reference = rng.random((2, 5, 5)) < 0.3
        lost = np.select([arm & reference, arm, reference], [np.nan, np.inf, -np.inf], 0.0)
        wrong.append(claim(*(lost + rng.normal(0, 1, (5, 5)))).verdict in ("better", "worse"))
    assert np.mean(wrong) <= 0.03
    often = claim(*[np.array([INF, INF, INF, 0.01, -0.01])] * 5)
    assert (often.verdict, set(often.outcomes)) == ("worse", {"diverges"})


def test_how_often_runs_diverge_is_tested_by_the_binomial_test() -> None:
    for arm, reference in [(0, 1), (3, 0), (2, 5), (7, 7), (1, 12)]:
        found = effect([np.array([INF] * arm + [-INF] * reference + [0.1, 0.2])])
        exact = stats.binomtest(arm, arm + reference).pvalue
        assert divergence_p(found) == pytest.approx(exact)
    assert divergence_p(effect([FIVE])) == 1


def test_divergence_and_errors_may_point_to_different_sides() -> None:
    found = claim(*[np.array([INF, INF, *FIVE - 1]) for _ in range(6)])
    assert found.verdict == "mixed"


def test_a_family_needs_more_seeds_to_decide() -> None:
    unsure = effect([12 * FIVE - 0.1] * 5)
    alone = claims([unsure])[0].seeds_needed
    among = claims([unsure, *[effect([40 * FIVE] * 5)] * 19])[0].seeds_needed
    assert alone is not None
    assert among is not None
    assert among > 1.5 * alone


def test_holm_s_adjustment_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.01, 0.04], 4) == pytest.approx(holm([0.01, 1.0, 0.04, 1.0])[::2])


def test_the_arm_and_the_reference_change_places() -> None:
    rng = np.random.default_rng(1)
    opposite = {"better": "worse", "worse": "better"}
    for shift in (-0.5, -0.1, 0, 0.1, 0.5):
        problems = [rng.normal(shift, 0.1, 5) for _ in range(4)]
        one, other = claim(*problems), claim(*[-values for values in problems])
        assert one.p == pytest.approx(other.p)
        # "better" also needs that no problem is inferior, so it may become "mixed".
        assert other.verdict in (opposite.get(one.verdict, one.verdict), "mixed")


@pytest.mark.parametrize("problems", [1, 3])
def test_as_many_seeds_as_needed_mostly_decide(problems: int) -> None:
    rng = np.random.default_rng(6)
    strata = [0.5 + np.array([-1.26, -0.6, 0.0, 0.6, 1.26]) for _ in range(problems)]
    first = claim(*strata)
    assert first.verdict == "undecided"
    assert first.seeds_needed is not None
    again = [claim(*rng.normal(0.5, 1, (problems, first.seeds_needed))) for _ in range(200)]
    assert 0.7 <= np.mean([one.verdict == "worse" for one in again]) <= 0.9


def test_no_number_of_seeds_is_named_that_nobody_would_run_or_without_an_effect() -> None:
    assert claim(*[1e-3 + np.array([-1.0, 0.0, 1.0])] * 3).seeds_needed is None
    assert claim(*[np.array([-1.0, 0.0, 1.0])] * 3).seeds_needed is None
    assert claim(*[THREE - 0.001] * 4, np.full(3, INF)).seeds_needed is None


# Simulations: `claim_simulation` has all designs.


@pytest.mark.parametrize("draw", ["normal", "t₂", "15 % outliers", "10 % diverged"])
@pytest.mark.parametrize("design", [Design(5, 3, False), Design(1, 5, True), Design(20, 3, False)])
def test_the_interval_covers_the_truth(design: Design, draw: str) -> None:
    for _, spread in simulation.spreads(design.problems):
        rng = np.random.default_rng(4)
        found = simulation.coverage(rng, design, simulation.DRAWS[draw], spread, 600)
        assert found >= 0.91  # 93 % less the error of 600 studies


@pytest.mark.parametrize("draw", ["normal", "10 % diverged"])
@pytest.mark.parametrize("problems", [1, 5])
def test_of_twenty_equal_arms_hardly_one_is_claimed(problems: int, draw: str) -> None:
    """It was 27 % of studies."""
    for _, spread in simulation.spreads(problems):
        rng = np.random.default_rng(5)
        design = Design(problems, 5, True)
        found = simulation.wrong(rng, design, simulation.DRAWS[draw], spread, 40, 20)
        assert found.wrong <= 0.05
        assert found.silent == 0


def test_looking_again_after_every_seed_costs_little() -> None:
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(150):
        values = rng.standard_normal((5, 12))
        looks = [claim(*values[:, :seeds]).verdict for seeds in range(3, 13)]
        wrong += any(verdict in ("better", "worse") for verdict in looks)
    assert wrong / 150 <= 0.06


def test_where_problems_differ_an_arm_that_harms_some_is_seldom_called_better() -> None:
    """True effects N(0, 0.3) around 0 made 43 % of studies of 5 × 3 claim something."""
    rng = np.random.default_rng(9)
    wrong = []
    for _ in range(400):
        means = rng.normal(0, 0.3, (5, 1))
        said = claim(*(means + rng.normal(0, 0.1, (5, 3)))).verdict
        wrong.append(said == "better" and means.max() > math.log(1.1))
    assert np.mean(wrong) <= 0.03
