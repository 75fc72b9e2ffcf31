"""Kills the command line at random moments and checks that nothing comes of it.

    python tests/kill_at_random.py --times 100 --suite pinn --suite molecular [--signal TERM]
                                   [--device cuda]

Each run of the suites is a short one. After every kill all that is in the store must be readable,
and what was finished unchanged; when the command is at last let through, each run must be there
once, with every metric, loss and weight that of an uninterrupted run to the last bit. (On a GPU,
where not all sums have an order: with metrics within 0.1 %.)
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import frequent_checkpoints
import torch
from run_outcome import outcome

from bench.store.record import FINAL, decode
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.training.signals import EXIT_CODE

_COMMON = ["--no-baseline", "--seeds", "2", "--budget", "smoke", "--evaluations", "4"]
_PINN = ["pinn", "--problem", "advection-1d", "--model", "fnn:16x3", "--arm", "irelu+lsuv"]
_MOLECULAR = ["molecular", "--problem", "xtb-ethanol", "--model", "schnet:8x1", "--arm", "irelu"]
COMMANDS = {
    "pinn": [*_PINN, "--steps", "200", "--lbfgs-steps", "50"],
    "molecular": [*_MOLECULAR, "--steps", "120"],
}
#: Of a command, after a signal that it may heed: 5 s, and what a busy machine adds.
LIMIT_S = 7.0
#: How often a store is hit before its command is let through.
_PER_STORE = 6


class Victim:
    """A suite's command, its store, and what an uninterrupted run of it leaves.

    Args:
        suite: One of `COMMANDS`.
        folder: To work in.
        number: The signal.
        chance: Where the moments come from.
        device: Where the runs are trained.
    """

    def __init__(
        self, suite: str, folder: Path, number: int, chance: random.Random, device: str
    ) -> None:
        self._suite = suite
        self._device = device
        self._folder = folder
        self._number = number
        self._chance = chance
        folder.mkdir(parents=True)
        self.kills = 0
        #: Seconds from a signal that was heeded to the end.
        self.slowest = 0.0
        self.stores = 0
        self._whole = Store(folder / "whole")
        self._until_training, self._training = self._let_through(self._whole)
        self._expected = self._outcomes(self._whole)
        assert len(self._expected) == 2

    def attack(self, times: int) -> None:
        """Hit so many running commands, in stores of their own, each let through in the end."""
        while self.kills < times:
            self.stores += 1
            store = Store(self._folder / f"store-{self.stores}")
            for _ in range(_PER_STORE):
                if self.kills < times and not self._hit(store):
                    break  # it had finished
            self._let_through(store)
            self._compare(self._outcomes(store))
            left = [str(path) for path in store.root.rglob("*.tmp")]
            assert not left, f"left behind: {left}"

    def _start(self, store: Store) -> subprocess.Popen[bytes]:
        jobs = str(1 + self.stores % 2)
        where = ["--device", self._device, "--jobs", jobs, "--out", str(store.root)]
        command = [*COMMANDS[self._suite], *_COMMON, *where]
        return subprocess.Popen(
            [sys.executable, *frequent_checkpoints.COMMAND, *command],
            env={**os.environ, "BLOCK": "10", "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _let_through(self, store: Store) -> tuple[float, float]:
        """The same command to its end; how long until it trained, and how long it did."""
        start, leases = time.monotonic(), self._leases(store)
        process = self._start(store)
        self._wait_for_training(store, process, leases)
        middle = time.monotonic()
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()
        assert b"ignoring" not in err
        return middle - start, time.monotonic() - middle

    def _hit(self, store: Store) -> bool:
        """Start the command and hit it; whether it was still there to be hit."""
        before, leases = self._finished(store), self._leases(store)
        process = self._start(store)
        if self._chance.random() < 0.2:
            time.sleep(self._chance.uniform(0.0, self._until_training))
            training = False
        else:
            training = self._wait_for_training(store, process, leases)
            time.sleep(self._chance.uniform(0.0, self._training))
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[1].decode()
            return False
        start = time.monotonic()
        # All of them, or the first alone, which the workers notice.
        for pid in self._session(process.pid) if self._chance.random() < 0.5 else [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self._number)
        _, err = process.communicate()
        self.kills += 1
        if self._number != signal.SIGKILL:
            self.slowest = max(self.slowest, time.monotonic() - start)
            assert self.slowest < LIMIT_S
            if training and len(self._finished(store)) < len(self._expected):
                assert process.returncode == EXIT_CODE, (process.returncode, err.decode())
                assert b"Traceback" not in err, err.decode()
        while self._session(process.pid):
            assert time.monotonic() - start < 30, "processes are left"
            time.sleep(0.02)
        self._check(store)
        after = self._finished(store)
        assert before.items() <= after.items(), "a finished record changed"
        return True

    @staticmethod
    def _session(leader: int) -> list[int]:
        """Its processes: workers have groups of their own."""
        found = subprocess.run(["pgrep", "-s", str(leader)], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    @staticmethod
    def _leases(store: Store) -> set[str]:
        """Claims, also of the dead: each has a name of its own."""
        found = set()
        for path in store.root.glob("locks/*.lease"):
            with contextlib.suppress(OSError):
                found.add(path.read_text())
        return found

    def _wait_for_training(
        self, store: Store, process: subprocess.Popen[bytes], before: set[str]
    ) -> bool:
        """Until a run is claimed; whether that was seen before the end."""
        while process.poll() is None:
            if self._leases(store) - before:
                return True
            time.sleep(0.01)
        return False

    @staticmethod
    def _finished(store: Store) -> dict[str, bytes]:
        found = {path: path.read_bytes() for path in store.root.glob("runs/*/record.json")}
        return {str(p): text for p, text in found.items() if decode(text).status in FINAL}

    @staticmethod
    def _check(store: Store) -> None:
        """Every file that has its name is whole."""
        for path in store.root.glob("runs/*/record.json"):
            decode(path.read_bytes())
        for path in store.root.glob("runs/*/*.pt"):
            torch.load(path, weights_only=True)
        for path in store.root.glob("runs/*/weights.safetensors"):
            load_weights(path)

    def _compare(self, found: dict[str, Any]) -> None:
        """With the uninterrupted runs."""
        if self._device == "cpu":
            assert found == self._expected
            return
        assert found.keys() == self._expected.keys()
        for name, expected in self._expected.items():
            for metric, value in expected["metrics"].items():
                final = found[name]["metrics"][metric].final
                assert math.isclose(final, value.final, rel_tol=1e-3), (metric, final, value.final)

    def _outcomes(self, store: Store) -> dict[str, Any]:
        assert not list(store.root.glob("runs/*/checkpoint.pt"))
        return {record.spec_hash: outcome(store, record) for record in store.records()}


def attack(
    suite: str,
    folder: Path,
    times: int,
    name: str = "KILL",
    seed: int = 0,
    device: str = "cpu",
) -> Victim:
    """Hit a suite's command so many times.

    Raises:
        AssertionError: A promise was not kept.
    """
    number = signal.Signals[f"SIG{name}"]
    victim = Victim(suite, folder, number, random.Random(f"{seed} {suite} {name}"), device)
    victim.attack(times)
    return victim


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--times", type=int, default=100, help="kills in all (default 100)")
    parser.add_argument("--suite", action="append", choices=list(COMMANDS), help="default: all")
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM", "INT"))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--device", default="cpu", help="default cpu")
    options = parser.parse_args(arguments)
    suites = options.suite or list(COMMANDS)
    for suite in suites:
        with tempfile.TemporaryDirectory() as folder:
            times = -(-options.times // len(suites))
            place = Path(folder) / suite
            victim = attack(suite, place, times, options.signal, options.seed, options.device)
        print(
            f"{suite}: {victim.kills} times SIG{options.signal} over {victim.stores} stores:"
            f" every run once, {'all to the last bit' if options.device == 'cpu' else 'as it was'}"
            + (f"; gone within {victim.slowest:.1f} s" if victim.slowest else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
