"""Specs and tasks of the PINN suite for tests, without the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.store.record import Record
from bench.store.store import Store
from bench.task import Request
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.pinn.options import PINNOptions
from suites.pinn.suite import SUITE
from suites.pinn.task import PINNTask, build

CPU = torch.device("cpu")


def specify(
    problem: str = "advection-1d",
    arm: str = "baseline",
    *,
    model: str = "fnn:8x3",
    seed: int = 0,
    dtype: str = "float64",
    budget: str = "smoke",
    **given: Any,
) -> Spec:
    """The spec that the command line makes of these options of training and of the suite.

    The protocol is `paper` unless another is given.
    """
    given = {"protocol": "paper", **given}
    ours = {option.name for option in PINNOptions.declared()}
    training = TrainingOptions.of({k: v for k, v in given.items() if k not in ours})
    options = PINNOptions.of({k: v for k, v in given.items() if k in ours})
    return SUITE.specify(
        Request(problem, model, Arm.parse(arm), seed, budget, "cpu", dtype, training, options)
    )


def task(problem: str = "advection-1d", arm: str = "baseline", **given: Any) -> PINNTask:
    """The built task of `specify`."""
    return build(specify(problem, arm, **given), CPU)


def run(folder: Path, problem: str, arm: str = "baseline", **given: Any) -> Record:
    """Train the spec of `specify` in a store."""
    spec = specify(problem, arm, **given)
    return execute(spec, Store(folder), CPU, 1, lambda *_: None, Interruption())
