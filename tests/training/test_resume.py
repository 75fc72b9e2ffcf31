"""Runs that are killed and continued end bitwise where an uninterrupted one does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import frequent_checkpoints
import pytest
import run_outcome
import torch
from command_server import Popen

from bench.store.record import Record
from bench.store.store import Store

STEPS = 250
ARGUMENTS = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]
ARGUMENTS += ["--arm", "irelu+lsuv", "--no-baseline", "--model", "fnn:16x3"]
ARGUMENTS += ["--steps", str(STEPS - 50), "--lbfgs-steps", "50", "--evaluations", "4"]
BOTH = ["--seed", "0", "--seed", "1"]


def children(pid: int) -> list[int]:
    """The processes below one, with their own."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Workplace:
    """A directory with a store, and the processes that were started in it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.arguments = [*ARGUMENTS, *arguments, "--out", "results"]
        self.store = Store(directory / "results")
        self.started: list[subprocess.Popen[str]] = []

    def start(self, delay: float = 0.0) -> subprocess.Popen[str]:
        process = Popen(
            [sys.executable, *frequent_checkpoints.COMMAND, *self.arguments],
            cwd=self.directory,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(frequent_checkpoints.__file__).parent),
                "STEP_DELAY": str(delay),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def finish(self) -> None:
        """The same command again, to the end."""
        process = self.start()
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        assert "Traceback" not in err

    def record(self, seed: int) -> Record | None:
        return next((r for r in self.store.records() if r.seed == seed), None)

    def checkpointed(self) -> set[str]:
        """The runs that have a checkpoint in which training has begun."""
        return {name for name in self.store.names() if self.store.checkpoint(name).exists()}

    def workers(self) -> set[int]:
        """The processes that have claimed a run."""
        found = set()
        for path in self.store.root.glob("locks/*.lease"):
            with contextlib.suppress(OSError):
                found.update(map(int, re.findall(r"^pid=(\d+)$", path.read_text(), re.MULTILINE)))
        return found

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                for pid in [*children(process.pid), process.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Callable[..., Workplace]]:
    made: list[Workplace] = []

    def make(*arguments: str) -> Workplace:
        made.append(Workplace(tmp_path, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


def outcome(place: Workplace, seed: int) -> dict[str, Any]:
    """Everything of a finished run that only its spec may decide."""
    record = place.record(seed)
    assert record is not None and record.status == "done" and record.steps_done == STEPS
    return run_outcome.outcome(place.store, record)


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, session_environment: None
) -> dict[int, dict[str, Any]]:
    place = Workplace(tmp_path_factory.mktemp("uninterrupted"), *BOTH, "--jobs", "1")
    place.finish()
    assert place.checkpointed() == set()
    found = {seed: outcome(place, seed) for seed in (0, 1)}
    assert found[0]["metrics"] != found[1]["metrics"]
    losses = found[0]["losses"]["loss"]
    assert losses[-1] < 0.7 * losses[0]
    return found


def test_the_same_in_two_processes_and_in_another_order(
    workplace: Callable[..., Workplace], uninterrupted: dict[int, dict[str, Any]]
) -> None:
    place = workplace("--seed", "1", "--seed", "0", "--jobs", "2")
    place.finish()
    for seed in (0, 1):
        assert outcome(place, seed) == uninterrupted[seed]


def test_kill_9_and_then_ctrl_c(
    workplace: Callable[..., Workplace], uninterrupted: dict[int, dict[str, Any]]
) -> None:
    place = workplace(*BOTH, "--jobs", "1")
    first, second = uninterrupted[0]["hash"], uninterrupted[1]["hash"]

    process = place.start(delay=0.01)
    wait_until(lambda: first in place.checkpointed(), "the first checkpoint")
    process.kill()
    process.communicate()
    assert place.record(0) is None
    state = torch.load(place.store.checkpoint(first), weights_only=True)
    assert 0 < state["log"]["step"] < STEPS

    process = place.start(delay=0.01)
    wait_until(lambda: second in place.checkpointed(), "the second run's checkpoint")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "bench: interrupted; the same command continues"
    assert outcome(place, 0) == uninterrupted[0]
    done = place.record(0)
    assert done is not None and done.resumed == 1
    interrupted = place.record(1)
    assert interrupted is not None and interrupted.status == "interrupted"
    assert interrupted.reason and "signal 2" in interrupted.reason
    assert 0 < interrupted.steps_done < STEPS
    state = torch.load(place.store.checkpoint(second), weights_only=True)
    assert state["log"]["step"] == interrupted.steps_done

    place.finish()
    assert outcome(place, 1) == uninterrupted[1]
    continued = place.record(1)
    assert continued is not None and continued.resumed == 1
    assert place.record(0) == done
    assert place.checkpointed() == set()


def test_kill_9_of_the_parent_of_two_workers(
    workplace: Callable[..., Workplace], uninterrupted: dict[int, dict[str, Any]]
) -> None:
    place = workplace(*BOTH, "--jobs", "2")
    names = {uninterrupted[0]["hash"], uninterrupted[1]["hash"]}

    # Slow enough that neither has ended when the other begins on a busy machine.
    process = place.start(delay=0.05)
    wait_until(lambda: place.checkpointed() == names, "both checkpoints")
    workers = place.workers()
    assert len(workers) == 2 and process.pid not in workers
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, workers)), "the workers to end by themselves", 30)
    for seed in (0, 1):
        # As after Ctrl-C: the state at the very end is kept, not that of the last checkpoint.
        record = place.record(seed)
        assert record is not None
        assert (record.status, "signal 15" in (record.reason or "")) == ("interrupted", True)
        state = torch.load(place.store.checkpoint(record.spec_hash), weights_only=True)
        assert state["log"]["step"] == record.steps_done < STEPS

    place.finish()
    for seed in (0, 1):
        assert outcome(place, seed) == uninterrupted[seed]
        record = place.record(seed)
        assert record is not None and record.resumed == 1
    assert place.checkpointed() == set()


@pytest.mark.real_processes
def test_ctrl_c_while_the_workers_are_starting(workplace: Callable[..., Workplace]) -> None:
    place = workplace(*BOTH, "--jobs", "2")
    process = place.start()

    def spawned() -> bool:
        found = 0
        for pid in children(process.pid):
            with contextlib.suppress(OSError):
                found += b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return found == 2

    wait_until(spawned, "the workers")
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until(lambda: not any(map(alive, workers)), "the workers to be gone", 10)
    assert {record.status for record in place.store.records()} <= {"interrupted"}
