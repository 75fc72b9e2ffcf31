"""A study, a report and a repetition after a definition was redefined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sample_records import of

from bench.report.results import Case, Results
from bench.report.whole_store import plans_of_store
from bench.spec.versions import conflict
from bench.store.record import Record
from bench.store.store import Store
from bench.studies.plan import plans
from bench.suite import main
from bench.text.errors import BadInput
from suites.pinn.models import catalogue

STUDY = ["study", "denormalization", "--suite", "pinn", "--problem", "advection-1d"]
STUDY += ["--model", "fnn-bn:8x2", "--budget", "smoke", "--jobs", "1", "--device", "cpu"]


def test_the_old_baseline_is_neither_reused_nor_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when norm and activation change places in ``fnn-bn``."""
    store = Store(tmp_path)
    out = ["--out", str(tmp_path)]
    assert main([*STUDY, "--seeds", "2", *out]) == 0
    old = {record.spec_hash: record for record in store.records()}
    assert len(old) == 6
    redefined = replace(catalogue.FNN_BN, version=3)
    monkeypatch.setattr(catalogue, "FNN_BN", redefined)
    capsys.readouterr()
    assert main([*STUDY, "--seeds", "1", *out]) == 0
    assert "found in the store" not in capsys.readouterr().err
    new = [record for record in store.records() if record.spec_hash not in old]
    versions = [{"model": 3}] * 2 + [{"model": 3, "normalization": 2}]
    assert sorted((record.spec.versions for record in new), key=len) == versions
    # The plan had two seeds; the second is of the old network.
    (plan,) = plans(store)
    assert [(run.spec.seed, run.spec.versions) for run in plan.runs] == [(0, v) for v in versions]
    (everything,) = plans_of_store(store, None, None)
    assert {run.spec.hash for run in everything.runs} == {record.spec_hash for record in new}
    assert "6 runs of definitions that have been redefined since" in everything.question
    # Today's code cannot repeat what an earlier one has defined.
    name = next(iter(old))
    assert main(["reproduce", name, *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its model has been redefined (version 2, now 3)" in line
    monkeypatch.undo()
    assert main(["reproduce", new[0].spec_hash, *out]) == 2
    assert "(version 3, now 2)" in capsys.readouterr().err


def versioned(record: Record, **versions: int) -> Record:
    spec = msgspec.structs.replace(record.spec, versions=versions)
    return msgspec.structs.replace(record, spec=spec, spec_hash=spec.hash)


def test_an_arm_keeps_its_runs_when_another_is_redefined(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(2):
        for arm in ("baseline", "irelu", "lsuv"):
            store.write(of(arm, seed, 0.1))
        store.write(versioned(of("irelu", seed, 0.2), activation=2))
    (plan,) = plans_of_store(store, None, None)
    assert len(plan.runs) == 6
    assert {run.spec.arm for run in plan.runs if run.spec.versions} == {"irelu"}
    assert plan.question.endswith(
        "(2 runs of definitions that have been redefined since, left out.)"
    )


def test_a_store_of_nothing_but_superseded_runs_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(versioned(of("irelu", 0, 0.1), activation=2))
    store.write(versioned(of("irelu", 1, 0.1), model=2))
    with pytest.raises(BadInput, match="each run of pinn uses a definition that has been"):
        plans_of_store(store, None, None)


def test_a_plan_that_mixes_versions_pairs_none_of_them(tmp_path: Path) -> None:
    """The last line of defence, whatever has made the plan."""
    store = Store(tmp_path)
    for seed in range(3):
        for arm in ("baseline", "irelu"):
            store.write(of(arm, seed, 0.1 if arm == "irelu" else 0.2))
    (plan,) = plans_of_store(store, None, None)
    records = {record.spec_hash: record for record in store.records()}
    assert Results(plan, records).comparisons[0].effect.pairs == 3

    def redefined(seed: int, arm: str) -> bool:
        return (seed, arm) == (1, "irelu")

    runs, mixed = [], {}
    for run in plan.runs:
        record = records[run.spec.hash]
        if redefined(run.spec.seed, run.spec.arm):
            record = versioned(record, model=2)
        runs.append(msgspec.structs.replace(run, spec=record.spec))
        mixed[record.spec_hash] = record
    plan = msgspec.structs.replace(plan, runs=runs, factors=["irelu"], cells=["baseline", "irelu"])
    results = Results(plan, mixed)
    case = Case("advection-1d", "fnn:40x6")
    ours, theirs = results.runs(case, "irelu"), results.runs(case, "baseline")
    assert [conflict(ours[seed].spec, theirs[seed].spec) for seed in range(3)] == [
        False,
        True,
        False,
    ]
    assert results.comparisons[0].effect.pairs == 2
    assert results.factorial_errors[case].shape == (2, 2)
