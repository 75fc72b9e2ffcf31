"""Frames that occur more than once: a copy of a training frame tests nothing.

A copy has the same atoms in the same order, cell and positions. Frames that are the same up to a
motion of the whole, or an exchange of atoms, are not looked for.
"""

from __future__ import annotations

import numpy as np

from suites.molecular.data.frames import Frames, atom_rows

#: Positions and lattice vectors of copies differ by no more than this, in Å: files round them.
SAME = 1e-6


def first_copies(frames: Frames) -> np.ndarray:
    """(frames,) int64: for each frame the first that it is a copy of, itself if there is none."""
    found = np.arange(len(frames))
    sizes = frames.n_atoms
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        atoms = atom_rows(frames.first, rows)
        geometry = np.concatenate(
            [
                frames.positions[atoms].reshape(len(rows), -1),
                frames.cells[rows].reshape(len(rows), -1),
            ],
            axis=1,
        )
        kinds = np.concatenate(
            [frames.numbers[atoms].reshape(len(rows), -1), frames.pbc[rows]], axis=1
        )
        found[rows] = rows[_first_equal(geometry, kinds)]
    return found


def _first_equal(geometry: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(rows,) the first row that is equal in both: up to `SAME` in the one, exactly in the other.

    Rows that are bitwise equal count once. The others are sorted by a projection, in which equal
    ones are next to each other.
    """
    count = len(geometry)
    # 64 bits: two of a million different rows are taken for one with a chance of 10⁻⁸.
    digests = [hash((a.tobytes(), b.tobytes())) for a, b in zip(geometry, kinds, strict=True)]
    _, firsts, which = np.unique(digests, return_index=True, return_inverse=True)
    geometry, kinds = geometry[firsts], kinds[firsts]
    weights = np.random.default_rng(0).uniform(-1.0, 1.0, geometry.shape[1])
    projection = geometry @ weights
    tolerance = SAME * np.abs(weights).sum()
    order = np.argsort(projection, kind="stable")
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for apart in range(1, len(order)):
        one, other = order[:-apart], order[apart:]
        near = projection[other] - projection[one] <= tolerance
        if not near.any():
            break
        one, other = one[near], other[near]
        same = (np.abs(geometry[one] - geometry[other]) <= SAME).all(axis=1)
        same &= (kinds[one] == kinds[other]).all(axis=1)
        pairs.append(np.stack([one[same], other[same]]))
    one, other = np.concatenate(pairs, axis=1)
    # Imported here: problems are listed without SciPy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one)), (one, other)), shape=(len(order), len(order)))
    _, group = connected_components(links, directed=False)
    earliest = np.full(len(order), count)
    np.minimum.at(earliest, group, firsts)
    return earliest[group][which]
