"""npz files in other layouts than MD17's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from molecular_specs import specify

from bench.text.errors import BadInput
from suites.molecular.data.md17 import read_npz

COUNT = 12
RANDOM = np.random.default_rng(0)
R = RANDOM.normal(size=(COUNT, 3, 3)) + 3 * np.arange(3)[:, None]
F = RANDOM.normal(size=(COUNT, 3, 3))
E = RANDOM.normal(size=COUNT)
#: Revised MD17's names.
PUBLISHED = ("energies", "forces", "coords", "nuclear_charges")


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("energy", "forces", "positions", "numbers"), np.array([8, 1, 1])),
        (("energies", "forces", "coordinates", "species"), np.array(["O", "H", "H"])),
        (("E", "F", "R", "Z"), np.tile([8, 1, 1], (COUNT, 1))),
        (("dft_energy", "dft_forces", "pos", "atomic_numbers"), np.array([8, 1, 1])),
    ],
)
def test_arrays_are_told_by_their_names(
    names: tuple[str, str, str, str], numbers: np.ndarray, tmp_path: Path
) -> None:
    arrays = dict(zip(names, (E, F, R, numbers), strict=True))
    frames = read_npz(write(tmp_path / "f.npz", **arrays, Q=np.zeros(COUNT)), "eV")
    np.testing.assert_array_equal(frames.energies, E)
    np.testing.assert_array_equal(frames.forces, F.reshape(-1, 3))
    np.testing.assert_array_equal(frames.positions, R.reshape(-1, 3))
    assert frames.numbers.tolist() == [8, 1, 1] * COUNT
    assert frames.reading is not None and frames.reading.energy_key == names[0]


def test_molecules_of_different_sizes_are_padded(tmp_path: Path) -> None:
    numbers = np.tile([8, 1, 1], (COUNT, 1))
    numbers[::2, 2] = 0
    frames = read_npz(write(tmp_path / "f.npz", E=E, F=F, R=R, Z=numbers), "eV")
    assert frames.n_atoms.tolist() == [2, 3] * (COUNT // 2)
    np.testing.assert_array_equal(frames.positions[:5], [*R[0, :2], *R[1]])
    np.testing.assert_array_equal(frames.forces[:5], [*F[0, :2], *F[1]])


def test_such_a_file_has_no_unit_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", E=E, F=F, R=R, Z=np.array([8, 1, 1]))
    with pytest.raises(BadInput, match="does not say its units"):
        read_npz(path)
    assert read_npz(path, "Hartree").energy_unit == "Hartree"


@pytest.mark.parametrize("names", [("E", "F", "R", "z"), PUBLISHED])
def test_a_file_laid_out_as_the_published_ones_has_no_unit_either(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    arrays = dict(zip(names, (E, F, R, np.array([8, 1, 1])), strict=True))
    path = write(tmp_path / "f.npz", **arrays)
    with pytest.raises(BadInput, match=r"does not say its units.*--energy-unit UNIT"):
        specify("schnet:4x1", "baseline", problem=str(path))
    found = specify("schnet:4x1", "baseline", "--energy-unit", "eV", problem=str(path))
    assert found.settings["file"]["energy_unit"] == "eV"


def test_names_that_are_given(tmp_path: Path) -> None:
    arrays = {"E": E, "F": F, "R": R, "z": np.array([8, 1, 1]), "E_xtb": E + 1, "F_xtb": F + 1}
    path = write(tmp_path / "f.npz", **arrays)
    frames = read_npz(path, "eV", "E_xtb", "F_xtb")
    np.testing.assert_array_equal(frames.energies, E + 1)
    np.testing.assert_array_equal(read_npz(path, "eV").energies, E)
    with pytest.raises(BadInput, match=r"--energy-key E_dft: the keys are E, E_xtb"):
        read_npz(path, "eV", "E_dft", "F")
    words = ["--energy-unit", "eV", "--energy-key", "E_xtb", "--forces-key", "F_xtb"]
    spec = specify("schnet:4x1", "baseline", *words, problem=str(path))
    assert spec.settings["file"]["energy_key"] == "E_xtb"
    with pytest.raises(BadInput, match=r"--energy-key: the keys of ethanol\.npz"):
        specify("schnet:4x1", "baseline", "--energy-key", "E")


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    numbers = np.tile([8, 1, 0], (COUNT, 1))
    with pytest.raises(BadInput, match="forces have the shape"):
        read_npz(write(tmp_path / "f.npz", E=E, F=F[:, :2], R=R, Z=numbers), "eV")
    with pytest.raises(BadInput, match="'Xx', which is no element"):
        symbols = np.array(["O", "H", "Xx"])
        read_npz(write(tmp_path / "f.npz", energy=E, forces=F, R=R, species=symbols), "eV")


CELL = 9.0 * np.eye(3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", CELL),
        ("cells", np.tile(CELL, (COUNT, 1, 1))),
        ("lattice", CELL),
        ("Box", np.full(3, 9.0)),
        ("pbc", np.array([True, True, False])),
        ("pbc", np.array("T T T")),
    ],
)
@pytest.mark.parametrize("keys", [("E", "F", "R", "z"), ("energy", "forces", "pos", "numbers")])
def test_a_periodic_file_is_not_read_as_molecules(
    name: str, value: np.ndarray, keys: tuple[str, ...], tmp_path: Path
) -> None:
    arrays = dict(zip(keys, (E, F, R, np.array([8, 1, 1])), strict=True))
    path = write(tmp_path / "f.npz", **arrays, **{name: value})
    with pytest.raises(BadInput, match=rf"periodic \('{name}'\); .* ASE file"):
        read_npz(path, "eV")


def test_molecules_may_say_that_they_are_molecules(tmp_path: Path) -> None:
    arrays = {"E": E, "F": F, "R": R, "z": np.array([8, 1, 1])}
    empty = {"cell": np.zeros((3, 3)), "pbc": np.zeros((COUNT, 3), dtype=bool)}
    frames = read_npz(write(tmp_path / "f.npz", **arrays, **empty), energy_unit="eV")
    np.testing.assert_array_equal(frames.energies, E)


@pytest.mark.parametrize("name", ["stress", "virial", "REF_virials"])
def test_stresses_are_not_dropped_without_a_word(name: str, tmp_path: Path) -> None:
    arrays = {"E": E, "F": F, "R": R, "z": np.array([8, 1, 1]), name: np.ones((COUNT, 6))}
    path = write(tmp_path / "f.npz", **arrays)
    with pytest.raises(BadInput, match=f"'{name}' is not read.*--stress-key none"):
        specify("schnet:4x1", "baseline", "--energy-unit", "eV", problem=str(path))
    words = ["--energy-unit", "eV", "--stress-key", "none"]
    assert specify("schnet:4x1", "baseline", *words, problem=str(path)).hash
