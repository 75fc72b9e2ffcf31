"""Batches of a few static shapes, padded, gathered from tensors that are loaded once.

A compiled step is compiled for each shape, so that frames of one molecule have one shape, and a
mixture has few: sizes on a geometric ladder, from the statistics of the data.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import schnetpack.properties as structure
import torch
from torch import Tensor

from suites.molecular.data.frames import Frames, atom_rows
from suites.molecular.data.neighbors import Pairs
from suites.molecular.data.pair_tables import (
    PairTables,
    Triplets,
    UniquePairs,
    pair_tables,
    triplets,
    unique_pairs,
)

#: Ratio of neighbouring rungs of the ladder of sizes.
_RUNG = 1.25
#: The ladder has a rung so many standard deviations of a batch above its mean.
_ABOVE_MEAN = 2.0

#: What a batch has beside frames, atoms and pairs.
UNIQUE, TRIPLETS = "unique", "triplets"

#: Numbers in a batch: what a row is of, and what it numbers.
_NUMBERS = {
    structure.idx_i: ("pairs", "atoms"),
    structure.idx_j: ("pairs", "atoms"),
    "slots": ("atoms", "pairs"),
    "back_slots": ("atoms", "pairs"),
    "slot_pair": ("atoms", "unique"),
    "slot_other": ("atoms", "atoms"),
    "ji": ("triplets", "pairs"),
    "kj": ("triplets", "pairs"),
    "ji_slots": ("pairs", "triplets"),
    "kj_slots": ("pairs", "triplets"),
}
_SHIFTS = sorted({*_NUMBERS.values(), ("unique", "atoms")})
#: What is 0 or 1, or a sign, and of what a row is.
_MASKS = {
    "slot_mask": "atoms",
    "slot_sign": "atoms",
    "triplet_mask": "triplets",
    "ji_mask": "pairs",
    "kj_mask": "pairs",
}


class Layout(NamedTuple):
    """The static shape of a batch, and what of it needs no index.

    Attributes:
        frames: Frames; none is padding.
        atoms: Atoms with padding.
        pairs: Directed pairs with padding.
        slots: Slots of an atom: the most pairs of one.
        frame_slots: Slots of a frame: the most atoms of one.
        unique: Unique pairs with padding; 0 if they were not asked for.
        triplets: Triplets with padding; 0 likewise.
        triplet_slots: Slots of a pair j→i; 0 likewise.
        back_slots: Slots of a pair k→j; 0 likewise.
        same_size: Each frame has `frame_slots` atoms, consecutive, and there is no padding.
        grid: Pair ``i * slots + k`` is that in slot k of atom i.
        full: Each pair and each slot is real.
        triplet_grid: Triplet ``p * triplet_slots + k`` is that in slot k of pair p, and real.
    """

    frames: int
    atoms: int
    pairs: int
    slots: int
    frame_slots: int
    unique: int
    triplets: int
    triplet_slots: int
    back_slots: int
    same_size: bool
    grid: bool
    full: bool
    triplet_grid: bool


class StaticBatch(NamedTuple):
    """Frames, padded to a layout.

    Attributes:
        layout: The shape.
        tensors: By name; see `StaticFrames.batch`.
    """

    layout: Layout
    tensors: dict[str, Tensor]


class Ladder:
    """Sizes that batches of `frames` frames are padded to.

    Args:
        counts: (frames of the data, quantities) int64, how many of each quantity a frame has.
        frames: Frames of a batch.
    """

    def __init__(self, counts: np.ndarray, frames: int) -> None:
        ordered = np.sort(counts, axis=0)
        few = min(frames, len(counts))
        # A batch may have a frame twice: that which fills the last one of an evaluation.
        self._most = np.maximum(ordered[-few:].sum(0) + (frames - few) * ordered[-1], 1)
        self._least = ordered[:few].sum(0) + (frames - few) * ordered[0]
        deviation = counts.std(0) * math.sqrt(frames)
        usual = np.ceil(counts.mean(0) * frames + _ABOVE_MEAN * deviation)
        self._usual = np.clip(usual.astype(np.int64), 1, self._most)
        #: (quantities,) bool: all batches have equally many.
        self.exact = self._most == self._least

    def sizes(self, totals: np.ndarray) -> np.ndarray:
        """(quantities,) int64, the smallest sizes that hold a batch of these `totals`."""
        level = math.ceil(math.log(max((totals / self._usual).max(), 1e-9), _RUNG) - 1e-9)
        sizes = np.ceil(self._usual * _RUNG**level).astype(np.int64)
        return np.asarray(np.clip(np.maximum(sizes, totals), 1, self._most))


class StaticFrames:
    """Frames with labels and pairs as tensors, from which padded batches are gathered.

    Args:
        frames: The geometries.
        pairs: Neighbour lists of the frames, by `neighbor_pairs`.
        energies: (frames,) float64, the labels in the unit that the network sees.
        forces: (atoms, 3) float64, the labels in that unit per Å.
        cutoff: Cutoff radius of the pairs, in Å.
        device: Device of the tensors.
        dtype: Type of the floating-point tensors.
        stresses: (frames, 3, 3) float64, the labels in that unit per Å³, NaN where there is none;
            ``None``: batches have no ``stress``.
        needs: What else a batch has: `UNIQUE`, `TRIPLETS`.

    Raises:
        ValueError: A pair has no reverse.
    """

    def __init__(
        self,
        frames: Frames,
        pairs: Pairs,
        energies: np.ndarray,
        forces: np.ndarray,
        cutoff: float,
        device: torch.device,
        dtype: torch.dtype,
        stresses: np.ndarray | None = None,
        needs: Collection[str] = (),
    ) -> None:
        self._device, self._dtype = device, dtype
        tables = pair_tables(frames, pairs, cutoff)
        self._tables = tables
        self._frames = frames
        unique = unique_pairs(frames, tables) if UNIQUE in needs else None
        angles = triplets(frames, tables) if TRIPLETS in needs else None
        self._first = {"atoms": frames.first, "pairs": tables.first}
        if unique is not None:
            self._first["unique"] = unique.first
        if angles is not None:
            self._first["triplets"] = angles.first
        self._counts = np.stack([np.diff(first) for first in self._first.values()], axis=1)
        self._ladders: dict[int, Ladder] = {}
        self._most_atoms = int(frames.n_atoms.max())
        self._floats = self._loaded_floats(frames, energies, forces, stresses)
        pairs_before = np.repeat(tables.first[:-1], frames.n_atoms)
        local = _indices(frames.numbers, tables, pairs_before, unique, angles)
        self._local = {name: self._integers(array) for name, array in local.items()}
        self._has_unique = unique is not None
        # Their arrays are large.
        self._angle_slots = (angles.of_ji.slots, angles.of_kj.slots) if angles else (0, 0)
        self._full_angles = angles is not None and angles.of_ji.full and angles.of_kj.full
        #: Of frames whose tables are all the same, those of a batch are too.
        self._constant: dict[int, dict[str, Tensor]] | None = None
        if self._alike():
            self._constant = {}

    def __len__(self) -> int:
        return len(self._frames)

    def _floats_of(self, array: np.ndarray, padding: float = 0.0) -> Tensor:
        """The array on the device, with a row of padding at the end."""
        row = np.full((1, *array.shape[1:]), padding)
        joined = np.concatenate([np.asarray(array, dtype=np.float64), row])
        return torch.tensor(joined, dtype=self._dtype, device=self._device)

    def _integers(self, array: np.ndarray) -> Tensor:
        """Likewise, of the smallest type of integers that holds them; the padding is 0."""
        least, most = int(array.min(initial=0)), int(array.max(initial=0))
        kind = np.promote_types(np.min_scalar_type(least - 1), np.min_scalar_type(-most - 1))
        row = np.zeros((1, *array.shape[1:]), dtype=kind)
        joined = np.concatenate([array.astype(kind), row])
        return torch.from_numpy(joined).to(self._device)

    def _loaded_floats(
        self,
        frames: Frames,
        energies: np.ndarray,
        forces: np.ndarray,
        stresses: np.ndarray | None,
    ) -> dict[str, dict[str, Tensor]]:
        """Tensors of floating-point numbers by what a row of them is."""
        tables = self._tables
        per_frame = {
            structure.energy: self._floats_of(energies),
            structure.cell: self._floats_of(frames.cells),
            "periodic": self._floats_of(frames.pbc.all(axis=1)),
            "frame_atoms": self._floats_of(frames.n_atoms),
        }
        if stresses is not None:
            per_frame[structure.stress] = self._floats_of(stresses)
        offsets = self._floats_of(tables.offsets)
        # Padding that belongs to no frame: beyond the cutoff as well.
        offsets[-1, 0] = float(np.abs(tables.offsets).max(initial=1.0)) + 1e3
        return {
            "frames": per_frame,
            "atoms": {
                structure.forces: self._floats_of(forces),
                structure.R: self._floats_of(frames.positions),
                "atom_mask": self._floats_of(np.ones(len(frames.numbers))),
            },
            "pairs": {
                structure.offsets: offsets,
                "pair_mask": self._floats_of(tables.real),
            },
        }

    def _alike(self) -> bool:
        """Whether the frames have the same tables, without lattice vectors in them."""
        same = (self._counts == self._counts[0]).all() and not self._frames.cells.any()
        if not same or not self._frames.uniform:
            return False
        tables = self._tables
        shape = (len(self), -1)
        arrays = (tables.idx_i, tables.idx_j, tables.real)
        return all(bool((a.reshape(shape) == a[: a.size // len(self)]).all()) for a in arrays)

    def _ladder(self, frames: int) -> Ladder:
        if frames not in self._ladders:
            self._ladders[frames] = Ladder(self._counts, frames)
        return self._ladders[frames]

    def layout(self, rows: np.ndarray) -> Layout:
        """The shape of the batch of the frames `rows`, (n,) int64."""
        ladder = self._ladder(len(rows))
        sizes = dict(zip(self._first, ladder.sizes(self._counts[rows].sum(0)), strict=True))
        exact = dict(zip(self._first, ladder.exact, strict=True))
        same_size = bool((self._counts[:, 0] == self._counts[0, 0]).all())
        grid = self._tables.grid
        if grid:
            sizes["pairs"] = sizes["atoms"] * self._tables.of_atom.slots
        elif sizes["pairs"] == sizes["atoms"]:
            # The number of rows tells what they are.
            sizes["pairs"] += 1
        every = grid and exact["atoms"] and self._tables.of_atom.full
        return Layout(
            frames=len(rows),
            atoms=int(sizes["atoms"]),
            pairs=int(sizes["pairs"]),
            slots=self._tables.of_atom.slots,
            frame_slots=self._most_atoms,
            unique=int(sizes.get("unique", 0)),
            triplets=int(sizes.get("triplets", 0)),
            triplet_slots=self._angle_slots[0],
            back_slots=self._angle_slots[1],
            same_size=same_size,
            grid=grid,
            full=bool(every),
            triplet_grid=bool(every and self._full_angles),
        )

    def batch(self, rows: np.ndarray) -> StaticBatch:
        """The frames `rows`, (n,) int64, padded.

        Its tensors, by `schnetpack.properties` where that has a name, B frames, A atoms, P pairs,
        K slots:

        * per frame: ``energy``, ``frame_atoms``, ``periodic`` (along all three lattice vectors)
          (B,), ``cell`` (B, 3, 3), and with labels of it ``stress`` (B, 3, 3);
        * per atom: ``Z`` (A,), ``R`` (A, 3), ``forces`` (A, 3), ``idx_m`` (A,) and ``atom_mask``
          (A,), 1 or for padding 0; an atom of padding has some element of the data, lies in the
          origin, has no pairs and counts to frame 0;
        * per directed pair: ``idx_i``, ``idx_j`` (P,), ``offsets`` (P, 3), ``pair_mask`` (P,); a
          pair of padding joins an atom to itself, beyond the cutoff, and is in no slot;
        * ``slots`` (A, K), the pairs (i, ·) of each atom i, ``back_slots`` (A, K), their reverses
          (·, i), and ``slot_mask`` (A, K), 1 or 0; an empty slot has some valid number;
        * ``frame_slots`` and ``frame_slot_mask`` (B, `Layout.frame_slots`), the atoms of a frame;
        * with `UNIQUE`, for U unique pairs: ``first``, ``second`` (U,), ``offset`` (U, 3),
          ``unique_mask`` (U,), so that a pair's vector is R[second] − R[first] + offset, and
          ``slot_pair``, ``slot_other`` and ``slot_sign`` (A, K): the unique pair in a slot of an
          atom, the other atom, and 1 where the atom is the first, −1 where it is the second, and 0
          in an empty slot, whose numbers are some valid ones;
        * with `TRIPLETS`, for T triplets: ``ji``, ``kj`` (T,), ``triplet_mask`` (T,), and the
          triplets of each pair, ``ji_slots`` and ``ji_mask`` (P, `Layout.triplet_slots`),
          ``kj_slots`` and ``kj_mask`` (P, `Layout.back_slots`).

        Masks and signs have the floating-point type. Tensors may be shared between batches: they
        must not be changed.
        """
        layout = self.layout(rows)
        frame = torch.from_numpy(rows).to(self._device)
        tensors = {
            key: tensor.index_select(0, frame) for key, tensor in self._floats["frames"].items()
        }
        places = {
            name: _padded(atom_rows(first, rows), getattr(layout, name), int(first[-1]))
            for name, first in self._first.items()
        }
        where = self._moved(places)
        for name in ("atoms", "pairs"):
            for key, tensor in self._floats[name].items():
                if self._constant is None or key in (structure.forces, structure.R):
                    tensors[key] = tensor.index_select(0, where[name])
        if self._constant is None:
            return StaticBatch(layout, tensors | self._tables_of(rows, layout, where))
        if len(rows) not in self._constant:
            shared = self._tables_of(rows, layout, where)
            for name in ("atoms", "pairs"):
                for key, tensor in self._floats[name].items():
                    if key not in (structure.forces, structure.R):
                        shared[key] = tensor.index_select(0, where[name])
            self._constant[len(rows)] = shared
        return StaticBatch(layout, tensors | self._constant[len(rows)])

    def _moved(self, arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """The arrays on the device, by one transfer."""
        joined = torch.from_numpy(np.concatenate(list(arrays.values()))).to(self._device)
        parts = joined.split([len(array) for array in arrays.values()])
        return dict(zip(arrays, parts, strict=True))

    def _tables_of(
        self, rows: np.ndarray, layout: Layout, where: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The tensors of numbers of atoms, pairs and triplets, and the masks of tables."""
        counts = dict(zip(self._first, self._counts[rows].T, strict=True))
        start = {name: np.cumsum(count) - count for name, count in counts.items()}
        # For each kind of row, where in the batch the atoms, pairs, … of its frame begin.
        shifts = self._moved(
            {
                f"{row}/{target}": _shift(
                    start[target], counts[row], getattr(layout, row), getattr(layout, target)
                )
                for row, target in _SHIFTS
                if row in counts and target in counts
            }
        )
        found: dict[str, Tensor] = {}
        for key, (row, target) in _NUMBERS.items():
            if key in self._local:
                local = self._local[key].index_select(0, where[row])
                shift = shifts[f"{row}/{target}"]
                found[key] = local + (shift if local.ndim == 1 else shift[:, None])
        for key, row in _MASKS.items():
            if key in self._local:
                found[key] = self._local[key].index_select(0, where[row]).to(self._dtype)
        numbers = self._local[structure.Z].index_select(0, where["atoms"]).long()
        element = int(self._frames.numbers[0])
        found[structure.Z] = torch.where(numbers == 0, element, numbers)
        atoms = np.full(layout.atoms, 0)
        atoms[: counts["atoms"].sum()] = np.repeat(np.arange(len(rows)), counts["atoms"])
        of_frame = np.arange(layout.frame_slots)
        mask = of_frame < counts["atoms"][:, None]
        table = np.where(mask, start["atoms"][:, None] + of_frame, 0)
        found[structure.idx_m] = torch.from_numpy(atoms).to(self._device)
        found["frame_slots"] = torch.from_numpy(table).to(self._device)
        found["frame_slot_mask"] = torch.from_numpy(mask).to(self._device, self._dtype)
        if self._has_unique:
            pair = self._local["unique_pair"].index_select(0, where["unique"]).long()
            found |= self._of_unique(pair, where, shifts["unique/atoms"])
        return found

    def _of_unique(
        self, pair: Tensor, where: dict[str, Tensor], atoms: Tensor
    ) -> dict[str, Tensor]:
        # The last row is that of padding.
        last = len(self._local["unique_pair"]) - 1
        mask = (where["unique"] != last).to(self._dtype)
        pair = torch.where(where["unique"] == last, len(self._tables.idx_i), pair)
        return {
            "first": self._local[structure.idx_i].index_select(0, pair) + atoms,
            "second": self._local[structure.idx_j].index_select(0, pair) + atoms,
            "offset": self._floats["pairs"][structure.offsets].index_select(0, pair),
            "unique_mask": mask,
        }


def _indices(
    numbers: np.ndarray,
    tables: PairTables,
    pairs_before: np.ndarray,
    unique: UniquePairs | None,
    angles: Triplets | None,
) -> dict[str, np.ndarray]:
    """Frame-local numbers and masks by the names of a batch.

    Args:
        numbers: (atoms,) atomic numbers.
        tables: Of the pairs.
        pairs_before: (atoms,) row of the first pair of each atom's frame.
        unique: Unique pairs, if asked for.
        angles: Triplets, if asked for.
    """
    of_atom = tables.of_atom
    rows = np.where(of_atom.mask, of_atom.members + pairs_before[:, None], 0)
    back = np.where(of_atom.mask, tables.reverse[rows] if len(tables.reverse) else 0, 0)
    found = {
        structure.Z: numbers,
        structure.idx_i: tables.idx_i,
        structure.idx_j: tables.idx_j,
        "slots": of_atom.members,
        "back_slots": back,
        "slot_mask": of_atom.mask,
    }
    if unique is not None:
        found |= {
            "unique_pair": unique.pair,
            "slot_pair": unique.slot_pair,
            "slot_other": unique.slot_other,
            "slot_sign": unique.slot_sign,
        }
    if angles is not None:
        found |= {
            "ji": angles.ji,
            "kj": angles.kj,
            "triplet_mask": np.ones(len(angles.ji)),
            "ji_slots": angles.of_ji.members,
            "ji_mask": angles.of_ji.mask,
            "kj_slots": angles.of_kj.members,
            "kj_mask": angles.of_kj.mask,
        }
    return found


def _padded(rows: np.ndarray, size: int, padding: int) -> np.ndarray:
    """The rows, and `padding` up to `size`."""
    found = np.full(size, padding, dtype=np.int64)
    found[: len(rows)] = rows
    return found


def _shift(start: np.ndarray, counts: np.ndarray, size: int, limit: int) -> np.ndarray:
    """For each row of a batch the first number of its frame, below `limit`; 0 for padding."""
    found = np.zeros(size, dtype=np.int64)
    found[: counts.sum()] = np.repeat(np.minimum(start, limit - 1), counts)
    return found
