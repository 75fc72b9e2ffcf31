"""Stores that earlier code has written still read: one a schema, committed when it was today's.

`stores/schema-N` is what these commands left, but locks and reports: a study of two arms of a PINN,
a potential, and a run that did not end (of 2 also one without the memory).
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from bench.store import checkpoint
from bench.store.record import SCHEMA, Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.studies.plan import plans
from bench.suite import main

STORES = Path(__file__).parents[1] / "stores"
STATUSES = {
    1: ["done"] * 5 + ["interrupted"],
    2: ["done"] * 5 + ["out-of-memory", "timeout"],
}
COMMAND = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--model", "fnn:8x2"]
COMMAND += ["--arm", "irelu", "--device", "cpu", "--jobs", "1", "--protocol", "paper"]


@pytest.fixture(params=STATUSES, ids=lambda schema: f"schema {schema}")
def schema(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def store(schema: int, tmp_path: Path) -> Store:
    return Store(shutil.copytree(STORES / f"schema-{schema}", tmp_path / "store"))


def test_there_is_one_of_every_schema() -> None:
    assert sorted(STATUSES) == list(range(1, SCHEMA + 1))


def test_every_record_reads(store: Store, schema: int, capsys: pytest.CaptureFixture[str]) -> None:
    records = list(store.records())
    assert capsys.readouterr().err == ""
    assert sorted(record.status for record in records) == STATUSES[schema]
    assert {record.schema for record in records} == {schema}
    for record in records:
        assert main(["show", record.spec_hash, "--out", str(store.root)]) == 0
        assert record.status in capsys.readouterr().out
        if record.status == "done":
            assert record.metrics and record.history["step"][0] == 0
            assert load_weights(store.find_weights(record.spec_hash))


def test_its_study_is_reported(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (plan,) = plans(store)
    assert len(plan.runs) == 4
    assert main(["report", "--study", plan.study, "--format", "csv", "--out", str(store.root)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["status"] for row in rows] == ["done"] * 4
    assert all(float(row["L2RE"]) > 0 for row in rows)


def test_its_runs_are_found_and_new_ones_added(
    store: Store, schema: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {record.spec_hash: record for record in store.records()}
    assert main([*COMMAND, "--seeds", "3", "--out", str(store.root)]) == 0
    out, err = capsys.readouterr()
    assert "4 runs found in the store" in err
    if schema < SCHEMA:
        assert "4 of the runs were made by other code" in err and "of other code" in out
    after = {record.spec_hash: record for record in store.records()}
    new: list[Record] = [after[name] for name in after.keys() - before.keys()]
    assert [(r.schema, r.seed) for r in new] == [(SCHEMA, 2)] * 2
    assert all(after[name] == before[name] for name in before)


def test_what_it_left_unfinished_is_begun_anew(store: Store) -> None:
    unfinished = next(r for r in store.records() if r.status in ("interrupted", "timeout"))
    path = store.checkpoint(unfinished.spec_hash)
    today = {"code": {}, "versions": {}}
    state, why = checkpoint.load(path, unfinished.spec_hash, today)
    at = f"the checkpoint at step {unfinished.steps_done}"
    assert (state, why) == (None, f"{at} is of other code and versions: starting anew")
