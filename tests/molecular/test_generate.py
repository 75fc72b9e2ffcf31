"""The generator of the shipped data, and the data themselves."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import numpy as np
import pytest
from ase import Atoms

from suites.molecular.data import generate, trajectory
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.frames import Frames
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED, SMILES
from suites.molecular.problems.catalogue import PROBLEMS

KCAL = ase.units.kcal / ase.units.mol
KT = 500 * ase.units.kB / KCAL

ELEMENTS = {4, 3, 11, 12, 22, 30, 8, 1, 6}

# --- what is shipped --------------------------------------------------------------------------

MOLECULES = sorted(SHIPPED.glob("*.npz"))
PERIODIC = sorted(SHIPPED.glob("*.xyz.gz"))

each_molecule = pytest.mark.parametrize("path", MOLECULES, ids=lambda path: path.stem)


def provenance(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        found: dict[str, Any] = json.loads(str(file["provenance"]))
    return found


def test_ethanol_is_shipped_and_all_is_small() -> None:
    assert SHIPPED / "ethanol.npz" in MOLECULES
    assert {path.stem for path in MOLECULES} <= SMILES.keys()
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) <= 12e6


@each_molecule
def test_a_shipped_molecule_has_md17_s_keys_and_units(path: Path) -> None:
    frames = read_npz(path)
    assert len(frames) == 1000 and frames.uniform and frames.sequential
    assert frames.energy_unit == "kcal/mol"
    numbers = frames.numbers[: frames.n_atoms[0]]
    assert Atoms(numbers).get_chemical_formula() == PROBLEMS[f"xtb-{path.stem}"].formula
    with np.load(path) as file:
        kinds = {key: file[key].dtype for key in ("R", "E", "F", "z")}
        assert str(file["theory"]) == "GFN2-xTB" and str(file["name"]) == path.stem
        np.testing.assert_allclose(file["R"].mean(axis=1), 0.0, atol=1e-5)
    assert kinds == {"R": np.float32, "E": np.float64, "F": np.float32, "z": np.uint8}


@each_molecule
def test_a_shipped_frame_has_no_net_force_and_no_net_torque(path: Path) -> None:
    frames = read_npz(path)
    shape = (len(frames), -1, 3)
    positions, forces = frames.positions.reshape(shape), frames.forces.reshape(shape)
    assert np.sqrt(np.mean(forces**2)) > 10  # kcal/mol/Å
    assert np.abs(forces.sum(axis=1)).max() < 2e-3
    assert np.abs(np.cross(positions, forces).sum(axis=1)).max() < 2e-2


@each_molecule
def test_the_energies_are_those_of_500_kelvin(path: Path) -> None:
    """Near a harmonic molecule's: dof/2 kT above the minimum, with the deviation √(dof/2) kT."""
    frames = read_npz(path)
    freedom = 3 * int(frames.n_atoms[0]) - 6
    deviation = frames.energies - frames.energies.mean()
    assert 0.7 < deviation.std() / (np.sqrt(freedom / 2) * KT) < 1.4
    assert np.abs(deviation).max() < 6 * deviation.std()
    # A trajectory that still heats or drifts has other energies at its end.
    fifths = [part.mean() for part in np.array_split(deviation, 5)]
    assert np.abs(fifths).max() < 0.6 * deviation.std()
    # Valence electrons only.
    valence = {1: -0.4, 6: -2.0, 7: -3.0, 8: -4.0}  # Hartree, roughly
    rough = sum(valence[int(z)] for z in frames.numbers[: frames.n_atoms[0]]) / KCAL
    assert frames.energies.mean() == pytest.approx(rough * ase.units.Ha, rel=0.2)


@each_molecule
def test_no_shipped_molecule_has_reacted(path: Path) -> None:
    frames = read_npz(path)
    positions = frames.positions.reshape(len(frames), -1, 3)
    first = Atoms(frames.numbers[: frames.n_atoms[0]], positions[0])
    one, other, longest = trajectory._bonds(first)
    assert len(one) >= len(first) - 1
    lengths = np.linalg.norm(positions[:, one] - positions[:, other], axis=2)
    # `longest` is 1.6 times a thermal bond's length.
    assert (lengths < longest).all() and lengths.min() > 0.7
    all_pairs = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=3)
    assert all_pairs[all_pairs > 0].min() > 0.7


@each_molecule
def test_the_provenance_says_how_to_repeat_it(path: Path) -> None:
    found = provenance(path)
    assert found["smiles"] == SMILES[path.stem] and found["method"].startswith("GFN2-xTB")
    assert found["temperature_K"] == 500 and isinstance(found["seed"], int)
    assert 10 <= found["spacing_fs"] <= 50
    assert {"tblite", "ase", "rdkit"} <= found["versions"].keys()
    assert 0 < found["energy_correlation_time_fs"] < 200
    assert abs(found["energy_correlation_of_neighbours"]) < 0.7


@each_molecule
def test_the_measured_correlation_is_that_of_the_frames(path: Path) -> None:
    energies = read_npz(path).energies
    correlation = trajectory.autocorrelation(energies)[1]
    assert correlation == pytest.approx(
        provenance(path)["energy_correlation_of_neighbours"], abs=0.15
    )


@pytest.mark.parametrize("path", PERIODIC, ids=lambda path: path.name)
def test_the_shipped_oxides(path: Path, tmp_path: Path) -> None:
    text = gzip.decompress(path.read_bytes()).decode()
    assert text.count("Lattice=") > 900
    first = text.splitlines()[1]
    assert "GFN1-xTB" in first and "tblite" in first and "seed" in first
    # A part of them, because ASE reads slowly.
    part = text.split("\n")
    starts = [row - 1 for row, line in enumerate(part) if "Lattice=" in line]
    (tmp_path / "part.xyz").write_text("\n".join(part[: starts[198]]) + "\n")
    frames = read_ase(tmp_path / "part.xyz", "eV", sequential=False)
    assert len(frames) == 198 and frames.pbc.all() and not frames.uniform
    assert set(frames.numbers.tolist()) == ELEMENTS
    net = np.add.reduceat(frames.forces, frames.first[:-1])
    assert np.abs(net).max() < 1e-2
    assert 0.1 < np.sqrt(np.mean(frames.forces**2)) < 5
    # Displacements cost energy: what a structure's frames differ by is little, and never absurd.
    _, counts = frames.composition()
    for composition in np.unique(counts, axis=0):
        energies = frames.energies[(counts == composition).all(axis=1)]
        assert len(energies) >= 22 and 0 < energies.std() < 1.5, composition


# --- the generator ----------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any equilibration."""
    pytest.importorskip("tblite")
    pytest.importorskip("rdkit")
    monkeypatch.setattr(trajectory, "EQUILIBRATION_FS", 5.0)


def generated(folder: Path, *arguments: str) -> int:
    return generate.main([*arguments, "--out", str(folder)])


def with_xtb(atoms: Atoms, method: str) -> Atoms:
    from tblite.ase import TBLite

    atoms = atoms.copy()
    atoms.calc = TBLite(method=method, verbosity=0, max_iterations=500)
    return atoms


def slope(atoms: Atoms, atom: int, axis: int, step: float = 2e-3) -> float:
    """dE/dR by central differences, in eV/Å."""
    energies = []
    for sign in (1, -1):
        atoms.positions[atom, axis] += sign * step
        energies.append(atoms.get_potential_energy())
        atoms.positions[atom, axis] -= sign * step
    return (energies[0] - energies[1]) / (2 * step)


def frames_as_atoms(frames: Frames) -> list[Atoms]:
    return [
        Atoms(
            frames.numbers[one:end],
            frames.positions[one:end],
            cell=frames.cells[k],
            pbc=frames.pbc[k],
        )
        for k, (one, end) in enumerate(pairwise(frames.first))
    ]


ETHANOL = ["ethanol", "--frames", "3", "--spacing", "5"]


def test_three_frames_of_ethanol(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generated(tmp_path, *ETHANOL) == 0
    out, err = capsys.readouterr()
    assert out == "" and "ethanol: 3 of 3 frames" in err
    path = tmp_path / "ethanol.npz"
    assert [file.name for file in tmp_path.iterdir()] == ["ethanol.npz"]
    with np.load(path) as file:
        assert {"R", "E", "F", "z", "e_unit", "r_unit", "provenance"} <= set(file.files)
        assert (file["R"].dtype, file["F"].dtype) == (np.float32, np.float32)
        assert (file["E"].dtype, file["z"].dtype) == (np.float64, np.uint8)
        assert file["R"].shape == file["F"].shape == (3, 9, 3) and file["E"].shape == (3,)
        assert (str(file["e_unit"]), str(file["r_unit"])) == ("kcal/mol", "Ang")
    assert provenance(path)["spacing_fs"] == 5.0 and provenance(path)["seed"] == 0

    frames = read_npz(path)
    assert frames.sequential and frames.uniform
    for k, atoms in enumerate(frames_as_atoms(frames)):
        atoms = with_xtb(atoms, "GFN2-xTB")
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        rows = slice(frames.first[k], frames.first[k + 1])
        assert frames.energies[k] * KCAL == pytest.approx(energy, abs=1e-4)
        np.testing.assert_allclose(frames.forces[rows] * KCAL, forces, atol=1e-3)
        for atom, axis in ((0, 0), (2, 1), (8, 2)):
            force = frames.forces[rows][atom, axis] * KCAL
            assert force == pytest.approx(-slope(atoms, atom, axis), abs=1e-3)
    positions = frames.positions.reshape(3, -1)
    assert np.abs(np.diff(positions, axis=0)).max() > 0.01  # it moves


def test_the_oxides_in_turn(quick: None, tmp_path: Path) -> None:
    assert generated(tmp_path, "oxides", "--frames", "9") == 0
    path = tmp_path / "oxides.xyz.gz"
    assert path.read_bytes()[4:8] == b"\0\0\0\0"  # the time in gzip's header
    frames = read_ase(path, "eV", sequential=False)
    assert len(frames) == 9 and frames.pbc.all() and not frames.sequential
    assert set(frames.numbers.tolist()) == ELEMENTS
    formulas = [atoms.get_chemical_formula() for atoms in ase.io.read(path, ":")]
    assert len(set(formulas)) == 9
    assert frames.energies.dtype == frames.forces.dtype == np.float64
    for k in (0, 7):  # a bulk cell, a slab with an adsorbate
        atoms = with_xtb(frames_as_atoms(frames)[k], "GFN1-xTB")
        rows = slice(frames.first[k], frames.first[k + 1])
        assert frames.energies[k] == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(frames.forces[rows], atoms.get_forces(), atol=1e-3)
        if k == 0:
            force = frames.forces[rows][1, 0]
            assert force == pytest.approx(-slope(atoms, 1, 0), abs=1e-3)


def test_the_same_seed_gives_the_same_bytes(quick: None, tmp_path: Path) -> None:
    for name, options in (("ethanol.npz", ETHANOL), ("oxides.xyz.gz", ["oxides", "--frames", "1"])):
        contents = []
        for place, seed in (("a", "0"), ("b", "0"), ("c", "1")):
            assert generated(tmp_path / place, *options, "--seed", seed) == 0
            contents.append((tmp_path / place / name).read_bytes())
        assert contents[0] == contents[1] != contents[2]


def test_what_is_there_is_left_alone(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ethanol.npz").write_text("mine")
    (tmp_path / "oxides.xyz.gz").write_text("mine too")
    assert generated(tmp_path, "ethanol", "oxides", "--seed", "7") == 0
    assert capsys.readouterr().err.count("is there") == 2
    assert (tmp_path / "ethanol.npz").read_text() == "mine"
    assert (tmp_path / "oxides.xyz.gz").read_text() == "mine too"


def test_a_single_frame_is_allowed(quick: None, tmp_path: Path) -> None:
    assert generated(tmp_path, "ethanol", "--frames", "1", "--spacing", "5") == 0
    assert len(read_npz(tmp_path / "ethanol.npz")) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["etanol"], "did you mean 'ethanol'?"),
        (["ethanol", "oxide"], "did you mean 'oxides'?"),
        (["ethanol", "--frames", "0"], "0"),
        (["ethanol", "--spacing", "0.1"], "0.1"),
        (["ethanol", "--spacing", "nan"], "nan"),
        # RDKit's own word for "at random".
        (["ethanol", "--seed", "-1"], "-1"),
    ],
    ids=" ".join,
)
def test_bad_input(
    arguments: Sequence[str],
    named: str,
    quick: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Few frames, lest what is not refused take minutes.
    assert generated(tmp_path, "--frames", "2", "--spacing", "5", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("generate: ")
    assert named in err
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tblite", "tblite.ase", "rdkit"):
        monkeypatch.setitem(sys.modules, name, None)
    assert generated(tmp_path, "ethanol") == 2
    err = capsys.readouterr().err
    assert err.startswith("generate: ") and err.count("\n") == 1 and "rdkit" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("molecule", SMILES)
def test_a_molecule_s_geometry(molecule: str) -> None:
    pytest.importorskip("rdkit")
    atoms = trajectory._geometry(SMILES[molecule], 0)
    assert atoms.get_chemical_formula() == PROBLEMS[f"xtb-{molecule}"].formula
    apart = atoms.get_all_distances()[~np.eye(len(atoms), dtype=bool)]
    assert apart.min() > 0.9


# --- autocorrelation --------------------------------------------------------------------------


def test_the_correlation_time_of_a_known_process() -> None:
    """An autoregressive series has c(k) = aᵏ, whose sum is known."""
    random, a = np.random.default_rng(0), 0.9
    series = np.zeros(200_000)
    noise = random.normal(size=len(series))
    for k in range(1, len(series)):
        series[k] = a * series[k - 1] + noise[k]
    found = trajectory.autocorrelation(series)
    np.testing.assert_allclose(found[:8], a ** np.arange(8), atol=0.02)
    expected = (0.5 + a / (1 - a)) * trajectory.TIMESTEP_FS
    assert trajectory.correlation_time_fs(series) == pytest.approx(expected, rel=0.1)


def test_the_autocorrelation_is_that_of_the_sum() -> None:
    series = np.random.default_rng(0).normal(size=50)
    centred = series - series.mean()
    expected = [np.sum(centred[: 50 - k] * centred[k:]) for k in range(50)]
    np.testing.assert_allclose(
        trajectory.autocorrelation(series), np.array(expected) / expected[0], atol=1e-12
    )
