"""What belongs to which in a neighbour list: reverse pairs, the pairs of an atom, triplets.

A sum over the pairs of an atom is then a sum over the slots of a table, and what depends on both
directions of a pair alike is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import Pairs

#: A table is a grid, a row of equally many pairs for each atom, if that makes at most so many
#: times the pairs.
_GRID_WASTE = 1.25


@dataclass(frozen=True)
class Table:
    """The members of each of some groups, in frame-local numbers.

    Attributes:
        members: (groups, slots) int64; 0 where a group has no more.
        mask: (groups, slots) bool, which are members.
    """

    members: np.ndarray
    mask: np.ndarray

    @property
    def slots(self) -> int:
        """Slots of a group."""
        return self.members.shape[1]

    @property
    def full(self) -> bool:
        """Whether each slot has a member."""
        return bool(self.mask.all())


@dataclass(frozen=True)
class PairTables:
    """The pairs of frames, one frame after the other; numbers of pairs are those in their frame.

    The pairs are a `grid`, in which each atom has equally many and some are padding, or they are
    as in the neighbour list.

    Attributes:
        first: (frames + 1,) int64; the pairs of frame k are ``first[k]:first[k + 1]``.
        idx_i: (pairs,) int64, atom i within its frame.
        idx_j: (pairs,) int64, atom j within its frame.
        offsets: (pairs, 3) float64, as in `Pairs`; of padding a vector beyond the cutoff.
        real: (pairs,) bool, not padding.
        reverse: (pairs,) int64, the pair (j, i) of the opposite vector; of padding itself.
        of_atom: The pairs (i, ·) of each atom i.
        grid: Whether the pairs of an atom are consecutive, and for all atoms equally many.
    """

    first: np.ndarray
    idx_i: np.ndarray
    idx_j: np.ndarray
    offsets: np.ndarray
    real: np.ndarray
    reverse: np.ndarray
    of_atom: Table
    grid: bool


@dataclass(frozen=True)
class UniquePairs:
    """Each two pairs (i, j) and (j, i) as one; numbers are those in the frame.

    Attributes:
        first: (frames + 1,) int64; those of frame k are ``first[k]:first[k + 1]``.
        pair: (unique,) int64, row of the direction that counts in `PairTables`.
        slot_pair: (atoms, slots) int64, the unique pair in each slot of an atom.
        slot_other: (atoms, slots) int64, the other atom.
        slot_sign: (atoms, slots) int64: 1 where the atom is the pair's first, −1 where it is the
            second, 0 in an empty slot.
    """

    first: np.ndarray
    pair: np.ndarray
    slot_pair: np.ndarray
    slot_other: np.ndarray
    slot_sign: np.ndarray


@dataclass(frozen=True)
class Triplets:
    """All pairs of messages k→j and j→i but those that come straight back.

    Attributes:
        first: (frames + 1,) int64; those of frame k are ``first[k]:first[k + 1]``.
        ji: (triplets,) int64, the pair j→i, ascending.
        kj: (triplets,) int64, the pair k→j.
        of_ji: The triplets of each pair j→i.
        of_kj: The triplets of each pair k→j.
    """

    first: np.ndarray
    ji: np.ndarray
    kj: np.ndarray
    of_ji: Table
    of_kj: Table


def group(owner: np.ndarray, values: np.ndarray, groups: int) -> Table:
    """The table of the `values`, (n,), of each of `owner`'s, (n,), in their order."""
    counts = np.bincount(owner, minlength=groups)
    order = np.argsort(owner, kind="stable")
    slots = max(1, int(counts.max(initial=0)))
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    members = np.zeros((groups, slots), dtype=np.int64)
    mask = np.zeros((groups, slots), dtype=bool)
    members[owner[order], rank] = values[order]
    mask[owner[order], rank] = True
    return Table(members, mask)


def is_grid(atoms: int, slots: int, pairs: int) -> bool:
    """Whether so many pairs are held as a grid of atoms by slots."""
    return slots > 1 and atoms * slots <= _GRID_WASTE * pairs


def pair_tables(frames: Frames, pairs: Pairs, cutoff: float) -> PairTables:
    """The tables of a neighbour list.

    Args:
        frames: The geometries.
        pairs: Of them.
        cutoff: Cutoff radius in Å.

    Raises:
        ValueError: A pair has no reverse.
    """
    counts = np.diff(pairs.first)
    base = np.repeat(frames.first[:-1], counts)
    i, j = pairs.idx_i + base, pairs.idx_j + base
    reverse = _reverse(i, j, pairs.offsets)
    local = np.arange(len(i)) - np.repeat(pairs.first[:-1], counts)
    table = group(i, local, len(frames.numbers))
    if is_grid(len(frames.numbers), table.slots, len(i)):
        return _grid(frames, pairs, table, reverse, cutoff)
    return PairTables(
        pairs.first,
        pairs.idx_i,
        pairs.idx_j,
        pairs.offsets,
        np.ones(len(i), dtype=bool),
        local[reverse],
        table,
        grid=False,
    )


def _grid(
    frames: Frames, pairs: Pairs, table: Table, reverse: np.ndarray, cutoff: float
) -> PairTables:
    """The pairs with padding, so that each atom has equally many."""
    slots = table.slots
    place = np.flatnonzero(table.mask)  # of each pair, as they are sorted by atom
    total = table.mask.size
    own = np.repeat(np.arange(len(frames.numbers)), slots)
    start = np.repeat(frames.first[:-1], frames.n_atoms * slots)
    idx_i = own - start
    idx_j, back = idx_i.copy(), np.arange(total)
    offsets = np.zeros((total, 3))
    offsets[:, 0] = 2 * cutoff
    idx_j[place], offsets[place], back[place] = pairs.idx_j, pairs.offsets, place[reverse]
    first = frames.first * slots
    real = table.mask.ravel()
    local = np.arange(total) - np.repeat(first[:-1], np.diff(first))
    return PairTables(
        first,
        idx_i,
        idx_j,
        offsets,
        real,
        back - start * slots,
        Table(local.reshape(-1, slots), table.mask),
        grid=True,
    )


def _reverse(i: np.ndarray, j: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(pairs,) the row of the pair (j, i) of the opposite offset."""
    opposite = 0.0 - offsets
    order = np.lexsort((*offsets.T[::-1], j, i))
    of_opposite = np.lexsort((*opposite.T[::-1], i, j))
    same = (i[order] == j[of_opposite]).all() and (j[order] == i[of_opposite]).all()
    if not (same and np.allclose(offsets[order], opposite[of_opposite], rtol=0, atol=1e-9)):
        raise ValueError("the neighbour list has a pair without its reverse")
    reverse = np.empty(len(i), dtype=np.int64)
    reverse[of_opposite] = order
    return reverse


def unique_pairs(frames: Frames, tables: PairTables) -> UniquePairs:
    """The unique pairs of tables; the direction that comes first in the list counts."""
    counts = np.diff(tables.first)
    start = np.repeat(tables.first[:-1], counts)
    reverse = tables.reverse + start
    chosen = tables.real & (np.arange(len(reverse)) < reverse)
    pair = np.flatnonzero(chosen)
    of_frame = np.repeat(np.arange(len(frames)), counts)
    first = np.concatenate([[0], np.cumsum(np.bincount(of_frame[pair], minlength=len(frames)))])
    number = np.zeros(len(reverse), dtype=np.int64)
    number[pair] = np.arange(len(pair)) - first[of_frame[pair]]
    number[reverse[pair]] = number[pair]
    mask = tables.of_atom.mask
    rows = tables.of_atom.members + np.repeat(tables.first[:-1], frames.n_atoms)[:, None]
    rows = np.where(mask, rows, 0)
    if not len(reverse):
        empty = np.zeros_like(rows)
        return UniquePairs(first, pair, empty, empty, empty)
    return UniquePairs(
        first,
        pair,
        np.where(mask, number[rows], 0),
        np.where(mask, tables.idx_j[rows], 0),
        np.where(mask, np.where(chosen[rows], 1, -1), 0),
    )


def triplets(frames: Frames, tables: PairTables) -> Triplets:
    """The triplets of tables, without padding."""
    counts = np.diff(tables.first)
    start = np.repeat(tables.first[:-1], counts)
    base = np.repeat(frames.first[:-1], counts)
    rows = np.flatnonzero(tables.real)
    # Each message that j receives, in slots.
    atoms = tables.idx_j[rows] + base[rows]
    candidates = tables.of_atom.members[atoms]
    kept = tables.of_atom.mask[atoms] & (candidates != tables.reverse[rows][:, None])
    row, slot = np.nonzero(kept)
    kj = candidates[row, slot]
    of_pair = rows[row]
    frame = np.repeat(np.arange(len(frames)), counts)[of_pair]
    first = np.concatenate([[0], np.cumsum(np.bincount(frame, minlength=len(frames)))])
    local = np.arange(len(kj)) - first[frame]
    return Triplets(
        first,
        of_pair - start[of_pair],
        kj,
        group(of_pair, local, len(start)),
        group(kj + start[of_pair], local, len(start)),
    )
