"""The names of energies and forces: found where they are unmistakable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms

from bench.text.errors import BadInput
from suites.molecular.data.ase_file import read_ase
from suites.molecular.data.label_keys import find_keys

FORCES = np.zeros((2, 3))


def found(*frames: dict[str, Any], energy: str | None = None, forces: str | None = None) -> Any:
    return find_keys("f.xyz", frames, [2] * len(frames), energy, forces)


def named(*names: str) -> dict[str, Any]:
    """A frame with a number under the names of energies, and a vector an atom under others."""
    return {name: FORCES if "force" in name.lower() or name == "F" else 1.0 for name in names}


@pytest.mark.parametrize(
    ("energy", "forces"),
    [
        ("energy", "forces"),
        ("Energy", "Forces"),
        ("E", "F"),
        ("energy", "force"),
        ("REF_energy", "REF_forces"),
        ("ref_energy", "ref_force"),
        ("dft_energy", "dft_force"),
        ("DFT_energy", "DFT_forces"),
        ("energy_dft", "forces_dft"),
        ("energy_xtb", "forces_xtb"),
        ("total_energy", "forces"),
        ("potential_energy", "forces"),
        ("wB97x_energy", "wB97x_forces"),
    ],
)
def test_names_of_published_files(energy: str, forces: str) -> None:
    frame = named(energy, forces)
    others = {"energy_weight": 1.0, "kinetic_energy": 2.0, "force_weight": 1.0, "charge": 0.0}
    others |= {"formation_energy": 3.0, "energy_per_atom": 4.0, "forces_std": FORCES}
    keys = found({**others, **frame})
    assert (keys.energy, keys.forces, keys.passed) == (energy, forces, ())


def test_free_energy_comes_last() -> None:
    assert found(named("free_energy", "energy", "forces")).energy == "energy"
    assert found(named("free_energy", "REF_energy", "forces")).energy == "REF_energy"
    assert found(named("free_energy", "forces")).energy == "free_energy"


def test_what_is_passed_over_is_told() -> None:
    keys = found(named("energy", "forces", "REF_energy", "REF_forces"))
    assert keys[:2] == ("energy", "forces")
    assert set(keys.passed) == {"REF_energy", "REF_forces"}


def test_a_pair_of_few_frames_is_no_candidate() -> None:
    many = [named("dft_energy", "dft_forces")] * 5
    assert found(*many, named("energy", "forces")).energy == "dft_energy"


def test_several_candidates_are_listed() -> None:
    with pytest.raises(BadInput, match="dft_energy with dft_forces, xtb_energy with xtb_forces"):
        found(named("dft_energy", "dft_forces", "xtb_energy", "xtb_forces"))
    with pytest.raises(BadInput, match=r"a_energy, b_energy; --energy-key and --forces-key"):
        found(named("a_energy", "b_energy", "forces"))


def test_a_given_name_stands_and_finds_its_like() -> None:
    frame = named("energy", "forces", "dft_energy", "dft_forces")
    assert found(frame, energy="dft_energy").forces == "dft_forces"
    assert found(frame, forces="dft_forces").energy == "dft_energy"
    assert found(frame, energy="energy", forces="dft_forces")[:2] == ("energy", "dft_forces")


@pytest.mark.parametrize(("frame", "option"), [(["forces"], "energy"), (["energy"], "forces")])
def test_what_is_missing_names_the_option(frame: list[str], option: str) -> None:
    with pytest.raises(BadInput, match=f"it has .*: --{option}-key NAME"):
        found({**named(*frame), "kinetic_energy": 1.0})


def test_energies_of_atoms_and_forces_of_the_wrong_shape_are_none() -> None:
    with pytest.raises(BadInput, match="--energy-key"):
        found({"energies": np.zeros(2), "forces": FORCES})
    with pytest.raises(BadInput, match="--forces-key"):
        found({"energy": 1.0, "REF_forces": np.zeros((2, 2))})


def test_a_file_without_forces_is_none_for_potentials(tmp_path: Path) -> None:
    """As QM9, whose energies are called ``U0``."""
    frames = [Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7 + k]]) for k in range(3)]
    for atoms in frames:
        atoms.info.update(U0=-1.0, mu=0.0)
    path = tmp_path / "qm9.xyz"
    ase.io.write(path, frames, format="extxyz")
    for key in (None, "U0"):
        with pytest.raises(BadInput, match=r"no forces.* nothing .* three numbers for each atom"):
            read_ase(path, "Hartree", energy_key=key)


@pytest.mark.parametrize(
    "name",
    [
        "energy_gap",
        "gap_energy",
        "gap_energy_direct",
        "ionization_energy",
        "solvation_energy",
        "lattice_energy",
        "exfoliation_energy",
        "reference_energy",
        "energy_atom",
        "energy_per_fu",
        "energy_above_hull",
        "bond_energy",
    ],
)
def test_what_is_no_total_energy_is_none(name: str) -> None:
    with pytest.raises(BadInput, match=r"no energy .*--energy-key"):
        found(named(name, "forces"))
    assert found(named(name, "dft_energy", "forces")).energy == "dft_energy"
    assert found(named(name, "forces"), energy=name).energy == name


def test_an_unusual_energy_needs_forces_of_its_kind_or_its_name() -> None:
    with pytest.raises(BadInput, match=r"'marvel_energy' may be no total energy.*--energy-key"):
        found(named("marvel_energy", "forces"))
    assert found(named("marvel_energy", "marvel_forces")).energy == "marvel_energy"
    assert found(named("marvel_energy", "forces"), energy="marvel_energy").forces == "forces"
    assert found(named("energy_xtb", "forces")).energy == "energy_xtb"
