"""Specs, tasks and small data files of the molecular suite for tests, without the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.store.record import Record
from bench.store.store import Store
from bench.studies.plan import parse_options
from bench.task import Request
from bench.training.run import execute
from bench.training.signals import Interruption
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
    training, options = parse_options(SUITE, "of a test", arguments)
    return SUITE.specify(
        Request(problem, model, Arm.parse(arm), seed, budget, "cpu", dtype, training, options)
    )


def task(
    model: str = "schnet:8x2", arm: str = "baseline", *arguments: str, **given: Any
) -> MolecularTask:
    """The built task of `specify`."""
    return build(specify(model, arm, *arguments, **given), CPU)


def scrambled(model: str, arm: str = "baseline") -> MolecularTask:
    """A task in double precision whose parameters all differ from 0, so that each has a gradient.

    Args:
        model: Name and size.
        arm: Of the task.
    """
    built = task(model, arm)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in built.net.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += 0.05 * noise
    return built


def run(folder: Path, model: str, arm: str = "baseline", *arguments: str, **given: Any) -> Record:
    """Train the spec of `specify` in a store."""
    spec = specify(model, arm, *arguments, **given)
    return execute(spec, Store(folder), CPU, 1, lambda *_: None, Interruption())


def alloys(count: int = 60) -> list[Atoms]:
    """Periodic cells of 4 or 8 atoms of copper and gold, rattled, with EMT's labels in eV."""
    random = np.random.default_rng(0)
    frames = []
    for index in range(count):
        atoms = bulk("Cu", a=3.8, cubic=True).repeat((1 + index % 2, 1, 1))
        atoms.numbers[random.random(len(atoms)) < 0.4] = 79
        atoms.positions += random.normal(0.0, 0.1, atoms.positions.shape)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def write_alloys(path: Path, count: int = 60) -> Path:
    """`alloys` as extended XYZ, which does not say its units: eV and eV/Å."""
    ase.io.write(path, alloys(count), format="extxyz")
    return path
