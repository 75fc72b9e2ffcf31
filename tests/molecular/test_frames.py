"""Frames: views, selections, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.text.errors import BadInput
from suites.molecular.data.frames import (
    Frames,
    atom_rows,
    content_digest,
    frames_of_one_molecule,
)


def mixed() -> Frames:
    """Water, CO, water with its atoms in another order; the second one is periodic along z."""
    numbers = [[8, 1, 1], [6, 8], [1, 8, 1]]
    sizes = [len(row) for row in numbers]
    atoms = sum(sizes)
    cells = np.zeros((3, 3, 3))
    cells[1, 2, 2] = 9.0
    pbc = np.zeros((3, 3), dtype=bool)
    pbc[1, 2] = True
    return Frames(
        numbers=np.concatenate(numbers),
        positions=np.arange(3.0 * atoms).reshape(atoms, 3),
        energies=np.array([-1.0, -2.0, -3.0]),
        forces=-np.arange(3.0 * atoms).reshape(atoms, 3),
        first=np.array([0, 3, 5, 8]),
        cells=cells,
        pbc=pbc,
        energy_unit="eV",
        sequential=True,
        source="here",
        digest="0" * 16,
    )


def molecule(count: int = 4) -> Frames:
    random = np.random.default_rng(0)
    return frames_of_one_molecule(
        np.array([8, 1, 1]),
        random.normal(size=(count, 3, 3)),
        random.normal(size=count),
        random.normal(size=(count, 3, 3)),
        energy_unit="kcal/mol",
        sequential=True,
        source="here",
        digest="0" * 16,
    )


def test_mixed_frames_pass_and_count() -> None:
    frames = mixed().check()
    assert len(frames) == 3
    assert frames.n_atoms.tolist() == [3, 2, 3]
    elements, counts = frames.composition()
    assert elements.tolist() == [1, 6, 8]
    assert counts.tolist() == [[2, 0, 1], [0, 1, 1], [2, 0, 1]]


def test_uniform_means_the_same_atoms_in_the_same_order() -> None:
    assert molecule().uniform
    frames = mixed()
    assert not frames.uniform
    waters = frames.select(np.array([0, 2]))
    assert waters.n_atoms.tolist() == [3, 3]
    assert not waters.uniform
    with pytest.raises(BadInput, match="one composition is required"):
        waters.require_molecule("H2O")


def test_a_molecule_is_required_by_its_formula() -> None:
    assert molecule().require_molecule("H2O").uniform
    with pytest.raises(BadInput, match=r"of H2O, not of C2H6O"):
        molecule().require_molecule("C2H6O")


def test_select_takes_each_frames_own_rows() -> None:
    frames = mixed()
    taken = frames.select(np.array([2, 1, 2])).check()
    assert taken.energies.tolist() == [-3.0, -2.0, -3.0]
    assert taken.numbers.tolist() == [1, 8, 1, 6, 8, 1, 8, 1]
    assert taken.first.tolist() == [0, 3, 5, 8]
    np.testing.assert_array_equal(taken.positions[3:5], frames.positions[3:5])
    np.testing.assert_array_equal(taken.forces[5:], frames.forces[5:])
    assert taken.pbc[1].tolist() == [False, False, True]
    assert taken.cells[1, 2, 2] == 9.0
    assert not taken.sequential


def test_atom_rows_of_nothing() -> None:
    assert len(atom_rows(np.array([0, 3, 5]), np.array([], dtype=np.int64))) == 0


def test_one_molecule_is_laid_out_frame_after_frame() -> None:
    positions = np.arange(18.0).reshape(2, 3, 3)
    frames = frames_of_one_molecule(
        np.array([8, 1, 1], dtype=np.uint8),
        positions.astype(np.float32),
        np.array([1.0, 2.0]),
        -positions,
        energy_unit="eV",
        sequential=False,
        source="here",
        digest="",
    )
    assert frames.numbers.dtype == np.int64
    assert frames.positions.dtype == np.float64
    np.testing.assert_array_equal(frames.positions[3:6], positions[1])
    np.testing.assert_array_equal(frames.forces[:3], -positions[0])
    assert not frames.pbc.any()
    assert frames.first.tolist() == [0, 3, 6]


def spoiled(name: str, row: Any, value: float) -> Frames:
    array = getattr(mixed(), name).copy()
    array[row] = value
    return replace(mixed(), **{name: array})


@pytest.mark.parametrize(
    ("name", "row", "frame"),
    [
        ("energies", 1, 1),
        ("positions", (3, 0), 1),
        ("forces", (2, 2), 0),
        ("forces", (7, 1), 2),
        ("cells", (2, 0, 0), 2),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_found(
    name: str, row: Any, frame: int, value: float
) -> None:
    with pytest.raises(BadInput, match=f"here: {name} of frame {frame} are not finite"):
        spoiled(name, row, value).check()


@pytest.mark.parametrize("name", ["positions", "forces", "first", "cells", "pbc"])
def test_wrong_shapes_are_refused(name: str) -> None:
    frames = replace(mixed(), **{name: getattr(mixed(), name)[:-1]})
    with pytest.raises(BadInput, match=f"{name} have the shape"):
        frames.check()


def test_a_column_of_energies_is_refused() -> None:
    with pytest.raises(BadInput, match=r"energies have the shape \(3, 1\), not \(3,\)"):
        replace(mixed(), energies=mixed().energies[:, None]).check()


@pytest.mark.parametrize("number", [0, -1, 100])
def test_atomic_numbers_that_are_none(number: int) -> None:
    with pytest.raises(BadInput, match="atomic numbers must be from 1 to 99"):
        spoiled("numbers", 4, number).check()


def test_periodic_without_a_lattice_vector() -> None:
    with pytest.raises(BadInput, match="frame 1 is periodic without a lattice vector"):
        spoiled("cells", 1, 0.0).check()


def test_a_frame_without_atoms() -> None:
    with pytest.raises(BadInput, match="frame 1 has no atoms"):
        replace(mixed(), first=np.array([0, 5, 5, 8])).check()


def test_no_frames() -> None:
    with pytest.raises(BadInput, match="here: no frames"):
        molecule(0)


def test_unknown_unit() -> None:
    with pytest.raises(BadInput, match="unit of energy 'kcal'"):
        replace(mixed(), energy_unit="kcal").check()


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    first, same, other = (content_digest(tmp_path / name) for name in "abc")
    # `printf one | sha256sum`
    assert first == same == "7692c3ad3540bb80"
    assert other != first
