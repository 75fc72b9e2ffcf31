"""Whether frames are a trajectory, by the frames themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suites.molecular.data.frames import Frames
from suites.molecular.data.md17 import read_npz
from suites.molecular.data.molecules import SHIPPED
from suites.molecular.data.order import ORDERED_BELOW, find_order, neighbour_ratio
from suites.molecular.data.parts import joined


def walk(count: int = 400, periodic: bool = False, noise: float = 0.0) -> Frames:
    """A random walk of three atoms, in a cell of 4 Å into which it is wrapped if `periodic`."""
    random = np.random.default_rng(0)
    steps = random.normal(0.0, 0.05, (count, 3, 3))
    positions = np.cumsum(steps, axis=0) + random.normal(0.0, noise, (count, 3, 3))
    if periodic:
        positions %= 4.0
    return Frames(
        numbers=np.tile([8, 1, 1], count),
        positions=positions.reshape(-1, 3),
        energies=np.zeros(count),
        forces=np.zeros((3 * count, 3)),
        first=np.arange(count + 1) * 3,
        cells=np.tile(4.0 * np.eye(3) * periodic, (count, 1, 1)),
        pbc=np.full((count, 3), periodic),
        energy_unit="eV",
        sequential=True,
        source="walk",
        digest="0" * 16,
    )


def shuffled(frames: Frames, seed: int = 0) -> Frames:
    order = np.random.default_rng(seed).permutation(len(frames))
    return replace(frames.select(order), sequential=True)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_order_decides(periodic: bool) -> None:
    frames = walk(periodic=periodic)
    assert find_order(frames).trajectory
    order = find_order(shuffled(frames))
    assert not order.trajectory and "random" in order.why


@pytest.mark.parametrize("seed", range(5))
def test_a_random_order_has_the_ratio_1(seed: int) -> None:
    assert neighbour_ratio(shuffled(walk(), seed)) == pytest.approx(1.0, abs=0.15)


def test_shipped_trajectories_are_far_below_the_threshold() -> None:
    for path in sorted(SHIPPED.glob("*.npz")):
        frames = read_npz(path)
        assert neighbour_ratio(frames) < 0.25 * ORDERED_BELOW
        assert not find_order(shuffled(frames)).trajectory


def test_wrapping_into_the_cell_moves_nothing() -> None:
    frames = walk(60, periodic=True)
    random = np.random.default_rng(1)
    cells = 4.0 * random.integers(-3, 4, frames.positions.shape)
    moved = replace(frames, positions=frames.positions + cells)
    assert neighbour_ratio(moved) == pytest.approx(neighbour_ratio(frames), rel=1e-9)


def test_a_slab_is_periodic_along_two_vectors() -> None:
    frames = walk(60, periodic=True)
    pbc = np.tile([True, True, False], (60, 1))
    cells = np.where(pbc[:, :, None], frames.cells, 0.0)
    slab = replace(frames, pbc=pbc, cells=cells)
    moved = replace(slab, positions=slab.positions + np.array([8.0, -4.0, 0.0]))
    assert neighbour_ratio(moved) == pytest.approx(neighbour_ratio(slab), rel=1e-9)


def test_other_atoms_a_lost_order_and_frames_that_are_all_alike_are_no_trajectory() -> None:
    frames = walk(30)
    numbers = frames.numbers.copy()
    numbers[-3:] = [1, 8, 1]  # the same molecule, its atoms in another order
    assert "differ in their atoms" in find_order(replace(frames, numbers=numbers)).why
    assert "lost" in find_order(replace(frames, sequential=False)).why
    assert not find_order(replace(frames, positions=np.zeros((90, 3)))).trajectory
    assert not find_order(replace(frames.select(np.arange(2)), sequential=True)).trajectory


def test_several_trajectories_in_one_file_are_said() -> None:
    water = walk(60)
    other = replace(water, numbers=np.tile([16, 1, 1], 60))
    both = joined([water, other])
    apart = replace(both, sequential=True)
    order = find_order(apart)
    assert not order.trajectory
    assert "120 of its 120 frames are in the order of 2 trajectories" in order.why
    # Interleaved they are as much alike; shuffled they are not.
    rows = np.arange(120).reshape(2, 60).T.reshape(-1)
    assert "2 trajectories" in find_order(replace(both.select(rows), sequential=True)).why
    assert find_order(shuffled(both)).why == "its frames differ in their atoms"
