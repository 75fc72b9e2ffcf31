"""Frames that cannot be trained on, or that occur twice."""

from __future__ import annotations

from dataclasses import replace

import ase.build
import numpy as np
import pytest
from emt_frames import frames_from, rattled

from bench.text.errors import BadInput
from suites.molecular.data.duplicates import first_copies
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.data.overlaps import coinciding_atoms

# --- two atoms at one place -------------------------------------------------------------------


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
@pytest.mark.parametrize("distance", [0.0, 1e-9, 5e-3])
def test_two_atoms_at_one_place_are_found(pbc: tuple[bool, bool, bool], distance: float) -> None:
    images = rattled(30, pbc)
    frames = frames_from([atoms.copy() for atoms in images])
    assert coinciding_atoms(frames.positions, frames.first, frames.cells, frames.pbc) is None
    frames.check()
    images[7].positions[6] = images[7].positions[2] + [0.0, distance, 0.0]
    # Another image of the same place.
    images[7].positions[6] += 3 * pbc[0] * images[7].cell.array[0]
    images[7].positions[6] -= 2 * pbc[1] * images[7].cell.array[1]
    broken = replace(frames, positions=np.concatenate([atoms.positions for atoms in images]))
    found = coinciding_atoms(broken.positions, broken.first, broken.cells, broken.pbc)
    assert found is not None
    assert found[:3] == (7, 2, 6) and found[3] == pytest.approx(distance, abs=1e-12)
    with pytest.raises(BadInput, match=r"atoms 2 \(Au\) and 6 \(Cu\) of frame 7 are at one place"):
        broken.check()


def test_a_perfect_crystal_has_no_two_atoms_at_one_place() -> None:
    atoms = ase.build.bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((3, 3, 3))
    cell = atoms.cell.array[None]
    assert coinciding_atoms(atoms.positions, np.array([0, 216]), cell, atoms.pbc[None]) is None
    doubled = np.concatenate([atoms.positions, atoms.positions[5:6] + cell[0, 2]])
    found = coinciding_atoms(doubled, np.array([0, 217]), cell, atoms.pbc[None])
    assert found is not None and found[:3] == (0, 5, 216)


@pytest.mark.parametrize("name", ["aspirin", "benzene"])
def test_shipped_frames_are_whole(name: str) -> None:
    frames = read_npz(SHIPPED / f"{name}.npz")
    assert coinciding_atoms(frames.positions, frames.first, frames.cells, frames.pbc) is None
    np.testing.assert_array_equal(first_copies(frames), np.arange(len(frames)))


# --- copies -----------------------------------------------------------------------------------


def test_copies_are_found_up_to_a_file_s_rounding() -> None:
    images = [*rattled(12), *rattled(5, (False, False, False))]
    rounded = images[4].copy()
    rounded.positions += 4e-7
    images += [images[4].copy(), rounded, images[0].copy(), images[13].copy()]
    frames = frames_from(images)
    wanted = [*range(17), 4, 4, 0, 13]
    assert first_copies(frames).tolist() == wanted
    # In any order: the first of a file is the first of its copies.
    order = np.random.default_rng(0).permutation(len(frames))
    shuffled = first_copies(frames.select(order))
    groups = np.array(wanted)[order]
    assert all((groups[shuffled[k]], shuffled[k] <= k) == (groups[k], True) for k in range(21))


def test_what_differs_is_no_copy() -> None:
    (atoms,) = rattled(1)
    moved, swapped, stretched, open_ = (atoms.copy() for _ in range(4))
    moved.positions[3, 1] += 1e-5
    swapped.numbers[2:4] = [29, 79]
    stretched.cell[2, 2] += 1e-4
    open_.pbc = (True, True, False)
    frames = frames_from([atoms, moved, swapped, stretched, open_])
    assert first_copies(frames).tolist() == [0, 1, 2, 3, 4]


def test_a_file_of_one_frame_again_and_again() -> None:
    images = rattled(1) * 3
    frames = frames_from(images)
    many = frames.select(np.zeros(20_000, dtype=int))
    assert not first_copies(many).any()
