"""A call that ends at a given time, whatever is done by then, and that the next one continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite
from sample_records import SPEC, record

from bench.execution import pool
from bench.execution.find_or_run import find_or_run
from bench.execution.options import ExecutionOptions
from bench.execution.progress import QuietReporter
from bench.execution.run_all import run_all
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import Record
from bench.store.store import Store
from bench.training.policy import RunPolicy, Stopped

#: In this process, in one worker, in two.
PLACES = ["here", "1", "2"]

Call = Callable[..., tuple[list[Record], Stopped | None]]


def specs(seeds: int = 2, fail: str | None = None, suite: str = "lone") -> list[Spec]:
    """Of which seed 1 has the fault."""
    base = msgspec.structs.replace(
        SPEC,
        suite=suite,
        problem="sine",
        model="net",
        axes={
            "activation": "tanh",
            "normalization": "denorm",
            "rescaling": "rescale=1",
            "initialization": "glorot",
        },
        settings={"diverge": None, "fail": fail},
        training=Training(steps=toy_suite.STEPS, lr=1e-2, evaluations=4),
    )
    return [msgspec.structs.replace(base, seed=seed) for seed in range(seeds)]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The suites, and a file with the hash of each run that was begun."""
    toy_suite.use(tmp_path, monkeypatch)
    path = tmp_path / "journal"
    path.touch()
    monkeypatch.setenv("TOY_JOURNAL", str(path))
    return path


@pytest.fixture
def call(tmp_path: Path, journal: Path) -> Call:
    def run(
        wanted: Sequence[Spec],
        place: str,
        seconds: float | None,
        expected_s: Mapping[str, float] | None = None,
        store: str = "results",
        together: bool = False,
    ) -> tuple[list[Record], Stopped | None]:
        until = None if seconds is None else time.time() + seconds
        expected = dict(expected_s or {})
        if place == "here":
            policy = RunPolicy(
                Store(tmp_path / store), "cpu", until=until, expected_s=expected, together=together
            )
            policy.store.prepare()
            return run_all(wanted, policy, True, QuietReporter(wanted))
        options = ExecutionOptions(
            store=tmp_path / store, jobs=place, seeds_together="on" if together else "off"
        )
        suite: Any = toy_suite.TOY if wanted[0].suite == "toy" else toy_suite.LONE
        return find_or_run(
            suite, wanted, "cpu", options, progress=False, until=until, expected_s=expected
        )

    return run


def numbers(store: Store) -> dict[int, Any]:
    """By seed all of a record that training makes, but for times."""
    return {
        record.seed: (
            record.status,
            record.metrics,
            record.losses,
            {name: rows for name, rows in record.history.items() if name != "seconds"},
            record.best_step,
        )
        for record in store.records()
    }


@pytest.mark.parametrize("place", ["here", "2"])
def test_what_is_in_training_is_kept_and_the_next_call_continues_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.6")  # 60 s a run
    for seconds in (2.0, 5.0, 10.0, 25.0):  # on a busy machine a process takes long to start
        records, stopped = call(specs(), place, seconds)
        assert stopped == "time"
        if records:  # what was not begun has none
            break
    for one in records:
        assert one.status == "interrupted"
        assert 0 < one.steps_done < toy_suite.STEPS
        assert one.reason == f"the time of the call was over at step {one.steps_done}"
    monkeypatch.delenv("TOY_DELAY")
    records, stopped = call(specs(), place, 600.0)
    assert stopped is None
    assert [(one.seed, one.status) for one in records] == [(0, "done"), (1, "done")]
    assert max(one.resumed for one in records) == 1
    call(specs(), "here", None, store="straight")
    assert numbers(Store(tmp_path / "results")) == numbers(Store(tmp_path / "straight"))


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_cannot_end_in_time_is_not_begun_and_shorter_ones_are(
    call: Call, journal: Path, place: str
) -> None:
    wanted = specs(3)
    expected = dict(zip((spec.hash for spec in wanted), (1.0, 1000.0, 1.0), strict=True))
    records, stopped = call(wanted, place, 300.0, expected)
    assert stopped == "time"
    assert [(one.seed, one.status) for one in records] == [(0, "done"), (2, "done")]
    begun = {line.split()[0] for line in journal.read_text().splitlines()}
    assert begun == {wanted[0].hash, wanted[2].hash}


def test_no_process_is_started_for_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Pool", None)
    assert call(specs(), "2", -1.0) == ([], "time")
    assert call(specs(), "2", 60.0, {spec.hash: 61.0 for spec in specs()}) == ([], "time")


def test_a_call_that_has_all_results_was_not_stopped(call: Call) -> None:
    call(specs(), "here", None)
    records, stopped = call(specs(), "2", -1.0, {spec.hash: 1e9 for spec in specs()})
    assert (len(records), stopped) == (2, None)


def test_a_run_that_continues_needs_the_rest_of_its_time(call: Call, tmp_path: Path) -> None:
    (spec,) = specs(1)
    expected = {spec.hash: 1000.0}
    assert call([spec], "here", 200.0, expected) == ([], "time")
    store = Store(tmp_path / "results")
    store.write(record(spec, status="interrupted", steps_done=90))  # 100 s are left
    records, stopped = call([spec], "here", 200.0, expected)
    assert ([one.status for one in records], stopped) == (["done"], None)


@pytest.mark.parametrize("place", PLACES)
def test_seeds_that_are_trained_together_need_the_time_of_all(call: Call, place: str) -> None:
    wanted = specs(3, suite="toy")
    expected = {spec.hash: 100.0 for spec in wanted}
    assert call(wanted, place, 250.0, expected, together=True) == ([], "time")
    records, stopped = call(wanted, place, 350.0, expected, together=True)
    assert ({one.seeds_together for one in records}, stopped) == ({3}, None)


@pytest.mark.parametrize("fault", ["hang-hard", "hang-build"])
def test_a_run_that_hangs_holds_nothing_up(
    call: Call, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(pool, "_OVERTIME_S", 1.0)
    start = time.monotonic()
    for seconds in (4.0, 10.0, 25.0):
        records, stopped = call(specs(2, fault), "2", seconds)
        assert stopped == "time"
        if records and records[-1].seed == 1:  # else it had not been begun
            break
    assert time.monotonic() - start < 100
    assert records[-1].status == "interrupted"
    assert records[-1].reason is not None
    assert records[-1].reason.startswith("the time of the call was over inside a step")


@pytest.mark.parametrize("place", PLACES)
def test_what_another_process_holds_is_not_waited_for(
    call: Call, tmp_path: Path, place: str
) -> None:
    wanted = specs()
    claim = Store(tmp_path / "results").claim(wanted[0].hash)
    assert claim.take()
    try:
        records, stopped = call(wanted, place, 1.0)
    finally:
        claim.release()
    assert (wanted[0].hash in {one.spec_hash for one in records}, stopped) == (False, "time")


def test_ctrl_c_is_told_from_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_INTERRUPT", "0@40")
    records, stopped = call(specs(), "here", 600.0)
    assert [one.reason for one in records] == ["signal 2 at step 41"]
    assert stopped == "signal"
