"""Batches in SchNetPack's form, gathered from tensors that are loaded once."""

from __future__ import annotations

import numpy as np
import schnetpack.properties as structure
import torch
from torch import Tensor

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames, atom_rows
from suites.molecular.data.neighbors import Pairs


class FrameTensors:
    """Frames with their labels and neighbour lists as tensors, from which batches are gathered.

    Args:
        frames: The geometries.
        pairs: Neighbour lists of the frames, by `neighbor_pairs`.
        energies: (frames,) float64, the labels in the unit that the network sees.
        forces: (atoms, 3) float64, the labels in that unit per Å.
        device: Device of the tensors.
        dtype: Type of the floating-point tensors.
        stresses: (frames, 3, 3) float64, the labels in that unit per Å³, NaN where there is none;
            ``None``: batches have no ``stress``.

    Raises:
        ValueError: The labels or the pairs do not belong to as many frames or atoms.
    """

    def __init__(
        self,
        frames: Frames,
        pairs: Pairs,
        energies: np.ndarray,
        forces: np.ndarray,
        device: torch.device,
        dtype: torch.dtype,
        stresses: np.ndarray | None = None,
    ) -> None:
        expected = ((len(frames),), frames.positions.shape, frames.first.shape)
        if (energies.shape, forces.shape, pairs.first.shape) != expected:
            raise ValueError(
                "the shapes of energies, forces and pairs.first are "
                f"{energies.shape}, {forces.shape} and {pairs.first.shape}, not {expected}"
            )
        self._first, self._first_pair = frames.first, pairs.first
        self._n_atoms, self._n_pairs = frames.n_atoms, np.diff(pairs.first)
        # Where all frames have as many atoms, whole frames are gathered instead of atoms.
        self._same_size = bool((self._n_atoms == self._n_atoms[0]).all())

        def loaded(array: np.ndarray, kind: torch.dtype) -> Tensor:
            return torch.tensor(array, dtype=kind, device=device)

        # In the order of a batch of SchNetPack's loader.
        self._per_frame = {
            structure.energy: loaded(energies, dtype),
            structure.n_atoms: loaded(self._n_atoms, torch.int64),
            structure.cell: loaded(frames.cells, dtype),
            structure.pbc: loaded(frames.pbc, torch.bool),
        }
        if stresses is not None:
            self._per_frame[structure.stress] = loaded(stresses, dtype)
        per_atom = {
            structure.forces: loaded(forces, dtype),
            structure.Z: loaded(frames.numbers, torch.int64),
            structure.R: loaded(frames.positions, dtype),
        }
        if self._same_size:
            shape = (len(frames), int(self._n_atoms[0]))
            per_atom = {key: tensor.unflatten(0, shape) for key, tensor in per_atom.items()}
        self._per_atom = per_atom
        self._idx_i = loaded(pairs.idx_i, torch.int64)
        self._idx_j = loaded(pairs.idx_j, torch.int64)
        self._offsets = loaded(pairs.offsets, dtype)
        self._device = device
        #: The neighbour lists.
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self._n_atoms)

    def mean_pairs(self, frames: int) -> float:
        """Pairs of a batch of so many frames, in the mean."""
        return float(self._n_pairs.mean()) * frames

    def least_pairs(self, frames: int) -> int:
        """The fewest pairs of a batch of so many frames."""
        return int(np.sort(self._n_pairs)[:frames].sum())

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The frames `rows`, (n,) int64, as the batch that SchNetPack's loader makes of them.

        Its keys are those of `schnetpack.properties`: per frame ``idx`` (n,), ``n_atoms`` (n,),
        ``energy`` (n,), ``cell`` (n, 3, 3), ``pbc`` (3n,); per atom ``Z``, ``R``, ``forces`` and
        ``idx_m``; per pair ``idx_i``, ``idx_j`` (of the batch's atoms) and ``offsets``; with labels
        of it also ``stress`` (n, 3, 3). The loader's ``_idx_i_local`` and ``_idx_j_local``, which
        no model reads, are left out.

        All tensors are new: they may be changed in place.
        """
        n_atoms, n_pairs = self._n_atoms[rows], self._n_pairs[rows]
        indices = [
            rows,
            np.repeat(np.arange(len(rows)), n_atoms),
            atom_rows(self._first_pair, rows),
            np.repeat(np.cumsum(n_atoms) - n_atoms, n_pairs),
        ]
        if not self._same_size:
            indices.append(atom_rows(self._first, rows))
        # All in one array, because every transfer to a GPU costs more than these few numbers.
        joined = torch.from_numpy(np.concatenate(indices)).to(self._device)
        frame, idx_m, pair, first_atom, *atom = joined.split([len(index) for index in indices])

        gathered = {structure.idx: frame}
        for key, tensor in self._per_frame.items():
            gathered[key] = tensor.index_select(0, frame)
        gathered[structure.pbc] = gathered[structure.pbc].flatten()
        for key, tensor in self._per_atom.items():
            gathered[key] = (
                tensor.index_select(0, frame).flatten(0, 1)
                if self._same_size
                else tensor.index_select(0, atom[0])
            )
        gathered[structure.idx_m] = idx_m
        gathered[structure.idx_i] = self._idx_i.index_select(0, pair).add_(first_atom)
        gathered[structure.idx_j] = self._idx_j.index_select(0, pair).add_(first_atom)
        gathered[structure.offsets] = self._offsets.index_select(0, pair)
        return gathered


class Batches:
    """Endless shuffled batches of row numbers.

    Every epoch is a permutation from its own stream, so that two runs with a seed see the same
    batches. The last, partial batch of an epoch is dropped.

    Args:
        count: Rows to choose from.
        size: Rows of a batch; `count` if that is smaller.
        seed: Seed of the run.

    Raises:
        BadInput: There are no rows, or a batch has none.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        if count < 1:
            raise BadInput("there are no frames to train on")
        if size < 1:
            raise BadInput(f"the batch size must be at least 1, not {size}")
        self._count, self._size, self._seed = count, min(size, count), seed
        self._begin(epoch=0, position=0)

    def next(self) -> np.ndarray:
        """Rows of the next batch, (size,) int64."""
        if self._position + self._size > self._count:
            self._begin(self._epoch + 1, position=0)
        start = self._position
        self._position += self._size
        return self._order[start : self._position]

    def state_dict(self) -> dict[str, int]:
        """What `load_state_dict` needs to go on with the same batches."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore `state_dict`'s result."""
        self._begin(state["epoch"], state["position"])

    def _begin(self, epoch: int, position: int) -> None:
        stream = numpy_generator(self._seed, f"shuffling/{epoch}")
        self._epoch, self._position = epoch, position
        self._order = stream.permutation(self._count)
