"""Ctrl-C and a cluster's SIGTERM: the state is saved, and the process is gone within 5 seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy_suite
from command_server import Popen

from bench.store.store import Store

START = ["--no-baseline", "--arm", "tanh", "--device", "cpu", "--seeds", "2"]
#: And what a machine adds that is busy with other tests.
LIMIT_S = 5.0 + 2.0


class Command:
    """The command line in a session of its own, and what it left."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.store = Store(folder / "bench-results")
        self.process = Popen(
            [sys.executable, "-m", "bench.suite", *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 90
        while not condition():
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.02)

    def stop(self, number: int, everyone: bool = False) -> str:
        """Signal it, or its whole session; its stderr once it is gone, in time."""
        start = time.monotonic()
        if everyone:
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.process.pid, number)
        err = self.process.communicate(timeout=60)[1]
        assert time.monotonic() - start < LIMIT_S
        assert self.process.returncode == 130
        assert "Traceback" not in err
        return err


Start = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.setenv("TOY_JOURNAL", str(tmp_path / "journal"))
    made: list[Command] = []

    def begin(*arguments: str, delay: float = 0.0) -> Command:
        monkeypatch.setenv("TOY_DELAY", str(delay))
        made.append(Command(tmp_path, "lone", *START, *arguments))
        return made[-1]

    yield begin
    for command in made:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.communicate()


def built(folder: Path, count: int) -> Callable[[], bool]:
    """Whether so many runs have been built."""
    journal = folder / "journal"
    return lambda: journal.exists() and len(journal.read_text().splitlines()) >= count


@pytest.mark.parametrize(
    ("number", "jobs"),
    [
        (signal.SIGTERM, "1"),
        pytest.param(signal.SIGTERM, "2", marks=pytest.mark.real_processes),
        (signal.SIGINT, "2"),
    ],
)
def test_the_state_is_saved_and_the_same_command_continues(
    tmp_path: Path, start: Start, number: int, jobs: str
) -> None:
    command = start("--jobs", jobs, delay=0.1)
    command.wait_for(built(tmp_path, int(jobs)))
    time.sleep(1)
    # As a scheduler that signals all processes of a job: the workers hear of it twice.
    err = command.stop(number, everyone=number == signal.SIGTERM)
    assert err.splitlines()[-1] == "bench: interrupted; the same command continues"
    records = list(command.store.records())
    assert len(records) == int(jobs)
    for record in records:
        assert record.status == "interrupted" and record.steps_done > 0
        assert command.store.checkpoint(record.spec_hash).exists()
    again = start("--jobs", "1")
    again.process.communicate(timeout=120)
    assert again.process.returncode == 0
    resumed = {record.spec_hash: record.resumed for record in again.store.records()}
    assert {resumed[record.spec_hash] for record in records} == {1}
    assert len(resumed) == 2


@pytest.mark.parametrize(
    ("fault", "jobs"),
    [("hang", "1"), pytest.param("hang-hard", "2", marks=pytest.mark.real_processes)],
)
def test_it_ends_in_time_inside_a_step_that_does_not_end(
    tmp_path: Path, start: Start, fault: str, jobs: str
) -> None:
    command = start("--fail", fault, "--jobs", jobs)
    command.wait_for(built(tmp_path, 2))
    command.wait_for(lambda: any(r.seed == 0 for r in command.store.records()))
    time.sleep(2)  # a hundred steps take less
    err = command.stop(signal.SIGTERM)
    assert ("inside a long step: the last checkpoint, if any, stands" in err) == (jobs == "1")
    assert [record.seed for record in command.store.records()] == [0]
