"""Claims between processes, and between hosts as far as one machine can play two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.files.atomic import CannotWrite
from bench.store.leases import Claim

LEASE_S = 1.5

#: Holds a claim. As another host: under another name, and with a `flock` of its own.
HOLDER = """
import contextlib, sys, time
from pathlib import Path
import filelock._marker
from bench.store import leases as claims

path, host = Path(sys.argv[1]), sys.argv[2]
if host:
    filelock._marker.host_name = lambda: host
    claims.FileLock = lambda path: type(
        "Elsewhere", (), {"acquire": lambda *a, **k: None, "release": lambda self: None}
    )()
claim = claims.Claim(path, lease_s=float(sys.argv[3]))
assert claim.take()
print("held", flush=True)
sys.stdin.read()
claim.release()
print("released", flush=True)
"""


class Holder:
    """Another process that holds a claim."""

    def __init__(self, path: Path, host: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), host, str(LEASE_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def release(self) -> None:
        self.process.communicate(timeout=30)

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    made: list[Holder] = []

    def make(host: str = "") -> Holder:
        made.append(Holder(tmp_path / "run.lock", host))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


def seconds_until_taken(claim: Claim, most: float) -> float:
    start = time.monotonic()
    while not claim.take():
        assert time.monotonic() - start < most
        time.sleep(0.02)
    claim.release()
    return time.monotonic() - start


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_it_is_one_process_s_until_released(
    tmp_path: Path, holder: Callable[..., Holder], host: str
) -> None:
    other = holder(host)
    claim = Claim(tmp_path / "run.lock", LEASE_S)
    end = time.monotonic() + 2 * LEASE_S
    while time.monotonic() < end:  # its heart beats, so that no lease runs out
        assert not claim.take()
        time.sleep(0.1)
    other.release()
    assert claim.take()
    claim.release()


def test_that_of_a_dead_process_of_this_host_is_taken_at_once(
    tmp_path: Path, holder: Callable[..., Holder]
) -> None:
    other = holder()
    claim = Claim(tmp_path / "run.lock", LEASE_S)
    assert not claim.take()
    other.send(signal.SIGKILL)
    other.process.wait()
    assert seconds_until_taken(claim, 30) < LEASE_S / 2


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_that_of_a_silent_host_is_taken_when_its_lease_is_over(
    tmp_path: Path, holder: Callable[..., Holder], end: int
) -> None:
    other = holder("elsewhere")
    claim = Claim(tmp_path / "run.lock", LEASE_S)
    assert not claim.take()
    other.send(end)
    assert seconds_until_taken(claim, 30) >= LEASE_S / 2


def test_what_a_dead_process_left_half_written_does_not_hold_it_for_ever(tmp_path: Path) -> None:
    (tmp_path / "run.lease").write_text("filelock/2\npid=")
    claim = Claim(tmp_path / "run.lock", LEASE_S)
    assert seconds_until_taken(claim, 30) < 30


def test_waiting_for_it(tmp_path: Path, holder: Callable[..., Holder]) -> None:
    other = holder()
    start = time.monotonic()
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {other.process.pid}"])
    with Claim(tmp_path / "run.lock", LEASE_S).held():
        assert time.monotonic() - start > 0.4
        assert not Claim(tmp_path / "run.lock", LEASE_S).take()
    killer.wait()


def test_where_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"cannot write .*run\.lock"):
        Claim(tmp_path / "file" / "run.lock").take()
