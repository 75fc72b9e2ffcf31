"""Pairs of similar frames, and the energy that their forces say lies between them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from suites.molecular.data.frames import Frames, atom_rows
from suites.molecular.data.sampled_groups import sampled_groups

#: Frames that are looked at, at most, and atoms of a group of more than `_FEW` frames: each frame
#: is compared with every other.
_FRAMES = 500
_MOST_ATOMS = 50_000
_FEW = 64
#: Atoms of a molecule whose distances tell how similar two frames are, at most.
_ATOMS = 48
#: Frames that are nearer than this, in Å, are copies, between which there is no difference.
_COPIES = 1e-5


@dataclass(frozen=True)
class Differences:
    """What lies between pairs of similar frames, the most similar first.

    Attributes:
        work: (pairs,) −½ Σ (F_a + F_b)·(R_b − R_a), in the energies' unit: the difference of the
            energies by the trapezoidal rule, exact for a harmonic potential.
        energy: (pairs,) E_b − E_a, in the same unit.
    """

    work: np.ndarray
    energy: np.ndarray


def similar_pairs(frames: Frames) -> Differences:
    """Each frame with the most similar one of the same atoms in the same order.

    Of a large file a sample is taken, with the frames that follow each other in it. A molecule is
    turned onto the other (W. Kabsch, Acta Cryst. A 32, 922, 1976), its forces with it; a periodic
    frame is compared by the nearest images, with frames of the same cell.
    """
    found: dict[tuple[int, int], tuple[float, float, float]] = {}
    for rows in _alike(frames):
        found |= _pairs(frames, rows)
    table = np.array(sorted(found.values())).reshape(-1, 3)
    return Differences(work=table[:, 1], energy=table[:, 2])


def _alike(frames: Frames) -> list[np.ndarray]:
    """Rows of frames with equal atoms and an equal cell: the largest groups, `_FRAMES` in all."""
    groups: dict[tuple[bytes, bytes, bytes], list[int]] = defaultdict(list)
    cells = np.round(frames.cells / _COPIES).astype(np.int64)
    for k, (start, end) in enumerate(zip(frames.first[:-1], frames.first[1:], strict=True)):
        numbers = frames.numbers[start:end].tobytes()
        groups[numbers, frames.pbc[k].tobytes(), cells[k].tobytes()].append(k)
    return sampled_groups(groups.values(), frames.n_atoms, _FRAMES, _MOST_ATOMS, _FEW)


def _pairs(frames: Frames, rows: np.ndarray) -> dict[tuple[int, int], tuple[float, float, float]]:
    """By both rows: the RMS displacement in Å, the work and the difference of the energies."""
    atoms = atom_rows(frames.first, rows)
    positions, forces = (
        array[atoms].reshape(len(rows), -1, 3) for array in (frames.positions, frames.forces)
    )
    periodic = frames.pbc[rows[0]].any()
    shapes = None if periodic else _distances(positions)
    found: dict[tuple[int, int], tuple[float, float, float]] = {}
    for a in range(len(rows)):
        if shapes is None:
            moved = _displacements(positions, frames.cells[rows[a]], a)
            apart = np.sqrt((moved**2).mean(axis=(1, 2)))
        else:
            apart = np.sqrt(((shapes - shapes[a]) ** 2).mean(axis=1))
        apart[a] = np.inf
        b = int(np.argmin(np.where(apart > _COPIES, apart, np.inf)))
        key = (int(rows[min(a, b)]), int(rows[max(a, b)]))
        if not _COPIES < apart[b] < np.inf or key in found:
            continue
        if shapes is None:
            step, there = moved[b], forces[b]
        else:
            turn = _rotation(positions[a], positions[b])
            step = _centred(positions[b]) @ turn - _centred(positions[a])
            there = forces[b] @ turn
        work = -0.5 * float(((forces[a] + there) * step).sum())
        energy = float(frames.energies[rows[b]] - frames.energies[rows[a]])
        found[key] = (float(np.sqrt((step**2).mean())), work, energy)
    return found


def _distances(positions: np.ndarray) -> np.ndarray:
    """(frames, pairs) distances within each frame, of some atoms where there are many."""
    count = positions.shape[1]
    some = np.unique(np.linspace(0, count - 1, min(count, _ATOMS)).astype(int))
    one, other = np.triu_indices(len(some), 1)
    if not len(one):
        return np.zeros((len(positions), 1))
    return np.linalg.norm(positions[:, some[one]] - positions[:, some[other]], axis=2)


def _displacements(positions: np.ndarray, cell: np.ndarray, a: int) -> np.ndarray:
    """(frames, atoms, 3) displacements from frame `a` by the nearest images, without a shift."""
    moved = positions - positions[a]
    moved -= np.round(moved @ np.linalg.pinv(cell)) @ cell
    moved -= moved.mean(axis=1, keepdims=True)
    return moved


def _centred(positions: np.ndarray) -> np.ndarray:
    return positions - positions.mean(axis=0)


def _rotation(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(3, 3) R, a rotation, for which ``source @ R`` is nearest to `target`, both centred."""
    u, _, v = np.linalg.svd(_centred(source).T @ _centred(target))
    return u @ np.diag([1.0, 1.0, np.linalg.det(u) * np.linalg.det(v)]) @ v
