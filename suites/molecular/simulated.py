"""The molecular dynamics test of a run, ``--md``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from bench.spec.randomness import numpy_generator
from suites.molecular import molecular_dynamics as dynamics
from suites.molecular.data.frames import Frames
from suites.molecular.exported import ExportedPotential
from suites.molecular.loaded_calculator import LoadedCalculator
from suites.molecular.molecular_dynamics import (
    TEMPERATURE,
    TIME_STEP,
    TRAJECTORIES,
    Trajectory,
    molecular_dynamics,
)


class DynamicsTest:
    """The test of one run.

    Args:
        steps: Of each trajectory.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._trajectories: list[Trajectory] = []

    def run(self, potential: ExportedPotential, frames: Frames, seed: int, device: str) -> None:
        """As `simulate_from_frames`; what is found is scored and told by the other methods."""
        self._trajectories = simulate_from_frames(potential, frames, self.steps, seed, device)

    def scores(self) -> dict[str, float]:
        """See `suites.molecular.molecular_dynamics.scores`; nan before it has been run."""
        return dynamics.scores(self._trajectories)

    def warnings(self) -> list[str]:
        """About the trajectories that broke."""
        return dynamics.warnings(self._trajectories, self.steps)

    def note(self, test: Frames) -> str:
        """What a reader of the scores must know, of a run with these test frames."""
        return (
            f"MD_...: {self.steps} steps of {TIME_STEP:g} fs at constant energy from"
            f" {min(TRAJECTORIES, len(test))} test frames at {TEMPERATURE:g} K;"
            f" MD_stable_steps is {self.steps} where nothing broke"
        )


def simulate_from_frames(
    potential: ExportedPotential, frames: Frames, steps: int, seed: int, device: str
) -> list[Trajectory]:
    """Trajectories from at most `TRAJECTORIES` frames, drawn from the stream ``md``.

    Arms of one seed start from the same frames with the same velocities.

    Args:
        potential: What is tested.
        frames: To draw from, of elements that the potential knows.
        steps: Of each trajectory.
        seed: Of the run.
        device: On which the network computes.
    """
    count = min(TRAJECTORIES, len(frames))
    rows = np.sort(numpy_generator(seed, "md").choice(len(frames), count, replace=False))
    calculator = LoadedCalculator(potential, device)
    return molecular_dynamics(structures(frames.select(rows)), calculator, steps, seed)


def structures(frames: Frames) -> Sequence[Atoms]:
    """The frames as ASE's structures, without labels."""
    return [
        Atoms(
            frames.numbers[start:end],
            frames.positions[start:end],
            cell=frames.cells[k],
            pbc=frames.pbc[k],
        )
        for k, (start, end) in enumerate(zip(frames.first[:-1], frames.first[1:], strict=True))
    ]
