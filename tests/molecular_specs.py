"""Specs and tasks of the molecular suite for tests, without the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from bench.arm import Arm
from bench.interruption import Interruption
from bench.options import add_training_arguments
from bench.record import Record
from bench.run import execute
from bench.spec import Spec
from bench.store import Store
from bench.task import Request
from suites.molecular.suite import SUITE
from suites.molecular.task import MolecularTask, build

CPU = torch.device("cpu")


def specify(
    model: str = "schnet:8x2",
    arm: str = "baseline",
    *arguments: str,
    problem: str = "xtb-ethanol",
    seed: int = 0,
    dtype: str = "float64",
    budget: str = "smoke",
) -> Spec:
    """The spec that the command line makes of these options and further `arguments`."""
    parser = argparse.ArgumentParser()
    SUITE.add_arguments(parser)
    add_training_arguments(parser)
    options = parser.parse_args(arguments)
    return SUITE.specify(
        Request(problem, model, Arm.parse(arm), seed, budget, "cpu", dtype, options)
    )


def task(model: str = "schnet:8x2", arm: str = "baseline", *arguments: str, **given: Any) -> MolecularTask:
    """The built task of `specify`."""
    return build(specify(model, arm, *arguments, **given), CPU)


def run(folder: Path, model: str, arm: str = "baseline", *arguments: str, **given: Any) -> Record:
    """Train the spec of `specify` in a store."""
    spec = specify(model, arm, *arguments, **given)
    return execute(spec, Store(folder), CPU, 1, lambda *_: None, Interruption())
