"""Seeds trained as one model leave the records that each would have left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import toy_suite
from command_server import Popen, run

from bench.plugins import load_suite
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.suite import main
from bench.task import Batchable

#: Checkpoints at every block of steps.
PROGRAM = """
import sys
import bench.training.loop
from bench.suite import main
bench.training.loop._CHECKPOINT_SECONDS = 0.0
sys.exit(main(sys.argv[1:]))
"""


class Place:
    """A store, and the command line that fills it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = Store(folder)
        self._capsys = capsys
        self.err = ""

    def arguments(self, *arguments: str) -> list[str]:
        common = ["toy", "--no-baseline", "--device", "cpu", "--jobs", "1", "--json"]
        arms = [] if "--arm" in arguments else ["--arm", "baseline"]
        return [*common, *arms, "--out", str(self.store.root), *arguments]

    def run(self, *arguments: str, code: int = 0) -> dict[int, Record]:
        """The records that the command prints, by seed."""
        records = self.run_all(*arguments, code=code)
        return {record.seed: record for record in records}

    def run_all(self, *arguments: str, code: int = 0) -> list[Record]:
        assert main(self.arguments(*arguments)) == code
        out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        return msgspec.json.decode(out, type=list[Record])

    def saved_step(self, record: Record) -> int | None:
        path = self.store.checkpoint(record.spec_hash)
        return torch.load(path, weights_only=True)["log"]["step"] if path.exists() else None

    def outcome(self, record: Record) -> dict[str, Any]:
        """Everything of a run that only its spec may decide, as it is on disk."""
        assert self.store.read(record.spec_hash) == record
        weights = self.store.weights(record.spec_hash)
        return {
            "hash": record.spec_hash,
            "spec": record.spec,
            "status": (record.status, record.reason),
            "steps": (record.steps_done, record.best_step, record.timing.steps_timed),
            "metrics": record.metrics,
            "units": record.units,
            "losses": record.losses,
            "history": {k: v for k, v in record.history.items() if k != "seconds"},
            "diagnostics": record.diagnostics,
            "warnings": record.warnings,
            "checkpoint": self.saved_step(record),
            "weights": weights.exists()
            and {k: v.numpy().tobytes() for k, v in load_weights(weights).items()},
        }

    def outcomes(self, records: dict[int, Record]) -> dict[int, dict[str, Any]]:
        return {seed: self.outcome(record) for seed, record in records.items()}


def together(records: dict[int, Record]) -> dict[int, int]:
    """With how many seeds each was trained."""
    return {seed: record.environment["seeds_together"] for seed, record in records.items()}


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy suites are installed, for subprocesses too."""
    toy_suite.use(tmp_path, monkeypatch)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path / "together", capsys)


@pytest.fixture
def alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[int, Any]]:
    """The outcomes of the same command, each seed alone."""

    def run(*arguments: str) -> dict[int, Any]:
        other = Place(tmp_path / "alone", capsys)
        records = other.run(*arguments, "--seeds-together", "off")
        assert set(together(records).values()) == {1}
        return other.outcomes(records)

    return run


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Ctrl-C in the middle of the step ``seed@step`` or in ``seed@evaluation n``."""

    def at(where: str | None) -> None:
        monkeypatch.setenv("TOY_INTERRUPT", where or "")

    yield at


ON = ("--seeds-together", "on")

# The same as alone.


def test_records_are_those_of_runs_alone(place: Place, alone: Callable[..., Any]) -> None:
    records = place.run("--seeds", "3", *ON)
    assert together(records) == {0: 3, 1: 3, 2: 3}
    outcomes = place.outcomes(records)
    assert outcomes == alone("--seeds", "3")
    metrics = [outcome["metrics"]["error"].final for outcome in outcomes.values()]
    assert len(set(metrics)) == 3  # or the comparison would mean little
    assert len({outcome["metrics"]["drawn"].final for outcome in outcomes.values()}) == 3


def test_times_and_memory_are_those_of_all_at_once(place: Place) -> None:
    records = place.run("--seeds", "3", *ON)
    for name in ("train_s", "build_s", "step_ms_median"):
        assert len({getattr(record.timing, name) for record in records.values()}) == 1
    assert all(record.peak_memory_mb for record in records.values())


def test_whoever_reads_a_time_is_told_of_how_many(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    command = place.arguments("--seeds", "3", *ON)
    command.remove("--json")
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "ms/step (3 seeds together)" in out
    assert main(["show", place.store.names()[0], "--out", str(place.store.root)]) == 0
    assert "ms per step of 3 seeds together)" in capsys.readouterr().out


def test_json_is_in_the_order_asked_for_and_each_run_has_its_line(place: Place) -> None:
    records = place.run_all("--seed", "2", "--seed", "0", "--arm", "irelu", *ON)
    assert [record.seed for record in records] == [2, 0]
    lines = place.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("[1/2] sine net irelu seed 2: done in")


def test_a_run_is_found_again_however_it_was_trained(place: Place) -> None:
    first = place.run("--seeds", "2", *ON)
    assert place.run("--seeds", "2", "--seeds-together", "off") == first
    more = place.run("--seeds", "4", *ON)
    assert together(more) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert more[0] == first[0]
    again = place.run("--seeds", "4", *ON, "--rerun")
    assert together(again) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert {seed: r.resumed for seed, r in again.items()} == {0: 0, 1: 0, 2: 0, 3: 0}


def test_groups_are_of_what_differs_in_the_seed_alone(
    place: Place,
) -> None:
    command = ["--problem", "sine", "--problem", "cosine", "--arm", "baseline", "--arm", "irelu"]
    records = place.run_all(*command, "--seeds", "2", *ON)
    found = [(r.problem, r.arm, r.seed, r.environment["seeds_together"]) for r in records]
    assert found == [
        (problem, arm, seed, size)
        for problem, size in (("sine", 2), ("cosine", 1))
        for arm in ("baseline", "irelu")
        for seed in (0, 1)
    ]


# The option.


def test_auto_is_off_on_the_cpu(place: Place) -> None:
    assert together(place.run("--seeds", "2")) == {0: 1, 1: 1}


def test_a_bad_value_is_one_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(place.arguments("--seeds-together", "onn")) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "--seeds-together 'onn'; did you mean 'on'?" in err


def test_a_suite_that_cannot_refuses(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(load_suite("toy"), Batchable)
    assert not isinstance(load_suite("lone"), Batchable)
    out = place.store.root
    assert main(["lone", *ON, "--out", str(out)]) == 2
    assert "--seeds-together 'on': suite 'lone' trains each seed alone" in capsys.readouterr().err
    assert not out.exists()


# One seed ends before the others.


def test_a_seed_that_diverges_leaves_the_others_as_they_are(
    place: Place, alone: Callable[..., Any]
) -> None:
    command = ["--seeds", "3", "--diverge", "1"]
    records = place.run(*command, *ON)
    assert [records[seed].status for seed in range(3)] == ["done", "diverged", "done"]
    assert records[1].reason == "the loss was nan at step 60"
    assert place.outcomes(records) == alone(*command)
    # It is not held back until the others have ended.
    assert "seed 1: diverged" in place.err.splitlines()[0]
    assert records[1].timing.train_s < records[0].timing.train_s


def test_a_seed_that_cannot_be_scored_leaves_the_others_as_they_are(
    place: Place, alone: Callable[..., Any]
) -> None:
    records = place.run("--seeds", "3", "--fail", "evaluate", *ON, code=1)
    assert [records[seed].status for seed in range(3)] == ["done", "failed", "done"]
    assert records[1].reason and records[1].reason.startswith("RuntimeError: no score for seed 1")
    whole = alone("--seed", "0", "--seed", "2", "--fail", "evaluate")
    assert {seed: place.outcome(records[seed]) for seed in (0, 2)} == whole


@pytest.mark.parametrize(
    ("fault", "said", "steps"),
    [("build", "no batch today", 0), ("step", "no step for anyone", 50)],
)
def test_a_batch_that_fails_fails_for_all(place: Place, fault: str, said: str, steps: int) -> None:
    records = place.run("--seeds", "3", "--fail", fault, *ON, code=1)
    assert together(records) == {0: 3, 1: 3, 2: 3}
    for record in records.values():
        assert (record.status, record.steps_done) == ("failed", steps)
        assert record.reason and record.reason.startswith(f"RuntimeError: {said} (")
        assert place.store.read(record.spec_hash) == record


# Interrupted and continued.


@pytest.mark.parametrize("again", ["on", "off"])
@pytest.mark.parametrize("first", ["on", "off"])
def test_interrupted_and_continued(
    place: Place,
    alone: Callable[..., Any],
    interrupt: Callable[[str | None], None],
    first: str,
    again: str,
) -> None:
    command = ["--seeds", "3", "--seeds-together"]
    interrupt("0@70")
    records = place.run(*command, first, code=130)
    assert list(records) == ([0, 1, 2] if first == "on" else [0])
    for record in records.values():
        assert (record.status, record.steps_done) == ("interrupted", 71)
        assert record.reason == "signal 2 at step 71"
        assert place.saved_step(record) == 71
    interrupt(None)
    continued = place.run(*command, again)
    assert {r.resumed for s, r in continued.items() if s in records} == {1}
    assert place.outcomes(continued) == alone("--seeds", "3")


def test_an_interruption_while_one_is_scored_stops_all_at_one_step(
    place: Place, alone: Callable[..., Any], interrupt: Callable[[str | None], None]
) -> None:
    interrupt("1@evaluation 1")
    records = place.run("--seeds", "3", *ON, code=130)
    assert {place.saved_step(record) for record in records.values()} == {25}
    interrupt(None)
    records = place.run("--seeds", "3", *ON)
    assert together(records) == {0: 3, 1: 3, 2: 3}
    assert place.outcomes(records) == alone("--seeds", "3")


def test_runs_at_one_step_continue_together(
    place: Place, alone: Callable[..., Any], interrupt: Callable[[str | None], None]
) -> None:
    """Checkpoints as a kill between the writing of two of them leaves them."""
    interrupt("0@30")
    place.run("--seed", "0", code=130)
    interrupt("1@70")
    place.run("--seed", "1", "--seed", "2", *ON, code=130)
    interrupt(None)
    records = place.run("--seeds", "5", *ON)
    assert together(records) == {0: 1, 1: 2, 2: 2, 3: 2, 4: 2}
    assert {seed: r.resumed for seed, r in records.items()} == {0: 1, 1: 1, 2: 1, 3: 0, 4: 0}
    assert place.outcomes(records) == alone("--seeds", "5")


def test_an_interruption_leaves_those_that_had_no_turn_as_they_were(
    place: Place, alone: Callable[..., Any], interrupt: Callable[[str | None], None]
) -> None:
    interrupt("1@70")
    before = place.run("--seed", "1", "--seed", "2", *ON, code=130)
    interrupt("0@30")
    records = place.run("--seeds", "3", *ON, code=130)
    assert list(records) == [0] and records[0].steps_done == 31
    for record in before.values():
        assert place.store.read(record.spec_hash) == record
        assert place.saved_step(record) == 71
    interrupt(None)
    assert place.outcomes(place.run("--seeds", "3", *ON)) == alone("--seeds", "3")


def test_a_damaged_checkpoint_begins_again_and_says_so(
    place: Place, interrupt: Callable[[str | None], None]
) -> None:
    interrupt("0@70")
    records = place.run("--seeds", "3", *ON, code=130)
    place.store.checkpoint(records[1].spec_hash).write_bytes(b"half")
    interrupt(None)
    again = place.run("--seeds", "3", *ON)
    assert together(again) == {0: 2, 1: 1, 2: 2}
    assert [again[seed].resumed for seed in range(3)] == [1, 0, 1]
    assert "the checkpoint is damaged" in again[1].warnings[0] and again[0].warnings == []


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_kill_9_and_continued(
    place: Place, alone: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["--seeds", "3", *ON]
    monkeypatch.setenv("TOY_DELAY", "0.005")
    process = Popen(
        [sys.executable, "-c", PROGRAM, *place.arguments(*command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: (
                len(list(place.store.root.glob("runs/*/checkpoint.pt"))) == 3
                or process.poll() is not None
            )
        )
    finally:
        process.kill()
        process.wait()
    assert list(place.store.records()) == []
    monkeypatch.delenv("TOY_DELAY")
    records = place.run(*command)
    assert {record.resumed for record in records.values()} == {1}
    assert place.outcomes(records) == alone("--seeds", "3")


# Beside other processes.


def test_a_run_that_another_process_finishes_meanwhile_drops_out(
    place: Place, alone: Callable[..., Any], tmp_path: Path
) -> None:
    expected = alone("--seeds", "3")
    name = expected[1]["hash"]
    theirs = Store(tmp_path / "alone").read(name)
    assert theirs is not None
    held = threading.Event()

    def finish() -> None:
        with place.store.claim(name).held():
            held.set()
            time.sleep(0.5)
            shutil.copytree(Store(tmp_path / "alone").directory(name), place.store.directory(name))

    other = threading.Thread(target=finish)
    other.start()
    held.wait()
    records = place.run("--seeds", "3", *ON)
    other.join()
    assert together(records) == {0: 2, 1: 1, 2: 2}
    assert records[1] == theirs
    assert place.err.count("another process is training it") == 1
    assert "1 run found in the store" in place.err
    assert place.outcomes(records) == expected


def test_the_claims_of_all_are_held_until_all_have_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    write = Store.write

    def look(store: Store, record: Record) -> None:
        held.extend(not store.claim(name).take() for name in place.store.names())
        write(store, record)

    monkeypatch.setattr(Store, "write", look)
    place.run("--seed", "0", "--seed", "1", "--seed", "2", *ON)
    assert held == [True] * (1 + 2 + 3)  # a run has a directory from its weights on
    assert all(place.store.claim(name).take() for name in place.store.names())


def test_in_two_processes_a_group_is_the_work_of_one_and_dies_with_it(
    place: Place, alone: Callable[..., Any]
) -> None:
    command = ["--seeds", "3", "--diverge", "1", "--fail", "die"]
    arms = ["--arm", "baseline", "--arm", "irelu", "--jobs", "2", *ON]
    done = run(
        [sys.executable, "-m", "bench.suite", *place.arguments(*command, *arms)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 7
    assert "runs without a result: 3 failed; the same command tries again" in done.stderr
    records = msgspec.json.decode(done.stdout, type=list[Record])
    assert [(r.arm, r.seed) for r in records] == [
        (arm, seed) for arm in ("baseline", "irelu") for seed in range(3)
    ]
    baseline, irelu = {r.seed: r for r in records[:3]}, records[3:]
    assert {r.environment["jobs"] for r in baseline.values()} == {2}
    assert together(baseline) == {0: 3, 1: 3, 2: 3}
    assert place.outcomes(baseline) == alone(*command)
    assert {(r.status, r.reason) for r in irelu} == {
        ("failed", "its process ended with exit code 3")
    }
