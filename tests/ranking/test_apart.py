"""Trials and other lengths of rankings are no results of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from stored_runs import factors, filled, made, ranked, spec, specs

import bench
from bench.ranking.apart import apart
from bench.ranking.ranking import Contestant, save
from bench.report.whole_store import plans_of_store, results_of_store
from bench.store.store import Store
from bench.text.errors import BadInput

ERRORS = factors({"baseline": 1.0, "irelu": 0.5})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = filled(tmp_path / "store", [], ERRORS)
    ranked(found, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    return found


def test_each_is_called_what_it_is(store: Store) -> None:
    aside = apart(store)
    assert aside.why(made(spec(seed=1_000_000), 0.1)) == "tuning trials"
    assert aside.why(made(spec(steps=50), 0.1)) == "runs of another length"
    assert aside.why(made(spec(), 0.1)) is None
    # At that length, but of no ranking.
    assert aside.why(made(spec(steps=50, seed=77), 0.1)) is None


def test_a_trial_is_one_even_if_its_ranking_has_gone(store: Store) -> None:
    next((store.root / "rankings").iterdir()).unlink()
    assert apart(store).why(made(spec(seed=1_000_001), 0.1)) == "tuning trials"


def test_a_report_of_the_whole_store_is_of_results_alone(store: Store) -> None:
    (plan,) = plans_of_store(store, None, None)
    assert {one.seed for one in plan.specs} == set(range(5))
    assert {one.training.steps for one in plan.specs} == {100}
    read = results_of_store(store, None, None)
    assert len(read.by_suite["pinn"]) == 2 * 3 * 5
    assert len(read.left_out) == 2 * 3 * 2 * 2 + 2 * 3 * 5


def test_so_is_what_python_compares(store: Store) -> None:
    # Trials at one rate would otherwise be the most frequent kind.
    frame = bench.load(store.root).compare()
    assert set(frame["arm"]) <= {"irelu"}
    assert len(bench.load(store.root)) == 30 + 24 + 30


def test_a_store_of_trials_alone_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", [spec(seed=1_000_000)], ERRORS)
    with pytest.raises(BadInput, match=r"no runs .* tuning trials \(1\)"):
        plans_of_store(store, None, None)


def test_a_technique_that_was_tuned_belongs_to_its_ranking_alone(store: Store) -> None:
    ranking = ranked(store, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS, seeds=1)
    changes: dict[str, Any] = {
        "setting": {"lr": 3e-3, "rescale": 16.0},
        "untuned": {"lr": 1e-3, "rescale": 1.0},
    }
    choices = [
        msgspec.structs.replace(choice, **changes) if choice.arm == "irelu" else choice
        for choice in ranking.choices
    ]
    arms = [ranking.arms[0], Contestant("irelu", tune={"rescale": [1.0, 16.0]}, candidate=True)]
    save(msgspec.structs.replace(ranking, choices=choices, arms=arms), store)
    aside = apart(store)
    assert aside.retuned == {one.hash for one in specs(["irelu"], 1, lr=3e-3)}
    (plan,) = plans_of_store(store, None, None)
    assert not {one.hash for one in plan.specs} & aside.retuned
