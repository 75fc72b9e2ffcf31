"""What a run does beside its steps, and what is read from finished runs.

The commands run in the process that measures: the start of an interpreter, which would hide them,
is measured by `startup`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pkgutil
import tempfile
from pathlib import Path
from typing import Any

from .describe import describe
from .profile import cases
from .runs import SEEDS, train
from .tasks import built

_ADVECTION = "pinn advection-1d fnn baseline"
_ETHANOL = "molecular xtb-ethanol schnet baseline"
_CASES = cases([_ADVECTION], [_ETHANOL], ["pinn shallow-water-2d fnn-bn baseline"])


def _command(*arguments: str) -> None:
    """Call ``python -m bench.suite``, without what it prints.

    Raises:
        RuntimeError: It did not end with 0.
    """
    # As a caller from outside: the command line stands above the benchmarks.
    main = pkgutil.resolve_name("bench.suite:main")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(arguments)
    if code:
        raise RuntimeError(f"{' '.join(arguments)} ended with {code}: {said.getvalue()}")


@functools.cache
def _task(case: str) -> Any:
    """A task of budget ``smoke`` that has stepped and been evaluated once, kept for the process."""
    suite, problem, network = case.split(" ", 2)
    task: Any = built(suite, problem, network, "cpu", budget="smoke")
    task.step()
    task.evaluate()
    return task


class _Timed:
    """Few samples first, more as long as they are quick."""

    version = "1"
    timeout = 300
    warmup_time = 0.0
    number = 1
    rounds = 1
    repeat = (5, 50, 1.0)
    param_names = ["case"]
    params = [_CASES]


class Evaluation(_Timed):
    """All metrics of a task of budget ``smoke``."""

    def setup(self, case: str) -> None:
        self.task = _task(case)

    @describe("evaluation: time of all metrics")
    def time_evaluation(self, case: str) -> None:
        """Losses and errors on training, held-out and scored data."""
        self.task.evaluate()


class Checkpoint(_Timed):
    """The state of a task, on disk and back."""

    def setup(self, case: str) -> None:
        self.task = _task(case)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "checkpoint.pt")

    def teardown(self, case: str) -> None:
        self.folder.cleanup()

    @describe("checkpoint: time of writing one and continuing from it")
    def time_resume(self, case: str) -> None:
        """The state written, read, checked and given to the task.

        Raises:
            RuntimeError: What was written is refused.
        """
        from bench.store import checkpoint

        marks = {"spec_hash": "0", "made_by": {}, "log": {"step": 1}}
        checkpoint.save(self.path, {"task": self.task.state_dict(), **marks})
        state, refused = checkpoint.load(self.path, "0", {})
        if state is None:
            raise RuntimeError(f"the checkpoint was refused: {refused}")
        self.task.load_state_dict(state["task"])


class Run(_Timed):
    """A run of ten steps with ten evaluations, from the command to its record."""

    repeat = (3, 10, 2.0)

    def setup(self, case: str) -> None:
        _task(case)  # imports, and reads or solves what the process keeps
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self, case: str) -> None:
        self.folder.cleanup()

    @describe("run: time of ten steps and ten evaluations")
    def time_run(self, case: str) -> None:
        """Build, steps, evaluations, checkpoints, record."""
        suite, problem, model, arm = case.split()
        _command(
            *(suite, "--problem", problem, "--model", model, "--arm", arm, "--seeds", "1"),
            *("--budget", "smoke", "--steps", "10", "--evaluations", "10", "--no-baseline"),
            *("--device", "cpu", "--jobs", "1", "--out", self.folder.name),
        )


class Reading(_Timed):
    """What is made of a store of finished runs."""

    timeout = 600
    repeat = (3, 10, 2.0)
    param_names = ["command"]
    params = [["report", "runs"]]

    def setup_cache(self) -> str:
        """The store: two arms, `SEEDS` seeds each, budget ``smoke``."""
        arms = ("--arm", "baseline", "--arm", "irelu")
        arguments = ("pinn", "--problem", "advection-1d", *arms, "--seeds", str(SEEDS))
        train(*arguments, "--budget", "smoke")
        return str(Path("runs").resolve())

    def setup(self, store: str, command: str) -> None:
        _first(store, command)

    @describe("finished runs: time of a report and of a list")
    def time_reading(self, store: str, command: str) -> None:
        """``report`` makes the page, ``runs`` prints a line for each run."""
        _command(command, "--out", store)


@functools.cache
def _first(store: str, command: str) -> None:
    """The first call, which imports."""
    _command(command, "--out", store)
