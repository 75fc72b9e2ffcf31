"""Suites for tests of the harness, of regressions: one that trains seeds together and one not.

`install` makes their entry points, so that the command line finds them as it does anyone's.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bench.arm import definition_versions, technique_definitions
from bench.spec.options import Doc, Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.task import Columns, Evaluation, Request

if TYPE_CHECKING:
    import pytest

STEPS = 100
_PUBLISHED = {
    "activation": "tanh",
    "normalization": "denorm",
    "rescaling": "rescale=1",
    "initialization": "glorot",
}


def install(folder: Path) -> None:
    """Make a folder for the module path in which the suites' entry points are."""
    distribution = folder / "toy-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text(
        "[bench.suites]\ntoy = toy_suite:TOY\nlone = toy_suite:LONE\n"
    )


def use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Install the suites below a folder, for this process and for subprocesses."""
    installed = folder / "installed"
    installed.mkdir()
    install(installed)
    patch.syspath_prepend(str(installed))
    patch.setenv("PYTHONPATH", f"{installed}:{Path(__file__).parent}")


def interrupt(here: str) -> None:
    """Ctrl-C where the environment variable says so."""
    if os.environ.get("TOY_INTERRUPT") == here:
        os.kill(os.getpid(), signal.SIGINT)


def _exhaust(device: Any) -> None:
    import torch

    torch.empty(10**15, device=device)


def _exhaust_numpy(device: Any) -> None:
    import numpy as np

    np.empty(10**17)


def _hang_with_the_interpreter(device: Any) -> None:
    """Like a library that neither returns nor lets other threads run."""
    sum(itertools.repeat(0, 10**15))


def _fork_and_die(device: Any) -> None:
    """The child has everything open that the parent had."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


#: What a step may do.
FAULTS: Mapping[str, Callable[[Any], object]] = {
    "hang": lambda device: time.sleep(1000),
    "hang-hard": _hang_with_the_interpreter,
    "oom": _exhaust,
    "oom-numpy": _exhaust_numpy,
    "exit": lambda device: sys.exit(7),
    "segfault": lambda device: os.kill(os.getpid(), signal.SIGSEGV),
    "thread": lambda device: threading.Thread(target=time.sleep, args=(1000,)).start(),
    "fork-killed": _fork_and_die,
    "killed": lambda device: os.kill(os.getpid(), signal.SIGKILL),
}


def _fill() -> None:
    """Take memory without end."""
    held = []
    while True:
        held.append(bytearray(50_000_000))


def _refuse() -> None:
    raise RuntimeError("no such thing")


def _hang() -> None:
    """Hang, and say so in the file that the environment names."""
    if hanging := os.environ.get("TOY_HANGING"):
        Path(hanging).touch()
    time.sleep(1000)


def wait_for_gate() -> None:
    """Wait until the file that the environment names is there; a measurement does not."""
    gate = os.environ.get("TOY_GATE")
    while gate and multiprocessing.parent_process() is None and not Path(gate).exists():
        time.sleep(0.02)


#: What building a task may do.
BUILD_FAULTS: Mapping[str, Callable[[], object]] = {
    "hang-build": _hang,
    "fill-build": _fill,
    "raise-build": _refuse,
    "print-build": lambda: print("chatter"),
}

#: Factors on the loss from step 60 on.
LOSSES = {"nan": float("nan"), "inf": float("inf"), "explode": 1e12}


class ToyOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong."""

    diverge: Annotated[int | None, Doc("the seed whose loss is NaN from step 60", "K")] = None
    fail: Annotated[
        str | None,
        Doc(
            "what raises: build, step, evaluate; or die, where it is irelu's; or one of FAULTS and"
            " LOSSES, or of BUILD_FAULTS, of seed 1",
            "NAME",
        ),
    ] = None


class LoneSuite:
    """Implements `bench.task.Suite`."""

    name = "lone"
    summary = "regressions, one at a time"
    packages = ()
    options: type[Options] = ToyOptions
    problems: Mapping[str, str] = {"sine": "a sine", "cosine": "never together"}
    models: Mapping[str, str] = {"net": "a tiny network"}
    budgets: Mapping[str, str] = {"quick": f"{STEPS} steps"}

    def default_problems(self) -> Sequence[str]:
        return ["sine"]

    def default_models(self, budget: str) -> Sequence[str]:
        return ["net"]

    def specify(self, request: Request) -> Spec:
        axes = request.arm.on(_PUBLISHED)
        options = request.options
        return Spec(
            suite=self.name,
            problem=request.problem,
            model=request.model,
            arm=str(request.arm),
            axes=axes,
            seed=request.seed,
            budget=request.budget,
            training=request.training.override(Training(steps=STEPS, lr=1e-2, evaluations=4)),
            settings={"diverge": options.diverge, "fail": options.fail},
        )

    def build(self, spec: Spec, device: Any) -> Any:
        import torch
        from regression_task import Regression

        class Toy(Regression):
            """Its evaluation draws from the global generator."""

            def evaluate(self) -> Evaluation:
                interrupt(f"{spec.seed}@evaluation {self.evaluations}")
                if spec.settings["fail"] == "evaluate" and spec.seed == 1 and self.evaluations == 3:
                    raise RuntimeError("no score for seed 1")
                found = super().evaluate()
                return Evaluation(
                    {**found.metrics, "drawn": float(torch.rand(()))}, found.selection
                )

        fault = spec.settings["fail"] if spec.seed == 1 else None
        if fault in BUILD_FAULTS:
            BUILD_FAULTS[fault]()
        if journal := os.environ.get("TOY_JOURNAL"):
            with Path(journal).open("a") as file:
                file.write(f"{spec.hash} {os.getpid()}\n")

        def before_step(step: int) -> None:
            wait_for_gate()
            time.sleep(float(os.environ.get("TOY_DELAY", "0")))
            interrupt(f"{spec.seed}@{step}")
            if step == 60 and fault in FAULTS:
                FAULTS[fault](device)

        def loss_of(step: int, loss: torch.Tensor) -> torch.Tensor:
            diverging = "nan" if spec.seed == spec.settings["diverge"] else fault
            return loss * LOSSES.get(diverging, 1.0) if step >= 60 else loss

        with torch.random.fork_rng(devices=[]):
            return Toy(spec.training, before_step, loss_of, seed=spec.seed)

    def definitions(self, spec: Spec) -> Sequence[str]:
        return [f"toy_suite:{type(self).__name__}.build", *technique_definitions(spec.axes)]

    def versions(self, spec: Spec) -> Mapping[str, int]:
        return definition_versions(spec.axes)

    def finish(self, runs: Any, options: Any) -> None:
        pass

    def columns(self, problem: str) -> Columns:
        return Columns(["error"], [])


class ToySuite(LoneSuite):
    """Implements `bench.task.Batchable` too."""

    name = "toy"
    summary = "regressions, also together"

    def together(self, specs: Sequence[Spec]) -> bool:
        return specs[0].problem == "sine"

    def build_together(self, specs: Sequence[Spec], device: Any) -> InTurn:
        fault = specs[0].settings["fail"]
        irelu = specs[0].axes["activation"] == "irelu"
        if fault == "build":
            raise RuntimeError("no batch today")
        tasks = [self.build(spec, device) for spec in specs]
        return InTurn(tasks, None if fault == "die" and not irelu else fault)


class InTurn:
    """Implements `bench.task.Batch`: each task steps in turn, and so bitwise as alone."""

    def __init__(self, tasks: Sequence[Any], fault: str | None) -> None:
        self.tasks = tasks
        self.fault = fault

    def step(self) -> Mapping[str, Any]:
        import torch

        if self.tasks[0].optimization.steps_done == 70:
            if self.fault == "step":
                raise RuntimeError("no step for anyone")
            if self.fault == "die":
                os._exit(3)
        each = [task.step() for task in self.tasks]
        return {name: torch.stack([losses[name] for losses in each]) for name in each[0]}


TOY = ToySuite()
LONE = LoneSuite()
