"""Frames without labels, isolated atoms and ``config_type``, as published data sets have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from molecular_specs import alloys, specify, task

from bench.text.errors import BadInput
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.frames import Frames
from suites.molecular.data.reading import is_isolated_atom
from suites.molecular.labels import label_scale
from suites.molecular.references import isolated_references

#: Energies of the atoms in eV.
ATOMS = {29: -100.0, 79: -300.0}
UNIT = ["--energy-unit", "eV"]


def isolated(element: int, energy: float, named: bool = True, **info: Any) -> Atoms:
    """An atom in a large box, as GAP's files have it; without forces."""
    atoms = Atoms([element], cell=[20.0] * 3, pbc=True)
    kind = {"config_type": "IsolatedAtom"} if named else {}
    atoms.info.update({"dft_energy": energy, **kind, **info})
    return atoms


def gap_file(path: Path, count: int = 40, atoms: dict[int, float] = ATOMS) -> Path:
    """Rattled alloys of two kinds, labelled as GAP's files are, behind isolated atoms."""
    frames = [isolated(element, energy) for element, energy in atoms.items()]
    for number, atoms_of_frame in enumerate(alloys(count)):
        results = atoms_of_frame.calc.results
        frame = atoms_of_frame.copy()
        total = results["energy"] + sum(ATOMS[int(z)] for z in frame.numbers)
        frame.info.update(dft_energy=total, config_type=("small", "large")[number % 2])
        frame.arrays["dft_forces"] = results["forces"]
        frames.append(frame)
    ase.io.write(path, frames, format="extxyz")
    return path


def test_isolated_atoms_are_references_and_no_frames(tmp_path: Path) -> None:
    frames = read_ase(gap_file(tmp_path / "gap.xyz"), "eV")
    assert len(frames) == 40 and (frames.n_atoms >= 4).all()
    assert isolated_references(frames) == ATOMS
    assert frames.groups is not None and frames.groups[:2].tolist() == ["small", "large"]
    scale = label_scale("offset", "rescale=1", frames, ATOMS)
    assert scale.elements == ATOMS
    # What is left is what EMT calls the energy, exactly.
    expected = [atoms.get_potential_energy() for atoms in alloys(40)]
    np.testing.assert_allclose(frames.energies - scale.reference(frames), expected, atol=1e-5)
    # The paper's protocol removes nothing.
    assert label_scale("no-offset", "rescale=1", frames, ATOMS).elements == {}


def test_elements_without_an_isolated_atom_are_fitted_to_the_rest(tmp_path: Path) -> None:
    frames = read_ase(gap_file(tmp_path / "gap.xyz"), "eV")
    _, counts = frames.composition()
    exact = counts @ np.array([-100.0, -250.0])
    scale = label_scale(
        "offset", "rescale=1", Frames(**{**vars(frames), "energies": exact}), {29: -100.0}
    )
    assert scale.elements[29] == -100.0
    assert scale.elements[79] == pytest.approx(-250.0)


def test_isolated_atoms_are_told_from_small_cells() -> None:
    nowhere, everywhere = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)
    one, cell = np.array([29]), bulk("Cu").cell.array
    assert not is_isolated_atom(one, cell, everywhere, None)  # a crystal
    assert not is_isolated_atom(one, cell, everywhere, "bulk")
    assert is_isolated_atom(one, 10 * cell, everywhere, None)
    assert is_isolated_atom(one, cell, everywhere, "isolated_atom")
    assert is_isolated_atom(one, np.zeros((3, 3)), nowhere, None)
    assert not is_isolated_atom(np.array([1, 1]), np.zeros((3, 3)), nowhere, "IsolatedAtom")
    # Long vectors whose difference is short.
    skewed = np.array([[20.0, 0, 0], [20.0, 3.0, 0], [0, 0, 20.0]])
    assert not is_isolated_atom(one, skewed, everywhere, None)


def test_isolated_atoms_that_contradict_each_other(tmp_path: Path) -> None:
    path = gap_file(tmp_path / "gap.xyz")
    frames = [*ase.io.read(path, ":"), isolated(29, -99.0)]
    ase.io.write(path, frames, format="extxyz")
    with pytest.raises(BadInput, match=r"atoms of Cu have the energies -100 and -99 eV.*fitted"):
        specify("schnet:4x1", "baseline", *UNIT, problem=str(path))
    spec = specify("schnet:4x1", "baseline", *UNIT, "--references", "fitted", problem=str(path))
    assert spec.settings["references"] == "fitted"


def test_a_run_says_what_it_did_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gap_file(tmp_path / "gap.xyz")
    built = task("schnet:4x1", "baseline", *UNIT, problem=str(path))
    said = capsys.readouterr().err
    assert f"{path}: energies are its 'dft_energy', forces its 'dft_forces'" in said
    assert "2 isolated atoms are no frames but the reference energies of Cu, Au" in said
    assert "gap.xyz: a random split: it is no trajectory" in said
    assert built.scale.elements == ATOMS
    reading = built.description["reading"]
    assert reading["isolated_atoms"] == [[29, -100.0], [79, -300.0]]
    assert reading["energy_key"] == "dft_energy" and reading["frames_without_labels"] == 0
    assert built.description["split"]["trajectory"] is False
    # A trivial predictor still knows the mean.
    assert built.trivial()["MAE_E"] < 10.0
    fitted = task("schnet:4x1", "baseline", *UNIT, "--references", "fitted", problem=str(path))
    assert fitted.spec.hash != built.spec.hash
    assert fitted.scale.elements[29] != -100.0
    # The name that was found may be given without another run.
    named = [*UNIT, "--energy-key", "dft_energy", "--forces-key", "dft_forces"]
    assert specify("schnet:4x1", "baseline", *named, problem=str(path)).hash == built.spec.hash


def test_isolated_atoms_that_are_not_there(tmp_path: Path) -> None:
    path = gap_file(tmp_path / "gap.xyz", atoms={})
    with pytest.raises(BadInput, match=r"--references isolated: .* has no isolated atoms"):
        specify("schnet:4x1", "baseline", *UNIT, "--references", "isolated", problem=str(path))


def test_nothing_but_isolated_atoms(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "f.xyz", [isolated(1, -13.6)], format="extxyz")
    with pytest.raises(BadInput, match="all frames are isolated atoms"):
        read_ase(tmp_path / "f.xyz", "eV", energy_key="dft_energy", forces_key="forces")


@pytest.mark.parametrize("suffix", ["xyz", "traj", "db"])
def test_frames_without_labels_are_counted(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = alloys(20)
    frames[3].calc = None
    frames[7].calc = SinglePointCalculator(frames[7], energy=1.0)
    path = tmp_path / f"f.{suffix}"
    if suffix == "db":
        with ase.db.connect(path) as database:
            for atoms in frames:
                database.write(atoms)
    else:
        ase.io.write(path, frames, format="extxyz" if suffix == "xyz" else None)
    built = task("schnet:4x1", "baseline", *UNIT, problem=str(path))
    assert "2 frames without an energy or forces are left out (3, 7)" in capsys.readouterr().err
    assert built.description["reading"]["frames_without_labels"] == 2
    split = built.description["split"]
    assert split["n_train"] + split["n_val"] + split["n_test"] == 18
    with pytest.raises(BadInput, match="frame 3 has no energy"):
        specify("schnet:4x1", "baseline", *UNIT, "--require-labels", problem=str(path))


def test_no_frame_has_both_labels(tmp_path: Path) -> None:
    one, other = molecule("H2O"), molecule("H2O")
    one.info["REF_energy"] = 1.0
    other.arrays["REF_forces"] = np.zeros((3, 3))
    ase.io.write(tmp_path / "f.xyz", [one, other], format="extxyz")
    with pytest.raises(BadInput, match=r"frame 0 has no forces \(key 'REF_forces'\)"):
        read_ase(tmp_path / "f.xyz", "eV")


def test_errors_of_each_config_type(tmp_path: Path) -> None:
    built = task("schnet:4x1", "baseline", *UNIT, problem=str(gap_file(tmp_path / "gap.xyz")))
    metrics, test = built.evaluate().metrics, built.parts["test"]
    energies, forces = built.predict("test")
    rows = test.groups == "small"
    atoms = np.repeat(rows, test.n_atoms)
    assert 0 < rows.sum() < len(test)
    energy_error = np.abs(energies - test.energies)
    assert metrics["MAE_E[small]"] == pytest.approx(energy_error[rows].mean())
    assert metrics["MAE_F[small]"] == pytest.approx(np.abs(forces - test.forces)[atoms].mean())
    weighted = rows.mean() * metrics["MAE_E[small]"] + (~rows).mean() * metrics["MAE_E[large]"]
    assert weighted == pytest.approx(metrics["MAE_E"])
    assert built.unit("MAE_F[small]") == "eV/Å"


def test_isolated_atoms_are_gone_before_elements_and_copies_are_looked_at(tmp_path: Path) -> None:
    path = gap_file(tmp_path / "gap.xyz", atoms={**ATOMS, 78: -200.0})
    frames = ase.io.read(path, ":")
    ase.io.write(path, [*frames[:3], *frames], format="extxyz")
    built = task("schnet:4x1", "baseline", *UNIT, problem=str(path))
    # Platinum is only an isolated atom: no frame has it, and none is unseen. Nor is one a copy.
    assert built.elements == [29, 79] and built.warnings == ()
    assert "copies" not in built.spec.settings["split"]
    frames[-1].numbers[0] = 78
    frames[-1].info["config_type"] = "odd"
    ase.io.write(path, frames, format="extxyz")
    seeds = [seed for seed in range(30) if _refused(path, seed)]
    assert 0 < len(seeds) < 30


def _refused(path: Path, seed: int) -> bool:
    try:
        specify("schnet:4x1", "baseline", *UNIT, problem=str(path), seed=seed)
    except BadInput as error:
        assert "no training frame has Pt" in str(error)
        return True
    return False


def test_auto_divides_by_no_rounding_where_isolated_atoms_explain_the_energies(
    tmp_path: Path,
) -> None:
    path = gap_file(tmp_path / "gap.xyz")
    frames = ase.io.read(path, ":")
    for atoms in frames[2:]:
        atoms.info["dft_energy"] = sum(ATOMS[int(z)] for z in atoms.numbers)
    ase.io.write(path, frames, format="extxyz")
    with pytest.raises(BadInput, match="explain those of 32 training frames to rounding"):
        specify("schnet:4x1", "standardize", *UNIT, problem=str(path))
    specify("schnet:4x1", "offset", *UNIT, problem=str(path))


def test_stresses_stay_with_the_frames_that_are_kept(tmp_path: Path) -> None:
    images = alloys(8)
    for k, atoms in enumerate(images):
        atoms.calc.results["stress"] = np.full(6, float(k))
    del images[2].calc.results["forces"]
    path = tmp_path / "f.xyz"
    lone = isolated(29, -1.0)
    lone.calc = SinglePointCalculator(lone, energy=-1.0, stress=np.full(6, 9.0))
    ase.io.write(path, [lone, *images], format="extxyz")
    frames = read_ase(path, "eV")
    assert frames.stresses is not None
    np.testing.assert_array_equal(frames.stresses[:, 0, 0], [0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    # Messages name the frame by its number in the file.
    images[5].calc.results["stress"] = np.full(6, np.nan)
    ase.io.write(path, [lone, *images], format="extxyz")
    with pytest.raises(BadInput, match="frame 6: 'stress' is not finite"):
        read_ase(path, "eV")
