"""A ranking's results as Python sees them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sample_ranking import at_rate, falling, ranking, write
from sample_study import PROBLEMS

from bench import BadInput
from bench.api.ranked import RankingResults
from bench.ranking.ranking import TRIAL_SEEDS
from bench.store.store import Store

ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4}
BEST = {"baseline": 3e-3, "irelu": 1e-3, "lsuv": 3e-3}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def results(store: Store) -> RankingResults:
    made = write(ranking(), store, falling(ERRORS, spread=0.0), at_rate(BEST))
    return RankingResults(store, [made])


def test_the_answer_is_text(results: RankingResults) -> None:
    assert results.answer.startswith("irelu is better: better on 3 of 3 problems; rank 1")
    assert repr(results) == results.answer


def test_a_row_for_each_arm(results: RankingResults) -> None:
    frame = results.frame().set_index("arm")
    assert list(frame.index) == ["irelu", "baseline", "lsuv"]
    assert frame.ratio.tolist() == pytest.approx([0.5, 1.0, 1.0])
    assert frame["rank"].tolist() == [1, 2, 2]
    assert frame.steps_to_1["irelu"] == pytest.approx(0.5)
    assert frame.steps_to_1_low["irelu"] == pytest.approx(0.5)  # no spread
    assert (frame.cases == 3).all() and (frame.cases_of_ratio == 3).all()
    # Both reach it at the shortest length: nothing is known of the ratio.
    assert math.isnan(frame.steps_to_5["irelu"])
    assert frame.ratio_untuned["irelu"] < 1
    assert frame.candidate.tolist() == [True, False, False]


def test_what_a_figure_leaves_out_has_a_column(store: Store) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        if arm == "baseline" or problem == PROBLEMS[0]:
            return falling(ERRORS, spread=0.0)(problem, arm, seed, share)
        return None if arm == "irelu" else "out-of-memory"

    made = write(ranking(seeds=range(3), candidates=["lsuv"]), store, scores)
    frame = RankingResults(store, [made]).frame().set_index("arm")
    assert frame.diverges_on["irelu"] == 2 and frame.no_result_on["lsuv"] == 2
    assert frame.cases_of_ratio.loc[["irelu", "lsuv"]].tolist() == [1, 1]
    # A bound of all, whatever the one problem says on which it is exact.
    assert math.isnan(frame.steps_to_1["irelu"]) and frame.steps_to_1_low["irelu"] > 1


def test_a_row_for_each_trial(results: RankingResults) -> None:
    frame = results.tuning()
    assert len(frame) == 3 * 3 * 3 * len(TRIAL_SEEDS)
    assert sorted(frame.lr.unique()) == [1e-3, 3e-3, 1e-2]
    assert frame.groupby("arm", observed=True).chosen.sum().tolist() == [6, 6, 6]
    assert frame.error.tolist() == pytest.approx((10 * frame.selection).tolist())


def test_curves_are_of_scored_runs(results: RankingResults) -> None:
    frame = results.curves("L2RE")
    assert set(frame.seed) == set(range(5)) and set(frame.arm) == set(ERRORS)


def test_a_page_is_of_one_suite(results: RankingResults, store: Store, tmp_path: Path) -> None:
    page = results.report(tmp_path / "page.html")
    assert "irelu is better" in page.read_text()
    other = write(ranking(suite="molecular"), store, falling(ERRORS))
    both = RankingResults(store, [*results.rankings, other])
    assert len(both.frame()) == 6 and both.answer.count("irelu is better") == 2
    with pytest.raises(BadInput, match="pinn, molecular"):
        both.report(tmp_path / "page.html")


def test_without_results_there_are_rows_without_figures(store: Store) -> None:
    made = write(ranking(), store, falling(dict.fromkeys(ERRORS, "waiting")))
    frame = RankingResults(store, [made]).frame()
    assert len(frame) == 3 and frame["rank"].isna().all()
    assert RankingResults(store, [made]).answer.startswith("No answer yet")
