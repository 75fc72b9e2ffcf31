"""ASE-readable files: extended XYZ, trajectories, ASE's and SchNetPack's databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import ase.units
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from schnetpack.data import ASEAtomsData

from bench.text.errors import BadInput
from suites.molecular.data.ase_file import read_ase

FORMATS = ("xyz", "extxyz", "xyz.gz", "traj", "db", "json")


def images() -> list[Atoms]:
    """Water in no box, a skewed cell of MgO, and a slab with carbon monoxide."""
    slab = molecule("CO", cell=[5, 6, 20], pbc=[True, True, False])
    found = [molecule("H2O"), bulk("MgO", "rocksalt", a=4.2), slab]
    random = np.random.default_rng(0)
    for number, atoms in enumerate(found):
        label(atoms, -100.0 * number - 1.0 / 3.0, random.normal(size=(len(atoms), 3)))
    return found


def label(atoms: Atoms, energy: float, forces: np.ndarray) -> None:
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)


def write(path: Path, frames: list[Atoms]) -> Path:
    if path.suffix in (".db", ".json"):
        with ase.db.connect(path) as database:
            for atoms in frames:
                database.write(atoms)
    else:
        form = None if path.suffix == ".traj" else "extxyz"
        ase.io.write(path, frames, format=form)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    frames = read_ase(write(tmp_path / f"f.{suffix}", images()), "eV")
    expected = images()
    assert len(frames) == 3
    assert frames.n_atoms.tolist() == [3, 2, 2]
    assert frames.energy_unit == "eV"
    assert frames.sequential
    for index, atoms in enumerate(expected):
        rows = slice(frames.first[index], frames.first[index + 1])
        # Extended XYZ has eight decimals.
        assert frames.energies[index] == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(frames.forces[rows], atoms.get_forces(), atol=1e-8)
        np.testing.assert_allclose(frames.positions[rows], atoms.positions, atol=1e-8)
        np.testing.assert_array_equal(frames.numbers[rows], atoms.numbers)
        np.testing.assert_array_equal(frames.pbc[index], atoms.pbc)
    np.testing.assert_allclose(frames.cells[1], expected[1].cell.array, atol=1e-8)
    assert not frames.cells[0].any()


def test_cells_are_zero_where_not_periodic(tmp_path: Path) -> None:
    frames = read_ase(write(tmp_path / "f.traj", images()), "eV")
    np.testing.assert_array_equal(frames.cells[2], np.diag([5.0, 6.0, 0.0]))


def test_units_are_required_and_known(tmp_path: Path) -> None:
    path = write(tmp_path / "f.xyz", images())
    with pytest.raises(BadInput, match=r"does not say its units.*eV, meV, kcal/mol"):
        read_ase(path, None)
    with pytest.raises(BadInput, match="unit of energy 'ev'"):
        read_ase(path, "ev")
    with pytest.raises(BadInput, match="unit of length 'pm'"):
        read_ase(path, "eV", "pm")


@pytest.mark.parametrize("suffix", ["xyz", "db"])
def test_atomic_units_of_length(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"f.{suffix}", images())
    plain, scaled = read_ase(path, "Hartree"), read_ase(path, "Hartree", "Bohr")
    bohr = ase.units.Bohr
    np.testing.assert_array_equal(scaled.energies, plain.energies)
    np.testing.assert_allclose(scaled.positions, plain.positions * bohr)
    np.testing.assert_allclose(scaled.cells, plain.cells * bohr)
    np.testing.assert_allclose(scaled.forces, plain.forces / bohr)


def test_other_names_of_labels(tmp_path: Path) -> None:
    frames = images()
    for number, atoms in enumerate(frames):
        atoms.info["REF_energy"] = 7.0 + number
        atoms.arrays["REF_forces"] = np.full((len(atoms), 3), 3.0)
    path = write(tmp_path / "f.xyz", frames)
    found = read_ase(path, "eV", energy_key="REF_energy", forces_key="REF_forces")
    assert found.energies.tolist() == [7.0, 8.0, 9.0]
    assert (found.forces == 3.0).all()
    assert not (read_ase(path, "eV").forces == 3.0).any()


def test_key_value_pairs_and_data_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    with ase.db.connect(path) as database:
        for atoms in images():
            forces = np.full((len(atoms), 3), 3.0)
            database.write(atoms, key_value_pairs={"e_dft": 5.0}, data={"f_dft": forces})
    found = read_ase(path, "eV", energy_key="e_dft", forces_key="f_dft")
    assert found.energies.tolist() == [5.0] * 3
    assert (found.forces == 3.0).all()
    # The calculator's results stay reachable.
    assert read_ase(path, "eV").energies[0] == pytest.approx(-1 / 3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_forces_of_fixed_atoms_are_kept(tmp_path: Path, suffix: str) -> None:
    frames = images()[:1]
    forces = frames[0].calc.results["forces"]
    frames[0].set_constraint(FixAtoms([0, 1]))
    assert not frames[0].get_forces()[:2].any()
    found = read_ase(write(tmp_path / f"f.{suffix}", frames), "eV")
    np.testing.assert_allclose(found.forces, forces, atol=1e-8)


@pytest.mark.parametrize("suffix", ["xyz", "traj", "db"])
def test_a_frame_without_forces_is_named(tmp_path: Path, suffix: str) -> None:
    frames = images()
    frames[1].calc = SinglePointCalculator(frames[1], energy=1.0)
    path = write(tmp_path / f"f.{suffix}", frames)
    with pytest.raises(BadInput, match=r"frame 1 has no forces \(key 'forces'\); it has .*energy"):
        read_ase(path, "eV", require_labels=True)
    found = read_ase(path, "eV")
    assert len(found) == 2 and found.reading is not None
    assert found.reading.without_labels == (1,)


def test_frames_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "f.xyz"
    ase.io.write(path, molecule("H2O"), format="xyz")
    with pytest.raises(BadInput, match=r"frame 0 has no energy .*it has no labels"):
        read_ase(path, "eV")


@pytest.mark.parametrize(
    ("energy", "forces"), [(1.0, np.zeros((3, 1))), (np.zeros(3), np.zeros((3, 3)))]
)
def test_labels_of_the_wrong_shape(tmp_path: Path, energy: Any, forces: np.ndarray) -> None:
    path = tmp_path / "f.db"
    with ase.db.connect(path) as database:
        database.write(molecule("H2O"), data={"energy": energy, "forces": forces})
    with pytest.raises(BadInput, match=r"frame 0: .* must be numbers of the shape"):
        read_ase(path, "eV")


def test_a_column_of_forces_in_extended_xyz(tmp_path: Path) -> None:
    path = tmp_path / "f.xyz"
    path.write_text("1\nProperties=species:S:1:pos:R:3:forces:R:1 energy=1\nH 0 0 0 1\n")
    with pytest.raises(BadInput, match="forces"):
        read_ase(path, "eV")


def test_labels_that_are_not_finite(tmp_path: Path) -> None:
    frames = images()
    frames[2].calc.results["forces"][0, 1] = np.nan
    with pytest.raises(BadInput, match=r"frame 2: forces \(key 'forces'\) are not finite"):
        read_ase(write(tmp_path / "f.traj", frames), "eV")


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_labels_of_nan_are_none(tmp_path: Path, label: str) -> None:
    frames = images()
    whole = read_ase(write(tmp_path / "whole.traj", frames), "eV")
    frames[2].calc.results[label] = np.nan * np.asarray(frames[2].calc.results[label])
    path = write(tmp_path / "f.traj", frames)
    found = read_ase(path, "eV")
    assert found.reading is not None and found.reading.without_labels == (2,)
    np.testing.assert_array_equal(found.energies, np.delete(whole.energies, 2))
    with pytest.raises(BadInput, match=f"frame 2 has no {label}"):
        read_ase(path, "eV", require_labels=True)


@pytest.mark.parametrize("suffix", ["xyz", "xyz.gz", "traj", "db", "json", "foo"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_files(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"f.{suffix}"
    if damage == "cut":
        whole = write(tmp_path / f"w.{'xyz' if suffix == 'foo' else suffix}", images())
        content = whole.read_bytes()
        path.write_bytes(content[: len(content) // 2 - 3])
    else:
        path.write_bytes(b"no data here" if damage == "text" else b"")
    with pytest.raises(BadInput, match=rf"f\.{suffix}: ") as caught:
        read_ase(path, "eV")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.db: cannot be opened: No such file"):
        read_ase(tmp_path / "none.db", "eV")
    # ASE would have made an empty database.
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(BadInput, match="cannot be opened"):
        read_ase(tmp_path, "eV")


def test_a_foreign_database_is_left_as_it_is(tmp_path: Path) -> None:
    """ASE would have added its tables."""
    path = tmp_path / "f.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="no ASE database"):
        read_ase(path, "eV")
    assert path.read_bytes() == before


def test_an_at_sign_is_part_of_the_name(tmp_path: Path) -> None:
    assert len(read_ase(write(tmp_path / "f@1.xyz", images()), "eV")) == 3


def test_order_can_be_disowned_and_contents_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "f.xyz", images())
    frames = read_ase(path, "eV", sequential=False)
    assert not frames.sequential
    assert len(frames.digest) == 16
    assert frames.digest != read_ase(write(tmp_path / "g.xyz", images()[:2]), "eV").digest


Schnetpack = Callable[..., Path]


@pytest.fixture
def schnetpack_file(tmp_path: Path) -> Schnetpack:
    def write_database(
        energy: str | None = "kcal/mol", force: str = "kcal/mol/Ang", distance: str = "Ang"
    ) -> Path:
        path = tmp_path / "spk.db"
        units = {"energy": energy, "forces": force}
        dataset = ASEAtomsData.create(str(path), distance, units)
        frames = images()
        properties = [
            {"energy": np.array([10.0 + k]), "forces": np.full((len(atoms), 3), 2.0)}
            for k, atoms in enumerate(frames)
        ]
        # These frames carry a calculator with other numbers, in ASE's units.
        dataset.add_systems(properties, frames)
        return path

    return write_database


def test_a_schnetpack_database_has_its_own_units(schnetpack_file: Schnetpack) -> None:
    path = schnetpack_file()
    for unit in (None, "kcal/mol"):
        frames = read_ase(path, unit)
        assert frames.energy_unit == "kcal/mol"
        assert frames.energies.tolist() == [10.0, 11.0, 12.0]
        assert (frames.forces == 2.0).all()
        assert frames.pbc.any(axis=1).tolist() == [False, True, True]


def test_contradicting_a_schnetpack_database(schnetpack_file: Schnetpack) -> None:
    path = schnetpack_file()
    with pytest.raises(BadInput, match="energies are in kcal/mol by its metadata, not in eV"):
        read_ase(path, "eV")
    with pytest.raises(BadInput, match="positions are in Ang by its metadata, not in Bohr"):
        read_ase(path, None, "Bohr")


def test_mixed_units_of_a_schnetpack_database(schnetpack_file: Schnetpack) -> None:
    frames = read_ase(schnetpack_file("eV", "Hartree/Bohr", "Bohr"), None)
    assert frames.energy_unit == "eV"
    np.testing.assert_allclose(frames.forces, 2.0 * ase.units.Hartree / ase.units.Bohr)
    np.testing.assert_allclose(frames.positions[:3], images()[0].positions * ase.units.Bohr)
    np.testing.assert_allclose(frames.cells[1], images()[1].cell.array * ase.units.Bohr)


@pytest.mark.parametrize(
    "units", [(None, "eV/Ang", "Ang"), ("eV", "eV", "Ang"), ("eV", "eV/Ang", "furlong")]
)
def test_units_of_a_schnetpack_database_that_are_none(
    schnetpack_file: Schnetpack, units: tuple[Any, str, str]
) -> None:
    with pytest.raises(BadInput, match=r"spk\.db: in the database's metadata: unknown unit"):
        read_ase(schnetpack_file(*units), "eV")


def test_properties_that_a_schnetpack_database_lacks(schnetpack_file: Schnetpack) -> None:
    with pytest.raises(BadInput, match="no property 'energy_U0'; it has energy, forces"):
        read_ase(schnetpack_file(), None, energy_key="energy_U0")


# --- units of forces, and of programs' outputs ------------------------------------------------


def test_forces_may_have_a_unit_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "f.extxyz", images())
    plain = read_ase(path, "Hartree")
    frames = read_ase(path, "Hartree", force_unit="Hartree/Bohr")
    np.testing.assert_allclose(frames.forces, plain.forces / ase.units.Bohr)
    np.testing.assert_array_equal(frames.energies, plain.energies)
    np.testing.assert_array_equal(frames.positions, plain.positions)
    # The default follows the unit of length.
    same = read_ase(path, "Hartree", "Bohr", force_unit="Hartree/Bohr")
    np.testing.assert_allclose(same.forces, read_ase(path, "Hartree", "Bohr").forces)


def test_a_schnetpack_database_confirms_its_unit_of_force(schnetpack_file: Schnetpack) -> None:
    path = schnetpack_file("eV", "Hartree/Bohr", "Bohr")
    plain = read_ase(path, None)
    np.testing.assert_array_equal(
        read_ase(path, None, force_unit="Hartree/Bohr").forces, plain.forces
    )
    with pytest.raises(BadInput, match="forces are in Hartree/Bohr by its metadata, not in eV/Ang"):
        read_ase(path, None, force_unit="eV/Ang")


TURBOMOLE = """\
$grad          cartesian gradients
  cycle =      1    SCF energy =      -76.5000000000   |dE/dxyz| =  0.100000
    0.00000000000000      0.00000000000000      0.00000000000000      o
    1.80000000000000      0.00000000000000      0.00000000000000      h
    0.00000000000000      1.80000000000000      0.00000000000000      h
  0.30000000000000D-01  0.10000000000000D-01  0.00000000000000D+00
 -0.30000000000000D-01  0.00000000000000D+00  0.00000000000000D+00
  0.00000000000000D+00 -0.10000000000000D-01  0.00000000000000D+00
$end
"""


def test_an_output_of_a_program_is_in_ase_s_units(tmp_path: Path) -> None:
    path = tmp_path / "gradient"
    path.write_text(TURBOMOLE)
    frames = read_ase(path, None)
    assert frames.energy_unit == "eV"
    assert frames.energies == pytest.approx([-76.5 * ase.units.Hartree])
    assert frames.positions[1, 0] == pytest.approx(1.8 * ase.units.Bohr)
    assert frames.forces[0, 0] == pytest.approx(-0.03 * ase.units.Hartree / ase.units.Bohr)
    same = read_ase(path, "eV", "Ang", force_unit="eV/Ang")
    np.testing.assert_array_equal(same.forces, frames.forces)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"energy_unit": "Hartree"}, r"--energy-unit Hartree.*turbomole-gradient.*energies to eV"),
        ({"energy_unit": None, "length_unit": "Bohr"}, r"--length-unit Bohr.*positions to Ang"),
        ({"energy_unit": "eV", "force_unit": "Hartree/Bohr"}, r"--force-unit Hartree/Bohr.*eV/Ang"),
        (
            {"energy_unit": "eV", "stress_unit": "kbar"},
            r"--stress-unit kbar.*stresses to eV",
        ),
    ],
)
def test_another_unit_than_ase_s_is_refused(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    path = tmp_path / "gradient"
    path.write_text(TURBOMOLE)
    with pytest.raises(BadInput, match=said):
        read_ase(path, **asked)
