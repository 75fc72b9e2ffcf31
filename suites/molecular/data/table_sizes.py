"""How many shapes padded batches have, and how much memory their tables need: from counts alone."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import Pairs
from suites.molecular.data.pair_tables import is_grid
from suites.molecular.data.static_batches import TRIPLETS, UNIQUE, Ladder

#: Bytes while the tables are built, for each slot of an atom, unique pair, slot of a pair's
#: triplets and triplet; measured.
_PER_SLOT, _PER_UNIQUE_SLOT, _PER_TRIPLET_SLOT, _PER_TRIPLET = 110, 15, 30, 80
#: So many batches are drawn.
_DRAWN = 200


def table_bytes(frames: Frames, pairs: Pairs, needs: Collection[str]) -> int:
    """Memory that `StaticFrames` takes while it is built, about.

    Args:
        frames: The geometries.
        pairs: Neighbour lists of them.
        needs: See `StaticFrames`.
    """
    degrees = _degrees(frames, pairs)
    slots = int(degrees.max(initial=1))
    grid = len(degrees) * slots
    found = _PER_SLOT * max(grid, len(pairs.idx_i))
    if UNIQUE in needs:
        found += _PER_UNIQUE_SLOT * grid
    if TRIPLETS in needs:
        found += _PER_TRIPLET_SLOT * len(pairs.idx_i) * slots
        found += _PER_TRIPLET * int((degrees * (degrees - 1)).sum())
    return found


def usual_shapes(frames: Frames, pairs: Pairs, batch: int, needs: Collection[str]) -> int:
    """How many shapes shuffled batches have, of some that are drawn.

    Args:
        frames: The geometries.
        pairs: Neighbour lists of them.
        batch: Frames of a batch.
        needs: See `StaticFrames`.
    """
    degrees = _degrees(frames, pairs)
    of_frame = np.repeat(np.arange(len(frames)), frames.n_atoms)
    slots = int(degrees.max(initial=1))
    n_pairs = np.diff(pairs.first)
    grid = is_grid(len(degrees), slots, len(pairs.idx_i))
    counts = [frames.n_atoms, frames.n_atoms * slots if grid else n_pairs]
    if UNIQUE in needs:
        counts.append(n_pairs // 2)
    if TRIPLETS in needs:
        angles = (degrees * (degrees - 1)).astype(float)
        counts.append(np.bincount(of_frame, angles, minlength=len(frames)).astype(np.int64))
    counted = np.stack(counts, axis=1)
    batch = min(batch, len(frames))
    ladder, random = Ladder(counted, batch), np.random.default_rng(0)
    drawn = (random.choice(len(frames), batch, replace=False) for _ in range(_DRAWN))
    return len({tuple(ladder.sizes(counted[rows].sum(0))) for rows in drawn})


def _degrees(frames: Frames, pairs: Pairs) -> np.ndarray:
    """(atoms,) int64, the pairs (i, ·) of each atom i."""
    base = np.repeat(frames.first[:-1], np.diff(pairs.first))
    return np.bincount(pairs.idx_i + base, minlength=len(frames.numbers))
