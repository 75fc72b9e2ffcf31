"""Generate the data that are shipped: ``python -m suites.molecular.data.generate``.

Needs ``pip install 'dcbench[generate]'``. A file that is already there is left alone.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import ase.data
import ase.io
import numpy as np

from bench.files.atomic import write_atomically
from bench.text.errors import BadInput, unknown
from suites.molecular.data import oxides, trajectory
from suites.molecular.data.molecules import CONFORMERS, SHIPPED, SMILES

OXIDES = "oxides"


def _progress(name: str, frames: int) -> Callable[[int], None]:
    every = max(1, frames // 10)

    def tell(done: int) -> None:
        if done % every == 0:
            print(f"{name}: {done} of {frames} frames", file=sys.stderr, flush=True)

    return tell


def write_molecule(path: Path, name: str, frames: int, spacing_fs: float, seed: int) -> None:
    """Sample a molecule and write it with MD17's keys and units."""
    conformers = CONFORMERS.get(name, 1)
    run = trajectory.Trajectory(SMILES[name], seed, conformers)
    sampled = run.sample(frames, spacing_fs, _progress(name, frames))
    correlation = trajectory.autocorrelation(sampled["path"])
    step = round(spacing_fs / trajectory.TIMESTEP_FS)
    provenance = {
        "method": "GFN2-xTB, Langevin dynamics",
        "smiles": SMILES[name],
        "conformers": conformers,
        "temperature_K": trajectory.TEMPERATURE_K,
        "friction_per_fs": trajectory.FRICTION_PER_FS,
        "timestep_fs": trajectory.TIMESTEP_FS,
        "equilibration_fs": trajectory.EQUILIBRATION_FS,
        "spacing_fs": spacing_fs,
        "energy_correlation_time_fs": trajectory.correlation_time_fs(sampled["path"]),
        "energy_correlation_of_neighbours": float(correlation[step]) if frames > 1 else None,
        "seed": seed,
        "versions": {package: version(package) for package in ("tblite", "ase", "rdkit")},
    }
    numbers = [ase.data.atomic_numbers[symbol] for symbol in run.atoms.symbols]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        # float32 resolves 5e-7 Å and 1e-5 kcal/mol/Å here; energies need all their digits.
        R=sampled["R"].astype(np.float32),
        E=sampled["E"],
        F=sampled["F"].astype(np.float32),
        z=np.array(numbers, dtype=np.uint8),
        name=np.array(name),
        theory=np.array("GFN2-xTB"),
        r_unit=np.array("Ang"),
        e_unit=np.array("kcal/mol"),
        provenance=np.array(json.dumps(provenance)),
    )
    write_atomically(path, buffer.getvalue())


def write_oxides(path: Path, frames: int, seed: int) -> None:
    """Sample the periodic problem and write it as compressed extended XYZ, in eV and eV/Å."""
    sampled = list(oxides.sample(frames, seed, _progress(OXIDES, frames)))
    sampled[0].info["provenance"] = (
        f"GFN1-xTB, tblite {version('tblite')}, ASE {version('ase')}, seed {seed}"
    )
    text = io.StringIO()
    ase.io.write(text, sampled, format="extxyz")
    # Without a time in the header, the same frames give the same bytes.
    write_atomically(path, gzip.compress(text.getvalue().encode(), mtime=0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the generator; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.molecular.data.generate", description=__doc__
    )
    names = [*SMILES, OXIDES]
    parser.add_argument("name", nargs="*", help=f"what to generate: {', '.join(names)}; all of it")
    parser.add_argument("--frames", type=int, default=1000, metavar="N", help="default 1000")
    parser.add_argument(
        "--spacing", type=float, default=25.0, metavar="FS", help="time between frames (default 25)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K")
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        for name in options.name:
            if name not in names:
                raise unknown("data set", name, names)
        if options.frames < 1:
            raise BadInput(f"--frames must be at least 1, got {options.frames}")
        if not trajectory.TIMESTEP_FS <= options.spacing < math.inf:
            raise BadInput(
                f"--spacing must be at least {trajectory.TIMESTEP_FS} fs, got {options.spacing}"
            )
        if options.seed < 0:
            # RDKit takes -1 for a seed of its own choice.
            raise BadInput(f"--seed must be 0 or more, got {options.seed}")
        for name in options.name or names:
            path = options.out / (f"{name}.xyz.gz" if name == OXIDES else f"{name}.npz")
            if path.exists():
                print(f"{path} is there", file=sys.stderr)
            elif name == OXIDES:
                write_oxides(path, options.frames, options.seed)
            else:
                write_molecule(path, name, options.frames, options.spacing, options.seed)
    except (BadInput, ModuleNotFoundError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
