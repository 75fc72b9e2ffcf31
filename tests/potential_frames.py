"""Labelled frames of each kind that batches of potentials meet."""

from __future__ import annotations

import dataclasses

import numpy as np
from ase import Atoms
from ase.build import molecule
from molecular_specs import alloys

from suites.molecular.data.frames import Frames

#: Kinds with pairs.
KINDS = ("molecule", "mixture", "periodic", "strained")

_COUNT = 24


def labelled(kind: str) -> Frames:
    """24 frames with made-up labels.

    Args:
        kind: ``molecule``: of ethanol, whose lists differ by the geometry; ``mixture``: of several
            molecules, a single atom among them; ``periodic``: cells of two sizes; ``strained``:
            likewise, each with a stress; ``atoms``: of single atoms.
    """
    random = np.random.default_rng(0)
    if kind in ("periodic", "strained"):
        geometries = alloys(_COUNT)
    else:
        names = {
            "molecule": ["CH3CH2OH"],
            "mixture": ["H2O", "CH3CH2OH", "CH4", "C6H6", "O"],
            "atoms": ["O", "C"],
        }[kind]
        geometries = [molecule(names[k % len(names)]) for k in range(_COUNT)]
        for atoms in geometries:
            atoms.positions += random.normal(0.0, 0.1, atoms.positions.shape)
    return _with_labels(geometries, random, stressed=kind == "strained")


def _with_labels(geometries: list[Atoms], random: np.random.Generator, stressed: bool) -> Frames:
    sizes = [len(atoms) for atoms in geometries]
    positions = np.concatenate([atoms.positions for atoms in geometries])
    frames = Frames(
        numbers=np.concatenate([atoms.numbers for atoms in geometries]).astype(np.int64),
        positions=positions,
        energies=random.normal(size=len(geometries)),
        forces=random.normal(size=positions.shape),
        first=np.concatenate([[0], np.cumsum(sizes)]),
        cells=np.stack([np.asarray(atoms.cell) for atoms in geometries]),
        pbc=np.stack([atoms.pbc for atoms in geometries]),
        energy_unit="eV",
        sequential=False,
        source="made up",
        digest="0" * 16,
    )
    if not stressed:
        return frames
    stresses = random.normal(size=(len(geometries), 3, 3))
    return dataclasses.replace(frames, stresses=stresses + stresses.transpose(0, 2, 1))
