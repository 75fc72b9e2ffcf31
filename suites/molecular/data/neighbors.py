"""Neighbour lists, computed once for all frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.text.errors import BadInput
from suites.molecular.data.frames import SMALLEST_WIDTH, Frames

#: Cutoffs that make sense, in Å: no two atoms are nearer, and a periodic cell has too many pairs.
CUTOFFS = (0.1, 100.0)

#: Extent of a frame, in cutoffs, beyond which vesin (0.6.2) grows slow and then kills the process.
LARGEST_EXTENT = 1000


@dataclass(frozen=True)
class Pairs:
    """Directed pairs (i, j) nearer than the cutoff, frame after frame.

    An atom and its own periodic image are a pair too. The pairs of a frame are sorted by i, then
    j, then the image.

    Attributes:
        first: (frames + 1,) int64; the pairs of frame k are ``first[k]:first[k + 1]``.
        idx_i: (pairs,) int64, atom i within its frame.
        idx_j: (pairs,) int64, atom j within its frame.
        offsets: (pairs, 3) float64, the lattice vector to add to R_j − R_i, in Å.
    """

    first: np.ndarray
    idx_i: np.ndarray
    idx_j: np.ndarray
    offsets: np.ndarray


def neighbor_pairs(frames: Frames, cutoff: float) -> Pairs:
    """The pairs of all frames.

    Args:
        frames: The geometries; atoms may lie outside the cell.
        cutoff: Cutoff radius in Å; pairs at exactly this distance do not count.

    Raises:
        BadInput: `pairs_of` refuses a frame; the message has its number.
    """
    _check_cutoff(cutoff)
    found = []
    for frame, (start, end) in enumerate(zip(frames.first[:-1], frames.first[1:], strict=True)):
        try:
            found.append(
                pairs_of(
                    frames.positions[start:end], frames.cells[frame], frames.pbc[frame], cutoff
                )
            )
        except BadInput as error:
            raise BadInput(f"{frames.source}: frame {frame}: {error}") from None
    idx_i, idx_j, offsets = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    first = np.concatenate([[0], np.cumsum([len(pairs[0]) for pairs in found])])
    return Pairs(first, idx_i, idx_j, offsets)


def pairs_of(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of one frame: ``idx_i``, ``idx_j`` and ``offsets``, as in `Pairs`.

    Args:
        positions: (atoms, 3) float64, in Å.
        cell: (3, 3) float64, lattice vectors in rows, in Å.
        pbc: (3,) bool, periodic along each lattice vector; the others are ignored.
        cutoff: Cutoff radius in Å.

    Raises:
        BadInput: The cutoff makes no sense, a number is not finite, the lattice vectors are
            linearly dependent or nearly none, or the atoms are too far apart (a simulation that
            exploded).
    """
    # Imported here because vesin starts torch, which the command line need not.
    from vesin import NeighborList

    _check_cutoff(cutoff)
    _check_geometry(positions, cell, pbc, cutoff)
    # One thread: a frame is far too small for more.
    search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    i, j, images = search.compute(points=positions, box=cell, periodic=pbc, quantities="ijS")
    order = np.lexsort((*images.T[::-1], j, i))
    return (
        i[order].astype(np.int64),
        j[order].astype(np.int64),
        images[order].astype(np.float64) @ cell,
    )


def _check_cutoff(cutoff: float) -> None:
    """Raises BadInput unless the cutoff, in Å, is one that makes sense."""
    smallest, largest = CUTOFFS
    if not smallest <= cutoff <= largest:
        raise BadInput(f"the cutoff must be from {smallest:g} to {largest:g} Å, not {cutoff:g}")


def _check_geometry(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> None:
    """Refuse a geometry on which vesin would crash the process or never end."""
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise BadInput("positions or lattice vectors are not finite")
    if pbc.any() and np.linalg.svd(cell[pbc], compute_uv=False)[-1] < SMALLEST_WIDTH:
        raise BadInput(
            "the lattice vectors of the periodic directions are linearly dependent, or the cell "
            f"is narrower than {SMALLEST_WIDTH:g} Å"
        )
    if not pbc.all():
        extent = float(np.ptp(positions, axis=0).max())
        if extent > LARGEST_EXTENT * cutoff:
            raise BadInput(
                f"the atoms are spread over {extent:g} Å, more than {LARGEST_EXTENT} cutoffs of "
                f"{cutoff:g} Å"
            )
