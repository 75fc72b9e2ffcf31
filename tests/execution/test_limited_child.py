"""Calls in a process of their own: results, limits, and whatever else a call may do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from command_server import serve_workers

from bench.execution.limited_child import ChildFailed, LimitedChild, limited_call
from bench.text.errors import BadInput

MODULE = """
import os, sys, time, subprocess
from bench.text.errors import BadInput

def add(one, two):
    print("chatter")
    print("chatter", file=sys.stderr)
    return {"sum": one + two, "process": os.getpid()}

def refuse():
    raise BadInput("the value 3 is not 4")

def divide():
    return 1 / 0

def leave():
    sys.exit(3)

def die():
    os.kill(os.getpid(), 9)

def sleep():
    time.sleep(60)

def fill(found=[]):
    while True:
        found.append(bytearray(50_000_000))

def fill_below():
    subprocess.run([sys.executable, "-c", "a = []\\nwhile True: a.append(bytearray(50_000_000))"])
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "limited_calls.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "limited_calls"


def test_results_come_back_and_chatter_does_not(
    calls: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_workers(), LimitedChild(60) as child:
        first = child.call(f"{calls}:add", 1, 2)
        second = child.call(f"{calls}:add", "a", "b")
    assert first["sum"] == 3 and second["sum"] == "ab"
    assert first["process"] == second["process"] != os.getpid()
    assert not psutil.pid_exists(first["process"])
    assert "chatter" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("divide", "it raised ZeroDivisionError: division by zero"),
        ("leave", "it raised SystemExit: 3"),
        ("die", "its process was killed by signal 9"),
        ("sleep", "it takes longer than 2 s"),
        ("fill", "it needs more than 1.5 GiB of memory"),
        ("fill_below", "it needs more than 1.5 GiB of memory"),
        ("nothing", "it raised AttributeError"),
    ],
)
def test_a_call_that_fails_says_why_and_the_next_one_works(
    calls: str, call: str, expected: str
) -> None:
    seconds = 2 if call == "sleep" else 60
    with serve_workers(), LimitedChild(seconds, 3 * 1024**3 // 2) as child:
        with pytest.raises(ChildFailed, match=expected):
            child.call(f"{calls}:{call}")
        child._seconds = 60
        assert child.call(f"{calls}:add", 1, 1)["sum"] == 2


def test_bad_input_is_bad_input(calls: str) -> None:
    with serve_workers(), pytest.raises(BadInput, match="the value 3 is not 4"):
        limited_call(f"{calls}:refuse", [], seconds=60)


def test_it_ends_with_its_parent(calls: str, tmp_path: Path) -> None:
    import subprocess

    program = f"""
import os, sys
sys.path.insert(0, {str(tmp_path)!r})
from bench.execution.limited_child import LimitedChild
child = LimitedChild(60)
print(child.call("{calls}:add", 1, 2)["process"], flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    process = int(done.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(process)
