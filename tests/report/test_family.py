"""Runs of which nobody declared a comparison: a whole store's report, and `bench.load`."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_runs import factors, filled, specs

import bench
from bench.report.family import UndeclaredResults, read_results
from bench.report.findings import limits
from bench.report.results import Results
from bench.report.whole_store import plans_of_store
from bench.store.store import Store

ERRORS = factors({"baseline": 1.0, "aaa": 0.5, "irelu": 0.5})


def store_of(root: Path, arms: list[str], seeds: int) -> Store:
    return filled(root, specs(["baseline", *arms], seeds), ERRORS)


def of_store(store: Store) -> Results:
    (plan,) = plans_of_store(store, None, None)
    return read_results(plan, store)


@pytest.mark.parametrize(
    ("arms", "seeds", "verdicts"),
    [
        (["aaa", "irelu"], 3, ["undecided", "undecided"]),
        (["irelu"], 3, ["better"]),
        (["aaa", "irelu"], 5, ["better", "better"]),
    ],
)
def test_the_first_arm_of_the_alphabet_is_not_declared(
    tmp_path: Path, arms: list[str], seeds: int, verdicts: list[str]
) -> None:
    store = store_of(tmp_path / "s", arms, seeds)
    found = of_store(store)
    assert isinstance(found, UndeclaredResults)
    assert [one.outcome for one in found.comparisons] == verdicts
    assert bench.load(store.root).compare()["verdict"].tolist() == verdicts
    page = bench.load(store.root).report(tmp_path / "page.html").read_text()
    assert page.count('class="better"') > 0 or "better" not in verdicts
    # No sentence says that a first one may claim.
    assert "the first one alone" not in " ".join(limits(found))


def test_a_study_has_declared_its_first_comparison(tmp_path: Path) -> None:
    from sample_study import constant, plan, results

    found = results(constant({"baseline": 0.4, "aaa": 0.2, "irelu": 0.2}),
                    plan(["baseline", "aaa", "irelu"]))  # fmt: skip
    assert [one.outcome for one in found.comparisons] == ["better", "undecided"]
    assert type(read_results(found.plan, Store(tmp_path))) is Results
