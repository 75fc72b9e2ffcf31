"""Sampling a molecule: GFN2-xTB molecular dynamics at constant temperature.

Needs the extra ``generate`` (tblite and RDKit).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS

from bench.spec.randomness import numpy_generator

TIMESTEP_FS = 0.5
TEMPERATURE_K = 500.0
#: Decay rate of the momenta. Stronger coupling than usual: the thermostat, not the molecule, is
#: what makes the energies of successive frames independent.
FRICTION_PER_FS = 0.02
EQUILIBRATION_FS = 2000.0
#: Longest bond of the relaxed molecule that is still one, as a multiple of its length.
_BROKEN = 1.6


class Trajectory:
    """Langevin dynamics of one molecule.

    Args:
        smiles: The molecule.
        seed: Root of the random numbers of geometry, momenta and thermostat; 0 or more.
        conformers: Number of geometries to relax; the one with the lowest energy is taken.
    """

    def __init__(self, smiles: str, seed: int, conformers: int = 1) -> None:
        relaxed = [_relaxed(_geometry(smiles, seed + k)) for k in range(conformers)]
        self.atoms = min(relaxed, key=lambda atoms: float(atoms.get_potential_energy()))
        self._bonds = _bonds(self.atoms)
        thermalize_momenta(
            self.atoms, temperature_K=TEMPERATURE_K, rng=numpy_generator(seed, "momenta")
        )
        self._dynamics = Langevin(
            self.atoms,
            TIMESTEP_FS * units.fs,
            temperature_K=TEMPERATURE_K,
            friction=FRICTION_PER_FS / units.fs,
            rng=numpy_generator(seed, "thermostat"),
            fixcm=False,
        )
        self._dynamics.run(round(EQUILIBRATION_FS / TIMESTEP_FS))

    def sample(
        self, frames: int, spacing_fs: float, progress: Callable[[int], None]
    ) -> dict[str, Any]:
        """Frames of the trajectory.

        Args:
            frames: Number of frames.
            spacing_fs: Time between two frames.
            progress: Called with the number of frames done.

        Returns:
            ``R`` (frames, atoms, 3) in Å, centred; ``E`` (frames,) and ``F`` (frames, atoms, 3)
            in kcal/mol and kcal/mol/Å; ``path``, the energies of all steps, from which the
            autocorrelation is found.

        Raises:
            RuntimeError: The molecule has reacted.
        """
        positions, energies, forces, path = [], [], [], []
        for frame in range(frames):
            for _ in range(round(spacing_fs / TIMESTEP_FS)):
                self._dynamics.run(1)
                path.append(self.atoms.get_potential_energy())
            positions.append(self.atoms.positions - self.atoms.positions.mean(axis=0))
            energies.append(path[-1])
            forces.append(self.atoms.get_forces())
            first, second, longest = self._bonds
            lengths = np.linalg.norm(positions[-1][first] - positions[-1][second], axis=1)
            if (lengths > longest).any():
                raise RuntimeError(f"{self.atoms.get_chemical_formula()} broke at frame {frame}")
            progress(frame + 1)
        kcal = units.kcal / units.mol
        return {
            "R": np.array(positions),
            "E": np.array(energies) / kcal,
            "F": np.array(forces) / kcal,
            "path": np.array(path) / kcal,
        }


def _relaxed(atoms: Atoms) -> Atoms:
    """The atoms at the nearest minimum of GFN2-xTB, which becomes their calculator."""
    from tblite.ase import TBLite

    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.02, steps=500)
    return atoms


def _geometry(smiles: str, seed: int) -> Atoms:
    """A geometry by ETKDG and MMFF (RDKit)."""
    from rdkit import Chem
    from rdkit.Chem.rdDistGeom import EmbedMolecule
    from rdkit.Chem.rdForceFieldHelpers import MMFFOptimizeMolecule

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if EmbedMolecule(molecule, randomSeed=seed) != 0:
        raise RuntimeError(f"RDKit finds no geometry of {smiles}")
    MMFFOptimizeMolecule(molecule)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return Atoms(symbols, molecule.GetConformer().GetPositions())


def _bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both atoms of each bond, and the length at which it counts as broken."""
    first, second = np.triu_indices(len(atoms), 1)
    lengths = np.linalg.norm(atoms.positions[first] - atoms.positions[second], axis=1)
    radii = covalent_radii[atoms.numbers]
    bonded = lengths < 1.25 * (radii[first] + radii[second])
    return first[bonded], second[bonded], _BROKEN * lengths[bonded]


def autocorrelation(series: np.ndarray) -> np.ndarray:
    """Normalised autocorrelation of a series, (n,), by the zero-padded FFT."""
    centred = series - series.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    found = np.fft.irfft(spectrum * spectrum.conj())[: len(centred)]
    return found / found[0]


def correlation_time_fs(series: np.ndarray) -> float:
    """Integrated autocorrelation time of a series with a value every `TIMESTEP_FS`.

    Summed up to the first zero, as ½ + Σ c(k), in fs; frames 2τ apart count as independent.
    """
    found = autocorrelation(series)
    end = int(np.argmax(found < 0)) or len(found)
    return float(0.5 + found[1:end].sum()) * TIMESTEP_FS
