"""Two atoms at one place: a distance of 0 has no direction, so the forces there are not finite."""

from __future__ import annotations

import numpy as np

#: Atoms that are nearer than this, in Å, are at one place. A tenth of the shortest distance of any
#: potential's repulsive wall, and far above the rounding of any file.
NEAREST = 0.01


def coinciding_atoms(
    positions: np.ndarray, first: np.ndarray, cells: np.ndarray, pbc: np.ndarray
) -> tuple[int, int, int, float] | None:
    """A pair of atoms of one frame that are nearer than `NEAREST`, with periodic images.

    Atoms are sorted by a number that two atoms at one place share, whatever their images, so
    no more than neighbours in that order are compared.

    Args:
        positions: (atoms, 3) in Å, frame after frame.
        first: (frames + 1,) where each frame's atoms begin.
        cells: (frames, 3, 3) lattice vectors in rows, in Å; zeros where not periodic.
        pbc: (frames, 3) periodic along each lattice vector.

    Returns:
        The frame, both atoms within it, and their distance in Å; None where there is no such pair.
    """
    frame = np.repeat(np.arange(len(first) - 1), np.diff(first))
    number, tolerance = _shared_numbers(positions, frame, cells, pbc)
    order = np.lexsort((number, frame))
    for apart in range(1, int(np.diff(first).max(initial=1))):
        one, other = order[:-apart], order[apart:]
        near = frame[one] == frame[other]
        near &= number[other] - number[one] <= tolerance[frame[one]]
        if not near.any():
            return None
        one, other = one[near], other[near]
        distances = _distances(positions, frame, cells, one, other)
        if distances.min() < NEAREST:
            k = int(distances.argmin())
            start = int(first[frame[one[k]]])
            i, j = sorted((int(one[k]) - start, int(other[k]) - start))
            return int(frame[one[k]]), i, j, float(distances[k])
    return None


def _shared_numbers(
    positions: np.ndarray, frame: np.ndarray, cells: np.ndarray, pbc: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(atoms,) a number that images share, and (frames,) how far it moves over `NEAREST`.

    Σ_i sin(2π f_i + i) over the periodic fractional coordinates f, and a projection of the position
    on a direction normal to the periodic ones. A displacement d changes it by no more than
    |d| · (Σ_i 2π |∇f_i| + 1).
    """
    direction = np.array([0.36, 0.48, 0.80])  # of length 1
    if not pbc.any():
        return positions @ direction, np.full(len(cells), NEAREST)
    inverse = np.linalg.pinv(cells)
    normal = direction - np.einsum("fij,fjk,k->fi", inverse, cells, direction)
    fractional = np.einsum("ai,aij->aj", positions, inverse[frame])
    waves = np.where(pbc[frame], np.sin(2 * np.pi * fractional + np.arange(3.0)), 0.0)
    slopes = 2 * np.pi * np.linalg.norm(inverse, axis=1) * pbc
    number = waves.sum(axis=1) + np.einsum("ai,ai->a", positions, normal[frame])
    return number, NEAREST * (slopes.sum(axis=1) + 1.0)


def _distances(
    positions: np.ndarray,
    frame: np.ndarray,
    cells: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
) -> np.ndarray:
    """(pairs,) distances to the image for which the pair may be at one place, in Å."""
    apart = positions[other] - positions[one]
    rows, which = np.unique(frame[one], return_inverse=True)
    inverse = np.linalg.pinv(cells[rows])[which]
    images = np.round(np.einsum("pi,pij->pj", apart, inverse))
    return np.linalg.norm(apart - np.einsum("pi,pij->pj", images, cells[rows][which]), axis=1)
