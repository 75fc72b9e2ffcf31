"""What a potential's training does before its first step: reading files, finding neighbours."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .describe import describe
from .profile import cases

if TYPE_CHECKING:
    from suites.molecular.data.batches import FrameTensors
    from suites.molecular.data.frames import Frames

_SHIPPED = cases(["xtb-ethanol"], [], ["xtb-aspirin", "xtb-oxides"])
#: Names of the files that the benchmark writes, by their formats.
_OWN = {"MD17 npz": "frames.npz", "extended XYZ": "frames.xyz"}
_FRAMES = {"MD17 npz": 5000, "extended XYZ": 200}
#: Cutoff of budget ``quick``, Å.
_CUTOFF = 5.0
#: Frames of a batch.
_BATCH = 10
#: Batches of a sample: gathering one takes 0.1 ms, too near the clock's and the caller's own time.
_BATCHES = 20


def _write(kind: str) -> str:
    """Path of a new file with distorted ethanol, in the working directory."""
    import numpy as np
    from ase.build import molecule
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    path = Path(_OWN[kind]).resolve()
    ethanol = molecule("CH3CH2OH")
    random = np.random.default_rng(0)
    shape = (_FRAMES[kind], len(ethanol), 3)
    positions = ethanol.positions + random.normal(0.0, 0.05, shape)
    energies, forces = random.normal(-97_000.0, 5.0, shape[0]), random.normal(0.0, 20.0, shape)
    if path.suffix == ".npz":
        np.savez(path, E=energies, F=forces, R=positions, z=ethanol.numbers)
        return str(path)
    images = []
    for r, e, f in zip(positions, energies, forces, strict=True):
        atoms = ethanol.copy()
        atoms.positions = r
        atoms.calc = SinglePointCalculator(atoms, energy=e, forces=f)
        images.append(atoms)
    write(path, images, format="extxyz")
    return str(path)


class Reading:
    """Frames of a file, as a run reads them.

    The suite keeps what it has read, so that each time another copy is read.
    """

    version = "1"
    timeout = 120
    rounds = 1
    repeat = (5, 50, 2.0)
    param_names = ["file"]
    params = [cases(["xtb-ethanol"], ["MD17 npz"], ["extended XYZ", "xtb-aspirin", "xtb-oxides"])]

    def setup_cache(self) -> dict[str, str]:
        """Write the files that are not shipped: 5000 and 200 frames of 9 atoms."""
        return {kind: _write(kind) for kind in _OWN}

    def setup(self, own: dict[str, str], file: str) -> None:
        # Reading imports them, which is not to be timed.
        import ase.io  # noqa: F401
        from ase.symbols import Symbols  # noqa: F401

        from suites.molecular.problems.catalogue import PROBLEMS, DataOptions, get_problem

        self.directory = tempfile.TemporaryDirectory()
        shipped = PROBLEMS.get(file)
        original = shipped.find(DataOptions()) if shipped else Path(own[file])
        copy = Path(shutil.copy(original, self.directory.name))
        self.problem = (
            dataclasses.replace(shipped, find=lambda options: copy)
            if shipped
            else get_problem(str(copy))
        )
        self.options = DataOptions(energy_unit=None if shipped else "kcal/mol")

    def teardown(self, own: dict[str, str], file: str) -> None:
        self.directory.cleanup()

    @describe("data: time to read a file of frames")
    def time_read(self, own: dict[str, str], file: str) -> None:
        """From the file to checked arrays."""
        from suites.molecular.problems.catalogue import load_frames

        load_frames(self.problem, self.options)


@functools.cache
def _frames(problem: str) -> Frames:
    from suites.molecular.problems.catalogue import DataOptions, get_problem, load_frames

    return load_frames(get_problem(problem), DataOptions())


class Neighbors:
    """Neighbour lists of all shipped frames of a problem, about 1000."""

    version = "1"
    timeout = 120
    rounds = 1
    repeat = (5, 50, 2.0)
    param_names = ["problem"]
    params = [_SHIPPED]

    def setup(self, problem: str) -> None:
        self.frames = _frames(problem)

    @describe("data: time of all frames' neighbour lists")
    def time_neighbors(self, problem: str) -> None:
        """Pairs within 5 Å, sorted."""
        from suites.molecular.data.neighbors import neighbor_pairs

        neighbor_pairs(self.frames, _CUTOFF)


@functools.cache
def _tensors(problem: str) -> FrameTensors:
    import torch

    from suites.molecular.data.batches import FrameTensors
    from suites.molecular.data.neighbors import neighbor_pairs

    torch.set_num_threads(1)
    frames = _frames(problem)
    return FrameTensors(
        frames,
        neighbor_pairs(frames, _CUTOFF),
        frames.energies,
        frames.forces,
        torch.device("cpu"),
        torch.float32,
    )


class Gathering:
    """Batches of 10 frames with their neighbour lists, on the CPU, in one thread."""

    version = "1"
    timeout = 120
    rounds = len(cases([0], [], [1]))
    warmup_time = 0.2
    repeat = (10, 200, 1.0)
    param_names = ["problem"]
    params = [_SHIPPED]

    def setup(self, problem: str) -> None:
        import numpy as np

        self.tensors = _tensors(problem)
        order = np.random.default_rng(0).permutation(len(self.tensors))
        self.rows = np.split(order[: _BATCHES * _BATCH], _BATCHES)

    @describe("data: time to gather 20 batches of 10 frames")
    def time_gather(self, problem: str) -> None:
        """Twenty batches of different frames."""
        for rows in self.rows:
            self.tensors.batch(rows)
