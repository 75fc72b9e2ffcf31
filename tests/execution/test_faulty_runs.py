"""What may become of a run in a night of many: its own status and reason, and the others go on."""

from __future__ import annotations

import datetime
import gc
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite
from command_server import Popen
from regression_task import CPU, Regression

from bench.execution import pool
from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main

COMMON = ["lone", "--no-baseline", "--arm", "tanh", "--device", "cpu", "--json"]
WORKERS = ["--jobs", "2"]
HERE = ["--jobs", "1"]

Run = Callable[..., tuple[int, dict[int, Record], str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, records by seed and stderr of seeds 0, 1, 2, of which 1 has the fault."""
    monkeypatch.chdir(tmp_path)
    toy_suite.use(tmp_path, monkeypatch)

    def execute(fault: str, *arguments: str, suite: str = "lone") -> Any:
        words = [suite, *COMMON[1:], "--seeds", "3", "--fail", fault, *arguments]
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        asked = {record["seed"]: record["status"] for record in json.loads(out)}
        records = {record.seed: record for record in Store(tmp_path / "bench-results").records()}
        assert asked == {seed: record.status for seed, record in records.items()}
        return code, records, err

    return execute


def check_others(records: dict[int, Record]) -> None:
    assert {seed: records[seed].status for seed in (0, 2)} == {0: "done", 2: "done"}


@pytest.mark.parametrize(
    ("fault", "where", "status", "reason"),
    [
        ("oom", HERE, "out-of-memory", "can't allocate memory"),
        ("oom-numpy", HERE, "out-of-memory", "Unable to allocate"),
        ("exit", HERE, "failed", "SystemExit: 7"),
        ("evaluate", HERE, "failed", "no score for seed 1"),
        pytest.param(
            *("segfault", WORKERS, "failed", "killed by signal 11 (Segmentation fault)"),
            marks=pytest.mark.real_processes,
        ),
        ("nan", HERE, "diverged", "the loss was nan at step 60"),
        ("inf", HERE, "diverged", "the loss was inf at step 60"),
        ("explode", HERE, "diverged", "the loss grew from "),
    ],
)
def test_a_fault_is_a_status_with_its_reason_and_the_others_go_on(
    run: Run, fault: str, where: Sequence[str], status: str, reason: str
) -> None:
    code, records, err = run(fault, *where)
    assert records[1].status == status
    assert records[1].reason and reason in records[1].reason
    check_others(records)
    good = status in ("done", "diverged")
    assert code == (0 if good else 1)
    assert (f"runs without a result: 1 {status}; the same command tries again" in err) is not good
    if status == "diverged":
        assert 60 <= records[1].steps_done <= 100
        assert records[1].history["step"][-1] == records[1].steps_done


def test_a_spike_is_no_divergence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(toy_suite.LOSSES, "explode", 1e6)
    code, records, _ = run("explode", *HERE)
    assert (code, records[1].status) == (0, "done")


def test_what_another_process_fails_meanwhile_is_not_tried_again(run: Run, tmp_path: Path) -> None:
    _, records, _ = run("exit", *HERE)
    store = Store(tmp_path / "bench-results")
    held = threading.Event()

    def fail() -> None:
        with store.claim(records[1].spec_hash).held():
            held.set()
            time.sleep(1)
            now = datetime.datetime.now(datetime.UTC).isoformat()
            theirs = msgspec.structs.replace(records[1], reason="of another", started=now)
            store.write(theirs)

    other = threading.Thread(target=fail)
    other.start()
    held.wait()
    code, records, err = run("exit", *HERE)
    other.join()
    assert (code, records[1].reason) == (1, "of another")
    assert err.count("another process is training it") == 1
    # A new command tries what had failed before it.
    _, records, _ = run("exit", *HERE)
    assert records[1].reason and "SystemExit: 7" in records[1].reason


# Time limits.


@pytest.mark.parametrize("fault", ["hang-hard", "hang-build"])
def test_a_run_that_hangs_is_killed_when_its_time_is_over(
    run: Run, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(pool, "_OVERTIME_S", 1.0)
    start = time.monotonic()
    # In one worker, which is replaced for the last run.
    code, records, err = run(fault, "--timeout", "6", "--jobs", "1")
    assert time.monotonic() - start < 60
    assert code == 1 and "1 timeout" in err
    assert records[1].status == "timeout"
    assert records[1].reason and records[1].reason.startswith("6 s were over inside a step")
    check_others(records)


def test_a_slow_run_keeps_its_state_at_the_limit_and_is_continued(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.1")
    code, records, _ = run("none", "--timeout", "2", "--jobs", "2")
    assert code == 1
    for record in records.values():
        assert record.status == "timeout"
        assert record.reason == f"2 s were over at step {record.steps_done}"
        assert 0 < record.steps_done < toy_suite.STEPS
        assert record.metrics
    monkeypatch.setenv("TOY_DELAY", "0")
    code, records, _ = run("none", "--timeout", "60", "--jobs", "1")
    assert code == 0
    assert {(r.status, r.resumed, r.reason) for r in records.values()} == {("done", 1, None)}


def test_seeds_that_are_trained_together_have_the_time_of_all(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_DELAY", "0.02")
    # 100 steps of 3 seeds of 0.02 s: 6 s and more, but each seed's share is about 2 s.
    code, records, _ = run("none", "--timeout", "4", "--seeds-together", "on", suite="toy")
    assert code == 0
    assert {record.status for record in records.values()} == {"done"}


def test_what_the_killed_run_had_is_in_its_record(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_OVERTIME_S", 1.0)
    monkeypatch.setenv("TOY_DELAY", "0.1")
    run("hang", "--timeout", "3", "--jobs", "2")  # ends at some step, with a checkpoint
    monkeypatch.setenv("TOY_DELAY", "0")
    code, records, _ = run("hang", "--timeout", "4", "--jobs", "1")
    assert code == 1
    record = records[1]
    assert record.status == "timeout" and record.reason and "inside a step" in record.reason
    assert 0 < record.steps_done <= 60
    assert record.history["step"][0] == 0 and record.metrics["error"].final is not None


# Memory.


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than two seeds at a time are too much."""
    build = toy_suite.ToySuite.build_together

    def build_together(suite: toy_suite.ToySuite, specs: Sequence[Any], device: Any) -> Any:
        if len(specs) > 2:
            toy_suite.FAULTS["oom"](device)
        return build(suite, specs, device)

    monkeypatch.setattr(toy_suite.ToySuite, "build_together", build_together)


TOGETHER = ["--seeds-together", "on", "--jobs", "1"]


@pytest.mark.usefixtures("greedy")
def test_seeds_that_do_not_fit_together_are_all_out_of_memory(run: Run) -> None:
    code, records, err = run("none", *TOGETHER, suite="toy")
    assert code == 1 and "3 out-of-memory" in err
    assert {record.status for record in records.values()} == {"out-of-memory"}


def test_they_are_halved_when_asked_for(run: Run, request: pytest.FixtureRequest) -> None:
    _, whole, _ = run("none", *TOGETHER, suite="toy")
    request.getfixturevalue("greedy")
    code, records, err = run("none", *TOGETHER, "--halve-on-oom", "--rerun", suite="toy")
    assert code == 0 and err.count("\n") == 3
    assert {s: r.environment["seeds_together"] for s, r in records.items()} == {0: 1, 1: 2, 2: 2}
    for seed, record in records.items():
        assert (record.status, record.metrics) == ("done", whole[seed].metrics)


def test_a_process_that_the_kernel_kills_for_its_memory_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.count()
    monkeypatch.setattr(pool, "_kills_for_memory", lambda: str(next(kills)))
    code, records, _ = run("killed", *WORKERS)
    assert (code, records[1].status) == (1, "out-of-memory")
    assert records[1].reason and "the kernel killed its process" in records[1].reason
    check_others(records)


def test_a_batch_is_not_divided_by_a_task_that_cannot(run: Run) -> None:
    code, records, _ = run("oom", *HERE, "--halve-on-oom")
    assert (code, records[1].status) == (1, "out-of-memory")
    check_others(records)


# What the parent of the workers does about them.


def test_a_result_that_was_not_heard_in_time_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when this process was stopped (Ctrl-Z) while its workers went on."""
    monkeypatch.setattr(pool, "_OVERTIME_S", 0.0)
    heed = pool.Pool._heed

    def sleepy(self: pool.Pool, worker: Any, message: Any) -> None:
        heed(self, worker, message)
        if isinstance(message, pool.Began):
            time.sleep(5)

    monkeypatch.setattr(pool.Pool, "_heed", sleepy)
    code, records, _ = run("none", "--timeout", "4", "--jobs", "1")
    assert code == 0
    assert {record.status for record in records.values()} == {"done"}


def test_a_run_that_another_process_has_taken_over_is_not_written_off(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, before, _ = run("killed", *WORKERS)
    store, how_it_died = Store(tmp_path / "bench-results"), pool._Worker.how_it_died

    def how_while_another_finishes(worker: pool._Worker) -> tuple[Any, str]:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        theirs = msgspec.structs.replace(before[1], status="done", reason=None, started=now)
        store.write(theirs)
        return how_it_died(worker)

    monkeypatch.setattr(pool._Worker, "how_it_died", how_while_another_finishes)
    code, records, _ = run("killed", *WORKERS)
    assert (code, records[1].status) == (0, "done")


def test_a_thread_that_a_technique_leaves_running_holds_nothing_up(run: Run) -> None:
    start = time.monotonic()
    code, records, _ = run("thread", *WORKERS)
    assert code == 0 and time.monotonic() - start < 60
    assert {record.status for record in records.values()} == {"done"}


def test_a_process_that_a_technique_has_forked_hides_no_death(run: Run) -> None:
    start = time.monotonic()
    code, records, _ = run("fork-killed", *WORKERS)
    assert code == 1 and time.monotonic() - start < 60
    assert records[1].reason and "killed by signal 9" in records[1].reason
    check_others(records)


@pytest.mark.parametrize("alone", [True, False])
def test_one_seed_of_several_that_has_no_memory_is_tried_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    evaluate = Regression.evaluate

    def greedy(task: Regression) -> Any:
        crowded = sum(isinstance(o, Regression) for o in gc.get_objects()) > 1
        if task.seed == 1 and task.evaluations == 2 and (crowded or not alone):
            toy_suite.FAULTS["oom"](CPU)
        return evaluate(task)

    monkeypatch.setattr(Regression, "evaluate", greedy)
    code, records, _ = run("none", *TOGETHER, "--halve-on-oom", suite="toy")
    check_others(records)
    assert records[1].status == ("done" if alone else "out-of-memory")
    assert records[1].seeds_together == 1 and code == (0 if alone else 1)


def test_the_record_of_a_lost_run_says_what_is_known_of_it(run: Run) -> None:
    before = datetime.datetime.now(datetime.UTC)
    _, records, _ = run("segfault", *WORKERS)
    lost, other = records[1], records[0]
    # But for the cores: a worker has one.
    assert {**lost.environment, "cores": 1} == other.environment
    assert lost.environment["jobs"] == 2
    assert lost.peak_memory_mb is None and other.peak_memory_mb
    assert before < datetime.datetime.fromisoformat(lost.started)


@pytest.mark.parametrize("started", ["", "2100-01-01", "soon"])
def test_a_record_whose_time_is_no_time_is_tried_again(
    run: Run, tmp_path: Path, started: str
) -> None:
    _, records, _ = run("exit", *HERE)
    store = Store(tmp_path / "bench-results")
    store.write(msgspec.structs.replace(records[1], started=started, reason="of another"))
    _, records, _ = run("exit", *HERE)
    assert records[1].reason and "SystemExit: 7" in records[1].reason


def test_progress_that_nobody_reads_stops_no_run(run: Run, tmp_path: Path) -> None:
    del run  # which installs the suites
    command = [sys.executable, "-m", "bench.suite", *COMMON, "--seeds", "3", "--jobs", "1"]
    process = Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(120) == 0
    assert len(list(Store(tmp_path / "bench-results").records())) == 3


def test_no_output_at_all(run: Run, tmp_path: Path) -> None:
    del run  # which installs the suites
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m bench.suite list >&- 2>&-"])
    assert done.returncode == 0
