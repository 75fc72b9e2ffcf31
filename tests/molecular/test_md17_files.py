"""MD17 and revised MD17: reading them as they are published, and refusing everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.units
import numpy as np
import pytest

from bench.text.errors import BadInput
from suites.molecular.data.md17 import find_md17, read_npz
from suites.molecular.data.molecules import SMILES

NUMBERS = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8)
COUNT = 7


def labels(count: int = COUNT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, energies near ethanol's in MD17, forces."""
    random = np.random.default_rng(1)
    shape = (count, len(NUMBERS), 3)
    return (
        random.normal(size=shape),
        -97_000.0 + random.normal(size=count),
        20.0 * random.normal(size=shape),
    )


def md17(column: bool = True, **changed: Any) -> dict[str, Any]:
    positions, energies, forces = labels()
    arrays = {
        "E": energies[:, None] if column else energies,
        "F": forces,
        "R": positions,
        "z": NUMBERS,
        "name": np.array("ethanol"),
        "theory": np.array("unknown"),
        "md5": np.array("0" * 32),
        "type": np.array("d"),
    }
    return {**arrays, **changed}


def revised(**changed: Any) -> dict[str, Any]:
    """The frames of `md17`, shuffled."""
    positions, energies, forces = labels()
    order = np.random.default_rng(2).permutation(COUNT)
    arrays = {
        "nuclear_charges": NUMBERS,
        "coords": positions[order],
        "energies": energies[order],
        "forces": forces[order],
        # Not all rows of MD17 are in the revised set.
        "old_indices": 10 * order + 3,
        "old_energies": energies[order] + 1.0,
        "old_forces": forces[order] + 1.0,
    }
    return {**arrays, **changed}


def write(path: Path, arrays: dict[str, Any], *without: str) -> Path:
    np.savez(path, **{key: value for key, value in arrays.items() if key not in without})
    return path


@pytest.mark.parametrize("column", [True, False])
def test_md17_is_read_as_published(tmp_path: Path, column: bool) -> None:
    path = write(tmp_path / "md17_ethanol.npz", md17(column))
    frames = read_npz(path, "kcal/mol")
    positions, energies, forces = labels()
    np.testing.assert_array_equal(frames.positions, positions.reshape(-1, 3))
    np.testing.assert_array_equal(frames.energies, energies)
    np.testing.assert_array_equal(frames.forces, forces.reshape(-1, 3))
    np.testing.assert_array_equal(frames.numbers, np.tile(NUMBERS, COUNT))
    assert frames.energy_unit == "kcal/mol"
    assert frames.sequential
    assert frames.uniform
    assert str(path) in frames.source


def test_revised_frames_return_to_their_order(tmp_path: Path) -> None:
    frames = read_npz(write(tmp_path / "rmd17_ethanol.npz", revised()), "kcal/mol")
    positions, energies, forces = labels()
    np.testing.assert_array_equal(frames.energies, energies)
    np.testing.assert_array_equal(frames.positions, positions.reshape(-1, 3))
    np.testing.assert_array_equal(frames.forces, forces.reshape(-1, 3))
    assert frames.sequential
    assert frames.energy_unit == "kcal/mol"


def test_revised_without_old_indices_is_no_trajectory(tmp_path: Path) -> None:
    frames = read_npz(write(tmp_path / "r.npz", revised(), "old_indices"), "kcal/mol")
    np.testing.assert_array_equal(frames.energies, revised()["energies"])
    assert not frames.sequential


def test_revised_with_too_few_old_indices(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'old_indices' have the shape"):
        read_npz(write(tmp_path / "r.npz", revised(old_indices=np.arange(3))), "kcal/mol")


def test_a_file_of_the_generator(tmp_path: Path) -> None:
    arrays = md17(
        column=False,
        e_unit=np.array("kcal/mol"),
        r_unit=np.array("Ang"),
        provenance=np.array(json.dumps({"method": "GFN2-xTB"})),
    )
    arrays["R"], arrays["F"] = arrays["R"].astype(np.float32), arrays["F"].astype(np.float32)
    path = tmp_path / "ethanol.npz"
    np.savez_compressed(path, **arrays)
    frames = read_npz(path, "kcal/mol")
    assert frames.positions.dtype == frames.forces.dtype == np.float64
    np.testing.assert_array_equal(frames.energies, labels()[1])
    np.testing.assert_array_equal(frames.positions, arrays["R"].reshape(-1, 3).astype(np.float64))


def test_bohr_becomes_angstrom(tmp_path: Path) -> None:
    arrays = md17(r_unit=np.array("bohr"), e_unit=np.array(b"Hartree"))
    frames = read_npz(write(tmp_path / "f.npz", arrays))
    positions, energies, forces = labels()
    assert frames.energy_unit == "Hartree"
    np.testing.assert_array_equal(frames.energies, energies)
    np.testing.assert_allclose(frames.positions, positions.reshape(-1, 3) * ase.units.Bohr)
    np.testing.assert_allclose(frames.forces, forces.reshape(-1, 3) / ase.units.Bohr)


def test_the_callers_unit_holds_where_the_file_names_none(tmp_path: Path) -> None:
    assert read_npz(write(tmp_path / "f.npz", md17()), "eV").energy_unit == "eV"
    with pytest.raises(BadInput, match="unit of energy 'ev/atom'"):
        read_npz(tmp_path / "f.npz", "ev/atom")


def test_contradicting_units_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", md17(e_unit=np.array("kcal/mol")))
    with pytest.raises(BadInput, match=r"energies are in kcal/mol .*not in eV"):
        read_npz(path, "eV")


@pytest.mark.parametrize(("key", "value"), [("e_unit", "furlong"), ("r_unit", "furlong")])
def test_unknown_units_of_a_file(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path / "f.npz", md17(**{key: np.array(value)}))
    with pytest.raises(BadInput, match=r"f\.npz: unknown unit of .* 'furlong'"):
        read_npz(path)


def test_missing_forces_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"without forces \('F'\); the keys are E, R, "):
        read_npz(write(tmp_path / "f.npz", md17(), "F"), "kcal/mol")
    with pytest.raises(BadInput, match=r"without forces \('forces'\); the keys are coords, "):
        read_npz(write(tmp_path / "r.npz", revised(), "forces"), "kcal/mol")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", {"x": np.zeros(3)})
    with pytest.raises(BadInput, match=r"no positions \(known names.* coords, .*the keys are x"):
        read_npz(path)


def test_a_lattice_is_not_dropped_in_silence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="periodic"):
        read_npz(write(tmp_path / "f.npz", md17(lattice=np.eye(3))), "kcal/mol")


@pytest.mark.parametrize("key", ["E", "F", "R"])
def test_labels_that_are_not_finite(tmp_path: Path, key: str) -> None:
    arrays = md17(column=False)
    arrays[key] = arrays[key].copy()
    arrays[key].reshape(COUNT, -1)[2, 0] = np.nan
    with pytest.raises(BadInput, match="of frame 2 are not finite"):
        read_npz(write(tmp_path / "f.npz", arrays), "kcal/mol", require_labels=key == "E")


@pytest.mark.parametrize("key", ["energies", "forces"])
def test_labels_of_nan_are_none(tmp_path: Path, key: str) -> None:
    """And a revised file returns to the order of its trajectory."""
    whole = read_npz(write(tmp_path / "w.npz", revised()), "kcal/mol")
    arrays = revised()
    arrays[key][2] = np.nan
    path = write(tmp_path / "f.npz", arrays)
    found = read_npz(path, "kcal/mol")
    assert found.reading is not None and found.reading.without_labels == (2,)
    row = int(np.argsort(np.argsort(arrays["old_indices"]))[2])
    kept = whole.select(np.delete(np.arange(COUNT), row))
    np.testing.assert_array_equal(found.energies, kept.energies)
    np.testing.assert_array_equal(found.positions, kept.positions)
    assert found.sequential
    # A run reads it again by the names that were found.
    again = read_npz(path, "kcal/mol", "energies", "forces")
    np.testing.assert_array_equal(again.energies, found.energies)
    with pytest.raises(BadInput, match="not finite"):
        read_npz(path, "kcal/mol", require_labels=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("F", np.zeros((COUNT - 1, 9, 3))),
        ("R", np.zeros((COUNT, 8, 3))),
        ("E", np.zeros((COUNT, 2))),
        ("E", np.array(1.0)),
        ("z", np.ones((1, 9), dtype=np.uint8)),
        ("z", np.array(list("CCOHHHHHH"))),
        ("E", np.array(["a"] * COUNT)),
    ],
)
def test_arrays_of_the_wrong_form(tmp_path: Path, key: str, value: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"f\.npz") as caught:
        read_npz(write(tmp_path / "f.npz", md17(**{key: value})), "kcal/mol")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["truncated", "text", "empty", "pickle", "npy"])
def test_files_that_are_no_npz(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "f.npz", md17())
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif content == "text":
        path.write_text("<html>404</html>")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "pickle":
        write(path, md17(F=np.array([None, {}], dtype=object)))
    else:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(BadInput, match=r"f\.npz: not a readable npz file") as caught:
        read_npz(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", md17())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a readable npz file"):
        read_npz(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.npz: cannot be opened: No such file"):
        read_npz(tmp_path / "none.npz")


def test_digest_tells_contents_apart(tmp_path: Path) -> None:
    one = read_npz(write(tmp_path / "a.npz", md17()), "kcal/mol")
    energies = md17()["E"] + 1.0
    two = read_npz(write(tmp_path / "b.npz", md17(E=energies)), "kcal/mol")
    assert len(one.digest) == 16
    assert one.digest != two.digest
    assert one.digest == read_npz(tmp_path / "a.npz", "kcal/mol").digest


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    ("molecule", "name"),
    [
        ("aspirin", "md17_aspirin.npz"),
        ("aspirin", "aspirin_dft.npz"),
        ("benzene", "md17_benzene2017.npz"),
        ("benzene", "benzene2017_dft.npz"),
        ("benzene", "benzene_old_dft.npz"),
        ("salicylic-acid", "md17_salicylic.npz"),
        ("salicylic-acid", "salicylic_dft.npz"),
        ("uracil", "md17_uracil.npz"),
    ],
)
def test_published_names_are_found(tmp_path: Path, molecule: str, name: str) -> None:
    touch(tmp_path / "md17_ethanol.npz")
    path = touch(tmp_path / name)
    assert find_md17(tmp_path, molecule, revised=False) == path


@pytest.mark.parametrize("folder", ["", "rmd17/npz_data", "npz_data"])
@pytest.mark.parametrize("molecule", SMILES)
def test_revised_names_are_found(tmp_path: Path, molecule: str, folder: str) -> None:
    stem = "salicylic" if molecule == "salicylic-acid" else molecule
    path = touch(tmp_path / folder / f"rmd17_{stem}.npz")
    assert find_md17(tmp_path, molecule, revised=True) == path
    with pytest.raises(BadInput):
        find_md17(tmp_path, molecule, revised=False)


def test_benzene_of_2018_is_another_data_set(tmp_path: Path) -> None:
    touch(tmp_path / "md17_benzene2018.npz")
    touch(tmp_path / "benzene2018_dft.npz")
    with pytest.raises(BadInput, match="benzene2017"):
        find_md17(tmp_path, "benzene", revised=False)


def test_nothing_found_says_what_was_looked_for_and_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        find_md17(tmp_path, "ethanol", revised=False)
    for part in (str(tmp_path), "md17_ethanol.npz", "ethanol_dft.npz", "quantum-machine.org"):
        assert part in str(caught.value)
    with pytest.raises(BadInput, match=r"rmd17_ethanol\.npz.*figshare"):
        find_md17(tmp_path, "ethanol", revised=True)


def test_roots_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere does not exist"):
        find_md17(tmp_path / "nowhere", "ethanol", revised=False)
    with pytest.raises(BadInput, match="is not a folder"):
        find_md17(touch(tmp_path / "file"), "ethanol", revised=False)


def test_unknown_molecule(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'etanol'; did you mean 'ethanol'"):
        find_md17(tmp_path, "etanol", revised=False)
