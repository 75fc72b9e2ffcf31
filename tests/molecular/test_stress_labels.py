"""Stresses in files: keys, conventions, units, and what cannot be one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from molecular_specs import specify
from strained import strained_cells, write_strained

from bench.text.errors import BadInput
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.examined import examined
from suites.molecular.data.stresses import find_stress_keys
from suites.molecular.problems.catalogue import get_problem, load_file, load_frames
from suites.molecular.problems.problem import DataOptions

TRUE = np.stack([voigt_6_to_full_3x3_stress(a.calc.results["stress"]) for a in strained_cells(3)])


def written(path: Path, key: str, values: Iterable[object]) -> Path:
    """Three frames with their stresses under another key."""
    frames = strained_cells(3)
    for atoms, value in zip(frames, values, strict=True):
        del atoms.calc.results["stress"]
        atoms.info[key] = value
    ase.io.write(path, frames, format="extxyz")
    return path


def stresses(path: Path, *units: str | None, **named: str) -> np.ndarray:
    """The stresses that are read of a file."""
    found = read_ase(path, *units, **named).stresses  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_stress_of_a_calculator(tmp_path: Path) -> None:
    for name, form in (("a.extxyz", "extxyz"), ("a.traj", "traj"), ("a.db", "db")):
        ase.io.write(tmp_path / name, strained_cells(3), format=form)
        found = stresses(tmp_path / name, "eV")
        np.testing.assert_allclose(found, TRUE, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("key", ["virial", "virials", "REF_virial", "dft_virial"])
def test_a_virial_is_minus_the_volume_times_the_stress(tmp_path: Path, key: str) -> None:
    volumes = np.array([a.get_volume() for a in strained_cells(3)])[:, None, None]
    path = written(tmp_path / "a.extxyz", key, -volumes * TRUE)
    np.testing.assert_allclose(stresses(path, "eV"), TRUE, atol=1e-7)


def test_six_numbers_are_in_voigts_order(tmp_path: Path) -> None:
    values = [full_3x3_to_voigt_6_stress(s) for s in TRUE]
    path = written(tmp_path / "a.extxyz", "REF_stress", values)
    np.testing.assert_allclose(stresses(path, "eV"), TRUE, atol=1e-7)


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    path = written(tmp_path / "a.extxyz", "sigma", TRUE)
    assert read_ase(path, "eV").stresses is None
    found = stresses(path, "eV", stress_key="sigma")
    np.testing.assert_allclose(found, TRUE, atol=1e-7)
    with pytest.raises(BadInput, match=r"'tau'.*sigma"):
        read_ase(path, "eV", stress_key="tau")


@pytest.mark.parametrize(("unit", "size"), [("GPa", 1.0), ("kbar", 0.1)])
def test_the_unit(tmp_path: Path, unit: str, size: float) -> None:
    path = written(tmp_path / "a.extxyz", "REF_stress", TRUE / (units.GPa * size))
    np.testing.assert_allclose(stresses(path, "eV", stress_unit=unit), TRUE, atol=1e-7)
    in_kcal = stresses(path, "kcal/mol", stress_unit=unit)
    np.testing.assert_allclose(in_kcal, TRUE / (units.kcal / units.mol), atol=1e-6)


def test_lengths_in_bohr(tmp_path: Path) -> None:
    path = written(tmp_path / "a.extxyz", "REF_stress", TRUE)
    found = stresses(path, "Hartree", "Bohr")
    np.testing.assert_allclose(found, TRUE / units.Bohr**3, atol=1e-6)
    volumes = np.array([a.get_volume() for a in strained_cells(3)])[:, None, None]
    path = written(tmp_path / "b.extxyz", "virial", -volumes * TRUE)
    virial = stresses(path, "Hartree", "Bohr")
    np.testing.assert_allclose(virial, found, atol=1e-6)


def test_frames_without_volume_or_stress_have_none(tmp_path: Path) -> None:
    frames = strained_cells(3)
    frames[0].pbc = [True, True, False]
    del frames[1].calc.results["stress"]
    ase.io.write(tmp_path / "a.extxyz", frames, format="extxyz")
    found = read_ase(tmp_path / "a.extxyz", "eV")
    assert found.stressed.tolist() == [False, False, True]
    assert found.select(np.array([2, 0])).stressed.tolist() == [True, False]


def test_none_leaves_stresses_out(tmp_path: Path) -> None:
    path = write_strained(tmp_path / "a.extxyz", 3)
    assert read_ase(path, "eV", stress_key="none").stresses is None


def test_stress_and_virial_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    frames = strained_cells(3)
    for atoms, stress in zip(frames, TRUE, strict=True):
        atoms.info["virial"] = atoms.get_volume() * stress
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames, format="extxyz")
    with pytest.raises(BadInput, match=r"frame 0: 'stress' and 'virial' contradict"):
        read_ase(path, "eV")
    np.testing.assert_allclose(stresses(path, "eV", stress_key="stress"), TRUE, atol=1e-7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0, 2.0, 3.0], "6 numbers"),
        ([[0.1, 0.2, 0.0], [-0.2, 0.1, 0.0], [0.0, 0.0, 0.1]], "not symmetric"),
        ([np.nan] * 6, "not finite"),
        ("large", "6 numbers"),
    ],
)
def test_what_is_no_stress_is_refused(tmp_path: Path, value: object, text: str) -> None:
    path = written(tmp_path / "a.extxyz", "Stress", [value] * 3)
    with pytest.raises(BadInput, match=rf"frame 0: 'Stress'.*{text}"):
        read_ase(path, "eV")


VOLUMES = np.array([a.get_volume() for a in strained_cells(3)])[:, None, None]


def database(path: Path, unit: str, key: str = "stress", values: np.ndarray = TRUE) -> Path:
    """A SchNetPack database with stresses, or virials, that have a unit."""
    from ase.db import connect

    with connect(path) as db:
        for atoms, value in zip(strained_cells(3), values, strict=True):
            results = atoms.calc.results
            data = {"energy": np.array([results["energy"]]), "forces": results["forces"]}
            bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
            db.write(bare, data={**data, key: value[None]})
        db.metadata = {
            "_property_unit_dict": {"energy": "eV", "forces": "eV/Ang", key: unit},
            "_distance_unit": "Ang",
        }
    return path


KCAL = units.kcal / units.mol


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("GPa", units.GPa),
        ("kcal/mol/Ang^3", KCAL),
        ("kcal/mol/Ang/Ang/Ang", KCAL),
        ("Hartree/Bohr**3", units.Ha / units.Bohr**3),
        ("eV/\u00c5\u00b3", 1.0),
    ],
)
def test_a_schnetpack_databases_own_unit(tmp_path: Path, unit: str, size: float) -> None:
    path = database(tmp_path / "a.db", unit, values=TRUE / size)
    np.testing.assert_allclose(stresses(path, None), TRUE, atol=1e-9)


def test_a_databases_unknown_unit_must_be_given(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", "Pa/m", values=TRUE / units.GPa)
    with pytest.raises(BadInput, match=r"'Pa/m'.*--stress-unit"):
        read_ase(path, None)
    np.testing.assert_allclose(stresses(path, None, stress_unit="GPa"), TRUE, atol=1e-9)


def test_a_unit_that_contradicts_the_databases_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", "GPa", values=TRUE / units.GPa)
    np.testing.assert_allclose(stresses(path, None, stress_unit="GPa"), TRUE, atol=1e-9)
    with pytest.raises(BadInput, match=r"'stress'\) are in GPa by its metadata, not in kbar"):
        read_ase(path, None, stress_unit="kbar")


def test_a_databases_unit_of_a_virial(tmp_path: Path) -> None:
    values = -VOLUMES * TRUE / units.Ha
    path = database(tmp_path / "a.db", "Hartree", "virial", values)
    np.testing.assert_allclose(stresses(path, None), TRUE, atol=1e-9)
    path = database(tmp_path / "b.db", "GPa", "virial", values)
    with pytest.raises(BadInput, match=r"virials \('virial'\) are in 'GPa'.*--stress-key none"):
        read_ase(path, None)
    assert read_ase(path, None, stress_key="none").stresses is None


def test_a_unit_of_stresses_that_are_not_there_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.extxyz", "virial", -VOLUMES * TRUE)
    with pytest.raises(BadInput, match=r"--stress-unit GPa.*a virial \('virial'\)"):
        read_ase(path, "eV", stress_unit="GPa")
    with pytest.raises(BadInput, match="--stress-unit GPa: no stress is read"):
        read_ase(path, "eV", stress_unit="GPa", stress_key="none")


def test_only_the_training_file_must_have_the_stress(tmp_path: Path) -> None:
    written(tmp_path / "a.extxyz", "sigma", TRUE)
    without = strained_cells(3)
    for atoms in without:
        del atoms.calc.results["stress"]
    ase.io.write(tmp_path / "b.extxyz", without, format="extxyz")
    data = DataOptions(energy_unit="eV", stress_key="sigma", stress_unit="GPa")
    assert load_file(tmp_path / "b.extxyz", data).stresses is None
    found = load_file(tmp_path / "a.extxyz", data).stresses
    assert found is not None
    np.testing.assert_allclose(found, TRUE * units.GPa, atol=1e-7)
    with pytest.raises(BadInput, match="no frame has it"):
        load_frames(get_problem(str(tmp_path / "b.extxyz")), data)


def test_columns_of_the_atoms_are_no_stress(tmp_path: Path) -> None:
    frames = strained_cells(3)
    for atoms in frames:
        atoms.set_array("virials", np.ones((len(atoms), 9)))
    ase.io.write(tmp_path / "a.extxyz", frames, format="extxyz")
    np.testing.assert_allclose(stresses(tmp_path / "a.extxyz", "eV"), TRUE, atol=1e-7)
    with pytest.raises(BadInput, match=r"shape \(4, 9\).*--stress-key none"):
        read_ase(tmp_path / "a.extxyz", "eV", stress_key="virials")


def test_zeros_beside_a_virial_are_missing(tmp_path: Path) -> None:
    frames = strained_cells(3)
    for atoms, stress, volume in zip(frames, TRUE, VOLUMES, strict=True):
        atoms.calc.results["stress"] = np.zeros(6)
        atoms.info["virial"] = -volume * stress
    # Zeros that stand alone are those of the other frames.
    del frames[2].info["virial"]
    ase.io.write(tmp_path / "a.extxyz", frames, format="extxyz")
    found = read_ase(tmp_path / "a.extxyz", "eV")
    assert found.stresses is not None and found.stressed.tolist() == [True, True, False]
    np.testing.assert_allclose(found.stresses[:2], TRUE[:2], atol=1e-7)
    (said,) = examined(found, None, None).warnings
    assert said.startswith("'stress' is zero in 3 frames of a file that has 'virial' too")


def test_the_key_is_part_of_a_runs_name(tmp_path: Path) -> None:
    path = str(write_strained(tmp_path / "a.extxyz", 40))
    own = ("--energy-unit", "eV", "--split", "random")
    plain = specify("schnet:8x2", "baseline", *own, problem=path)
    without = specify("schnet:8x2", "baseline", *own, "--stress-key", "none", problem=path)
    assert plain.hash != without.hash


def test_single_point_calculators_of_one_frame_keep_their_stress(tmp_path: Path) -> None:
    atoms = strained_cells(1)[0]
    stress = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    atoms.calc = SinglePointCalculator(atoms, **{**atoms.calc.results, "stress": stress})
    ase.io.write(tmp_path / "a.extxyz", atoms, format="extxyz")
    found = stresses(tmp_path / "a.extxyz", "eV")
    assert found[0].tolist() == [[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]]


@pytest.mark.parametrize(
    ("named", "energy_key", "expected"),
    [
        ({"Virial": 1.0}, "energy", ["Virial"]),
        ({"stress": 1.0, "REF_stress": 2.0}, "energy", ["stress"]),
        ({"stress": 1.0, "REF_stress": 2.0}, "REF_energy", ["REF_stress"]),
        ({"dft_virial": 1.0}, "energy", ["dft_virial"]),
        ({"stress": 1.0}, "e_dft", ["stress"]),
        ({"pbe_stress": 1.0, "pbe_virials": 2.0}, "pbe_energy", ["pbe_stress", "pbe_virials"]),
        ({"mace_stress": 1.0, "max_stress": 2.0, "stresses": 3.0}, "energy", []),
    ],
)
def test_a_stress_belongs_to_an_energy_by_its_name(
    named: dict[str, float], energy_key: str, expected: list[str]
) -> None:
    labels = [{name: np.full(6, value) for name, value in named.items()}]
    labels[0] |= {"calculate_stress": True, "stress_level": 3}
    assert find_stress_keys(Path("f.xyz"), labels, [1], energy_key) == expected


def test_several_stresses_of_other_names_are_refused(tmp_path: Path) -> None:
    atoms = strained_cells(1)[0]
    atoms.info.update(pbe_stress=np.zeros(6), scan_stress=np.ones(6))
    del atoms.calc.results["stress"]
    path = tmp_path / "f.xyz"
    ase.io.write(path, atoms, format="extxyz")
    with pytest.raises(BadInput, match="several stresses: pbe_stress, scan_stress; --stress-key"):
        read_ase(path, "eV")
    assert read_ase(path, "eV", stress_key="scan_stress").stressed.all()


def test_the_name_of_a_stress_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "f.xyz", "Virial", [np.eye(3)] * 3)
    frames = read_ase(path, "eV")
    assert frames.reading is not None and frames.reading.describe()["stress_keys"] == ["Virial"]
    specify("schnet:4x1", "baseline", "--energy-unit", "eV", problem=str(path))
    assert "stresses are its 'Virial' (--stress-key)" in capsys.readouterr().err
    assert (
        read_ase(path, "eV", stress_key="none")
        .reading.describe()
        .keys()
        .isdisjoint({"stress_keys"})
    )
