"""Energies and forces that contradict each other: said with the factor, and never for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.build
import ase.units
import molecular_specs
import numpy as np
import pytest
from ase.calculators.emt import EMT
from emt_frames import frames_from, rattled

from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.examined import examined
from suites.molecular.data.frames import Frames
from suites.molecular.data.label_check import Assumed, force_factor, label_warnings
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.data.similar_frames import similar_pairs
from suites.molecular.labels import with_total_energies

MOLECULES = sorted(path.stem for path in SHIPPED.glob("*.npz"))
KCAL = Assumed("kcal/mol", "Ang", "kcal/mol/Ang")
EV = Assumed("eV", "Ang", "eV/Ang")


def ethanol() -> Frames:
    return read_npz(SHIPPED / "ethanol.npz")


# --- nothing is said of data that are right ---------------------------------------------------


@pytest.mark.parametrize("name", MOLECULES)
def test_shipped_molecules_contradict_nothing(name: str) -> None:
    frames = read_npz(SHIPPED / f"{name}.npz")
    found = force_factor(frames)
    assert found is not None and found[0] == 1.0 and found[1] > 100
    for one in (frames, with_total_energies(frames)):
        assert label_warnings(one, KCAL) == []
    # In any order.
    shuffled = frames.select(np.random.default_rng(0).permutation(len(frames)))
    assert label_warnings(shuffled, KCAL) == []


def test_shipped_oxides_contradict_nothing() -> None:
    assert examined(read_ase(SHIPPED / "oxides.xyz.gz", "eV"), None, None).warnings == ()


def test_data_of_emt_contradict_nothing(tmp_path: Path) -> None:
    frames = read_ase(molecular_specs.write_alloys(tmp_path / "a.extxyz"), "eV")
    assert label_warnings(frames, EV) == []
    crystals = frames_from(rattled(40))
    found = force_factor(crystals)
    assert found is not None and found[0] == 1.0


def test_one_atom_displaced_at_a_time_contradicts_nothing() -> None:
    """Finite displacements, as for phonons: all energies are nearly the same."""
    images = []
    for atom in range(8):
        for axis in range(3):
            atoms = ase.build.bulk("Cu", a=3.6).repeat((2, 2, 2))
            atoms.positions[atom, axis] += 0.01
            images.append(atoms)
    assert label_warnings(frames_from(images), EV) == []


@pytest.mark.parametrize("kind", ["unrelated", "equal energies", "no forces", "few", "copies"])
def test_labels_that_tell_nothing_are_not_blamed(kind: str) -> None:
    frames, random = ethanol(), np.random.default_rng(0)
    changed = {
        "unrelated": replace(frames, forces=random.normal(0.0, 20.0, frames.forces.shape)),
        "equal energies": replace(frames, energies=np.full(len(frames), -7.0)),
        "no forces": replace(frames, forces=np.zeros_like(frames.forces)),
        "few": frames.select(np.arange(4)),
        "copies": frames.select(np.zeros(50, dtype=int)),
    }[kind]
    assert force_factor(changed) is None
    assert label_warnings(changed, KCAL) == []


# --- the work of the forces is the energy -----------------------------------------------------


def turned_triangles(count: int = 40) -> Frames:
    """Three atoms near a triangle, in eV and Å, turned and shifted as wholes."""
    random = np.random.default_rng(5)
    rest = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.3, 1.4, 0.0]])
    images = []
    for _ in range(count):
        atoms = ase.Atoms("Cu3", rest + random.normal(0.0, 0.02, rest.shape))
        atoms.calc = EMT()
        images.append(atoms)
    frames = frames_from(images)
    turned, forces = [], []
    for k in range(count):
        rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        rows = slice(3 * k, 3 * k + 3)
        turned.append(frames.positions[rows] @ rotation + random.normal(size=3))
        forces.append(frames.forces[rows] @ rotation)
    return replace(frames, positions=np.concatenate(turned), forces=np.concatenate(forces))


def test_the_work_of_turned_molecules_is_the_difference_of_their_energies() -> None:
    found = similar_pairs(turned_triangles())
    np.testing.assert_allclose(found.work[:10], found.energy[:10], rtol=0.1, atol=1e-3)
    assert np.corrcoef(found.work, found.energy)[0, 1] > 0.98


def test_the_work_counts_nearest_images() -> None:
    images = rattled(30)
    frames = frames_from(images)
    wrapped = []
    for atoms in images:
        moved = atoms.copy()
        moved.wrap()
        wrapped.append(moved.positions)
    one, other = (
        similar_pairs(frames),
        similar_pairs(replace(frames, positions=np.concatenate(wrapped))),
    )
    np.testing.assert_allclose(one.work, other.work, atol=1e-9)
    np.testing.assert_allclose(one.energy, other.energy)


# --- what is wrong is named with its factor ---------------------------------------------------

BOHR, HARTREE = ase.units.Bohr, ase.units.Hartree
KCAL_EV = ase.units.kcal / ase.units.mol


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (-1.0, "gradients taken for forces"),
        (KCAL_EV, "(--force-unit eV/Ang)"),
        (1 / KCAL_EV, "(--energy-unit eV --force-unit kcal/mol/Ang)"),
        (BOHR, "(--force-unit kcal/mol/Bohr)"),
        (1 / BOHR, "(--length-unit Bohr --force-unit kcal/mol/Ang)"),
        (-BOHR, "gradients, which have the other sign, and forces in kcal/mol/Bohr"),
        (KCAL_EV / HARTREE * BOHR, "(--force-unit Hartree/Bohr)"),
        (9.0, "energies per atom"),
        (3.3, "no pair of units explains that"),
    ],
)
def test_a_wrong_factor_of_the_forces_is_found(factor: float, said: str) -> None:
    frames = ethanol()
    wrong = replace(frames, forces=factor * frames.forces)
    found = force_factor(wrong)
    assert found is not None and found[0] == pytest.approx(factor, rel=0.06)
    (text,) = label_warnings(wrong, KCAL)
    assert said in text and f"{found[0]:.3g} times" in text


def test_energies_of_all_electrons_tell_their_unit() -> None:
    total = with_total_energies(ethanol())
    (text,) = label_warnings(replace(total, energy_unit="eV"), EV)
    assert "in kcal/mol, and are taken for eV" in text and "--energy-unit kcal/mol" in text


def test_a_case_in_atomic_units(tmp_path: Path) -> None:
    """Positions in Å, energies in Hartree, forces in Hartree/Bohr."""
    images = rattled(40)
    frames = frames_from(images)
    wrong = replace(
        frames,
        energies=frames.energies / HARTREE,
        forces=frames.forces / HARTREE * BOHR,
        energy_unit="Hartree",
    )
    (text,) = examined(wrong, None, None).warnings
    assert "0.5" in text and "--force-unit Hartree/Bohr" in text
    right = replace(wrong, forces=wrong.forces / BOHR)
    assert examined(right, None, "Hartree/Bohr").warnings == ()
