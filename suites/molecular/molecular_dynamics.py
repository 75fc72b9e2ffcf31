"""Molecular dynamics as a test of a potential: does it conserve energy, do the bonds hold?

Errors on frames do not tell whether a simulation is stable (X. Fu et al., Forces are not Enough,
arXiv 2210.07237). Here a potential drives velocity Verlet at constant energy from given frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput

#: Of a step, in fs; a tenth of the period of an O-H bond's vibration is 0.9 fs.
TIME_STEP = 0.5
#: Of the drawn velocities, in K.
TEMPERATURE = 300.0
#: Trajectories of a test.
TRAJECTORIES = 4
#: Fewest steps of a test, 50 fs: below, a slope is that of the vibrations' own fluctuation.
FEWEST_STEPS = 100

#: Two atoms nearer than this many sums of their covalent radii (B. Cordero et al., Dalton Trans.
#: 2008, 2832, by ASE) are bonded.
BONDED = 1.25
#: How far a bond may leave the range from its length at the start to the sum of its covalent
#: radii, in Å. Fu et al. (section 5) allow as much from the equilibrium's length, which is unknown
#: here; a frame alone would not do, since its bonds are stretched or compressed.
MARGIN = 0.5
#: Largest change of the total energy, in eV/atom: the mean kinetic energy at `TEMPERATURE`.
LARGEST_GAIN = 1.5 * units.kB * TEMPERATURE


class Trajectory(NamedTuple):
    """How a simulation went.

    Attributes:
        stable_steps: Steps before it broke; all that were asked for, if it did not.
        drift: Slope of a least-squares line through the total energy while it was stable, in
            meV/atom/ps; NaN below two stable steps.
        energies: (stable_steps + 1,) total energies in eV/atom.
        broken: Why it ended early; ``None`` if it did not.
    """

    stable_steps: int
    drift: float
    energies: np.ndarray
    broken: str | None


class Bonds:
    """The bonds of a structure: pairs nearer than `BONDED` sums of covalent radii.

    Args:
        atoms: The structure at the start.
    """

    def __init__(self, atoms: Atoms) -> None:
        radii = covalent_radii[atoms.numbers]
        first, second, vectors = neighbor_list("ijD", atoms, BONDED * radii)
        # Of an atom and its own image the length is the cell's.
        once = first < second
        self._pairs = first[once], second[once]
        start = atoms.positions[second[once]] - atoms.positions[first[once]]
        self._images = vectors[once] - start
        self._lengths = np.linalg.norm(vectors[once], axis=1)
        usual = radii[first[once]] + radii[second[once]]
        self._shortest = np.minimum(self._lengths, usual) - MARGIN
        self._longest = np.maximum(self._lengths, usual) + MARGIN
        self._symbols = atoms.get_chemical_symbols()

    def broken(self, positions: np.ndarray) -> str | None:
        """A bond that has left its range by more than `MARGIN`, in words; ``None``: none has.

        Args:
            positions: (atoms, 3) in Å, not wrapped into the cell, of the same cell.
        """
        first, second = self._pairs
        lengths = np.linalg.norm(positions[second] - positions[first] + self._images, axis=1)
        bad = np.flatnonzero((lengths < self._shortest) | (lengths > self._longest))
        if not len(bad):
            return None
        k = int(bad[0])
        pair = f"{self._symbols[first[k]]}{first[k]}-{self._symbols[second[k]]}{second[k]}"
        return f"the bond {pair} went from {self._lengths[k]:.2f} to {lengths[k]:.2f} Å"


def simulate(
    atoms: Atoms,
    calculator: Calculator,
    steps: int,
    random: np.random.Generator,
    time_step: float = TIME_STEP,
) -> Trajectory:
    """Velocity Verlet at constant energy from a structure, until something breaks.

    It breaks where a bond has left its range by more than `MARGIN`, where the total energy has left
    its start by more than `LARGEST_GAIN`, where a number is not finite, and where
    the calculator refuses the geometry.

    Args:
        atoms: The structure; it is not changed.
        calculator: Gives energies in eV and forces in eV/Å.
        steps: Steps at most.
        random: Draws the velocities: Maxwell and Boltzmann's at `TEMPERATURE`, without a drift of
            the centre of mass.
        time_step: In fs.

    Raises:
        BadInput: The calculator refuses the structure itself.
    """
    atoms = atoms.copy()
    atoms.set_constraint()
    atoms.calc = calculator
    bonds = Bonds(atoms)
    # ASE's function of this name has changed between the versions that are allowed.
    widths = np.sqrt(atoms.get_masses() * units.kB * TEMPERATURE)
    atoms.set_momenta(random.standard_normal((len(atoms), 3)) * widths[:, None])
    if len(atoms) > 1:
        Stationary(atoms)
    energies = [atoms.get_total_energy() / len(atoms)]
    dynamics = VelocityVerlet(atoms, timestep=time_step * units.fs)
    broken = None
    while broken is None and len(energies) <= steps:
        try:
            dynamics.run(1)
            energy = atoms.get_total_energy() / len(atoms)
        except BadInput as error:  # atoms that flew apart, or are nowhere
            broken = str(error)
            break
        broken = _exploded(energy - energies[0]) or bonds.broken(atoms.positions)
        if broken is None:
            energies.append(energy)
    total = np.array(energies)
    return Trajectory(len(total) - 1, _drift(total, time_step), total, broken)


def molecular_dynamics(
    structures: Sequence[Atoms], calculator: Calculator, steps: int, seed: int = 0
) -> list[Trajectory]:
    """`simulate` from each structure.

    Args:
        structures: Where the trajectories begin.
        calculator: For instance `suites.molecular.calculator.PotentialCalculator`.
        steps: Steps of each, at least `FEWEST_STEPS`.
        seed: Root of the random velocities.

    Raises:
        BadInput: There are too few steps, or the calculator refuses a structure.
    """
    require_steps(steps)
    return [
        simulate(atoms, calculator, steps, numpy_generator(seed, f"velocities {k}"))
        for k, atoms in enumerate(structures)
    ]


def require_steps(steps: int) -> None:
    """Raises BadInput if a test has too few steps."""
    if steps < FEWEST_STEPS:
        raise BadInput(
            f"--md must be at least {FEWEST_STEPS} steps ({FEWEST_STEPS * TIME_STEP:g} fs), got"
            f" {steps}: below, the drift is that of the vibrations"
        )


def scores(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Metrics of a test; all nan without a trajectory.

    ``MD_drift``: median of the trajectories' |drift| in meV/atom/ps, of those that have one.
    ``MD_stable_steps``: mean of their stable steps, counted up to the steps that were asked for: a
    lower bound where some did not break. ``MD_broken``: share of those that broke.
    """
    if not trajectories:
        return dict.fromkeys(UNITS, math.nan)
    drifts = [abs(t.drift) for t in trajectories if not math.isnan(t.drift)]
    return {
        "MD_drift": float(np.median(drifts)) if drifts else math.nan,
        "MD_stable_steps": float(np.mean([t.stable_steps for t in trajectories])),
        "MD_broken": float(np.mean([t.broken is not None for t in trajectories])),
    }


#: Of the metrics of `scores`.
UNITS = {"MD_drift": "meV/atom/ps", "MD_stable_steps": "steps", "MD_broken": "1"}


def warnings(trajectories: Sequence[Trajectory], steps: int) -> list[str]:
    """A sentence if trajectories broke: how many, when the first one, and why."""
    broken = [t for t in trajectories if t.broken is not None]
    if not broken:
        return []
    first = min(broken, key=lambda t: t.stable_steps)
    return [
        f"molecular dynamics: {len(broken)} of {len(trajectories)} trajectories broke within"
        f" {steps} steps of {TIME_STEP:g} fs, the first after {first.stable_steps}: {first.broken}"
    ]


def _exploded(gain: float) -> str | None:
    if not math.isfinite(gain):
        return "the energy is not finite"
    if abs(gain) > LARGEST_GAIN:
        return f"the total energy changed by {gain:.3g} eV/atom, more than the heat of the atoms"
    return None


def _drift(energies: np.ndarray, time_step: float) -> float:
    """Slope in meV/atom/ps of total energies in eV/atom, one a step of `time_step` fs."""
    if len(energies) < 3:
        return math.nan
    times = np.arange(len(energies)) * time_step
    slope = np.polynomial.Polynomial.fit(times, energies, 1).convert().coef
    # eV/fs; a fit of equal energies drops the slope's coefficient.
    return float(slope[1]) * 1e6 if len(slope) > 1 else 0.0
