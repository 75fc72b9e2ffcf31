"""Neighbour lists against ASE's, for molecules, crystals and slabs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list

from bench.text.errors import BadInput
from suites.molecular.data.neighbors import neighbor_pairs, pairs_of
from suites.molecular.testing.geometries import frames_of

SKEWED = np.array([[3.0, 0.0, 0.0], [2.5, 2.8, 0.0], [-2.0, 1.5, 3.5]])


def displaced(atoms: Atoms, seed: int = 0) -> Atoms:
    """Off the symmetric sites, so that no distance is exactly the cutoff."""
    atoms.positions += np.random.default_rng(seed).normal(0, 0.1, atoms.positions.shape)
    return atoms


def unwrapped(atoms: Atoms) -> Atoms:
    """The same structure with every atom in some other cell."""
    cells = np.random.default_rng(1).integers(-3, 4, (len(atoms), 3)) * atoms.pbc
    atoms.positions += cells @ atoms.cell.array
    return atoms


def rocksalt() -> Atoms:
    return displaced(bulk("MgO", "rocksalt", 4.2))


def slab() -> Atoms:
    return displaced(fcc111("Al", (2, 1, 2), vacuum=6.0))


def skewed(pbc: tuple[int, ...]) -> Atoms:
    positions = np.random.default_rng(2).uniform(-5, 9, (4, 3))
    return Atoms("H3O", positions=positions, cell=SKEWED, pbc=pbc)


STRUCTURES = {
    "molecule": molecule("CH3CH2OH"),
    "molecule far from the origin": Atoms("HO", positions=[[900, -800, 700], [901, -800, 700]]),
    "molecule in a cell that is not periodic": Atoms(
        molecule("CH3CH2OH"), cell=[2, 2, 2], pbc=False
    ),
    "molecule in a large cell": Atoms(molecule("CH3CH2OH"), cell=[12, 13, 14], pbc=True),
    "cell smaller than the cutoff": rocksalt(),
    "one atom and its images": bulk("Cu"),
    "left-handed cell": Atoms("HO", [[0, 0, 0], [1, 1, 0.4]], cell=SKEWED[::-1], pbc=True),
    "atoms outside the cell": unwrapped(rocksalt()),
    "slab": slab(),
    "slab with atoms outside the cell": unwrapped(slab()),
    "slab below its cell": Atoms(slab(), positions=slab().positions - [0, 0, 40]),
    **{f"skewed {pbc}": skewed(pbc) for pbc in itertools.product((0, 1), repeat=3)},
}


def as_rows(idx_i: np.ndarray, idx_j: np.ndarray, images: np.ndarray) -> list[list[int]]:
    return np.column_stack([idx_i, idx_j, images]).astype(int).tolist()


def images_of(offsets: np.ndarray, structure: Atoms) -> np.ndarray:
    """Number of lattice vectors in each offset; along missing ones 0."""
    exact = offsets @ np.linalg.pinv(structure.cell.array)
    np.testing.assert_allclose(exact, np.round(exact), atol=1e-9)
    return np.round(exact)


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_pairs_are_those_of_ase_and_sorted(name: str) -> None:
    structure = STRUCTURES[name]
    pairs = neighbor_pairs(frames_of([structure]), 5.0)
    found = as_rows(pairs.idx_i, pairs.idx_j, images_of(pairs.offsets, structure))
    expected = as_rows(*neighbor_list("ijS", structure, 5.0, self_interaction=False))
    assert found == sorted(expected)
    assert pairs.first.tolist() == [0, len(expected)]


def test_lattice_vectors_that_are_not_periodic_may_be_missing() -> None:
    # ASE 3.29 can miss pairs here, hence by brute force.
    cell = SKEWED * [[1], [1], [0]]
    positions = skewed((1, 1, 0)).positions
    idx_i, idx_j, offsets = pairs_of(positions, cell, np.array([True, True, False]), 5.0)
    reach = np.arange(-9, 10)
    images = np.stack([*np.meshgrid(reach, reach, [0], indexing="ij")], axis=-1).reshape(-1, 3)
    vectors = positions[None, :, None] - positions[:, None, None] + images @ cell
    i, j, k = np.nonzero(np.linalg.norm(vectors, axis=-1) < 5.0)
    itself = (i == j) & ~images[k].any(axis=1)
    expected = as_rows(i[~itself], j[~itself], images[k[~itself]])
    structure = Atoms("H3O", positions=positions, cell=cell)
    assert as_rows(idx_i, idx_j, images_of(offsets, structure)) == sorted(expected)
    assert len(expected) > 50


def test_frames_follow_each_other_as_if_alone() -> None:
    structures = [STRUCTURES["molecule"], Atoms("H", [[0, 0, 0]]), slab(), rocksalt()]
    pairs = neighbor_pairs(frames_of(structures), 4.0)
    assert len(pairs.first) == 5
    for k, structure in enumerate(structures):
        rows = slice(pairs.first[k], pairs.first[k + 1])
        alone = pairs_of(structure.positions, structure.cell.array, structure.pbc, 4.0)
        found = (pairs.idx_i[rows], pairs.idx_j[rows], pairs.offsets[rows])
        for array, expected in zip(found, alone, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert pairs.first[1] == pairs.first[2], "a lone atom has no pair"


def test_types_and_shapes_also_without_any_pair() -> None:
    lone = neighbor_pairs(frames_of([Atoms("H", [[0, 0, 0]]), Atoms("H", [[1, 2, 3]])]), 5.0)
    some = neighbor_pairs(frames_of([molecule("H2O")]), 5.0)
    for pairs, count in ((lone, 0), (some, 6)):
        assert pairs.first.dtype == pairs.idx_i.dtype == pairs.idx_j.dtype == np.int64
        assert pairs.offsets.dtype == np.float64
        assert pairs.idx_i.shape == pairs.idx_j.shape == (count,)
        assert pairs.offsets.shape == (count, 3)
    assert lone.first.tolist() == [0, 0, 0]


def test_a_distance_of_exactly_the_cutoff_does_not_count() -> None:
    pair = frames_of([Atoms("H2", [[0, 0, 0], [0, 0, 2.0]])])
    assert len(neighbor_pairs(pair, 2.0).idx_i) == 0
    assert len(neighbor_pairs(pair, np.nextafter(2.0, 3.0)).idx_i) == 2


@pytest.mark.parametrize("cutoff", [0.0, -5.0, float("nan"), float("inf"), 1e6])
def test_a_cutoff_that_makes_no_sense(cutoff: float) -> None:
    with pytest.raises(BadInput, match=r"the cutoff must be from 0\.1 to 100 Å, not"):
        neighbor_pairs(frames_of([molecule("H2O")]), cutoff)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        ([[4, 0, 0], [4, 0, 0], [0, 0, 4]], [True, True, True]),
        ([[4, 0, 0], [8, 0, 0], [0, 0, 4]], [True, True, False]),
        ([[4, 0, 0], [0, 0, 0], [0, 0, 4]], [True, True, False]),
        ([[4, 0, 0], [0, 4e-3, 0], [0, 0, 4]], [True, True, True]),
    ],
)
def test_a_cell_that_is_none_is_refused(cell: list[list[float]], pbc: list[bool]) -> None:
    with pytest.raises(BadInput, match="linearly dependent, or the cell is narrower"):
        pairs_of(molecule("H2O").positions, np.array(cell, dtype=float), np.array(pbc), 5.0)


@pytest.mark.parametrize("coordinate", [1e9, float("nan"), float("inf")])
def test_a_simulation_that_exploded_is_refused(coordinate: float) -> None:
    positions = molecule("H2O").positions
    positions[1, 2] = coordinate
    with pytest.raises(BadInput, match=r"not finite|spread over 1e"):
        pairs_of(positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), 5.0)


def test_an_error_names_the_frame() -> None:
    far = Atoms("H2", [[0, 0, 0], [0, 0, 1e5]])
    with pytest.raises(BadInput, match=r"structures\.xyz: frame 1: the atoms are spread over"):
        neighbor_pairs(frames_of([molecule("H2O"), far]), 5.0)
