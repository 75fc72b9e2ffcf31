"""A trained potential drives ASE: relax a molecule, then let it vibrate.

In this folder:

    python -m bench.suite molecular --model schnet:32x2 --export potentials
    python relax.py potentials/xtb-ethanol-schnet-32x2-baseline-seed0-*
"""

import argparse
from pathlib import Path

from ase import units
from ase.build import molecule
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from suites.molecular.calculator import PotentialCalculator


def main(path: Path, steps: int) -> None:
    """Relax ethanol, displace its atoms, and follow them for steps of half a femtosecond."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = PotentialCalculator(path)

    before = atoms.get_potential_energy()
    with BFGS(atoms, logfile=None) as relaxation:
        relaxation.run(fmax=0.05, steps=200)
    gain, force = before - atoms.get_potential_energy(), abs(atoms.get_forces()).max()
    print(f"relaxed by {gain:.3f} eV; the largest force component is {force:.3f} eV/Å")

    atoms.rattle(stdev=0.05, seed=0)
    start = atoms.get_total_energy()
    with VelocityVerlet(atoms, timestep=0.5 * units.fs) as dynamics:
        dynamics.run(steps)
    drift = (atoms.get_total_energy() - start) / len(atoms)
    print(f"after {steps} steps: {atoms.get_temperature():.0f} K, energy drift {drift:.1e} eV/atom")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="a file that --export wrote")
    parser.add_argument("--steps", type=int, default=200, help="steps of dynamics (default 200)")
    options = parser.parse_args()
    main(options.path, options.steps)
