"""The networks' own modules on batches of static shape: what they do with indices is replaced.

SchNetPack's and PyTorch Geometric's modules gather by index tensors and add at them. In the body of
`StaticOperators` such operators by an index of the batch become `Rows`, which vectorise, can be
traced, and leave padding out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import schnetpack.properties as structure
import torch
from schnetpack.nn import scatter as schnetpack_scatter
from schnetpack.nn.so3 import SO3Convolution, SO3ParametricGatedNonlinearity, SO3TensorProduct
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from suites.molecular.data.pair_tables import group
from suites.molecular.data.static_batches import Layout
from suites.molecular.engine.rows import Rows

#: Views of an index stand for the index.
_VIEWS = {"view", "expand_as", "expand", "unsqueeze", "long"}


def rows_of_batch(layout: Layout, tensors: Mapping[str, Tensor]) -> list[Rows]:
    """What gathers and sums by each index of a batch are.

    Args:
        layout: Shape of the batch.
        tensors: Of the batch, by `suites.molecular.data.static_batches.StaticFrames.batch`.
    """
    pair_mask = None if layout.full else tensors["pair_mask"]
    slot_mask = None if layout.full else tensors["slot_mask"]
    found = [
        Rows(tensors[structure.idx_i], tensors["slots"], slot_mask, pair_mask, layout.grid),
        Rows(tensors[structure.idx_j], tensors["back_slots"], slot_mask, pair_mask),
        frame_rows(layout, tensors),
    ]
    if layout.triplets:
        full = layout.triplet_grid
        mask = None if full else tensors["triplet_mask"]
        for name, consecutive in (("ji", full), ("kj", False)):
            slots, slot_mask = tensors[f"{name}_slots"], tensors[f"{name}_mask"]
            found.append(Rows(tensors[name], slots, None if full else slot_mask, mask, consecutive))
    return found


def frame_rows(layout: Layout, tensors: Mapping[str, Tensor]) -> Rows:
    """The frame of each atom; see `rows_of_batch`."""
    return Rows(
        tensors[structure.idx_m],
        tensors["frame_slots"],
        None if layout.same_size else tensors["frame_slot_mask"],
        None if layout.same_size else tensors["atom_mask"],
        layout.same_size,
    )


class FixedRows:
    """The indices that a network has itself: which components a product of SO(3) features takes.

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        self.rows: list[tuple[Tensor, Rows]] = []
        for module in net.modules():
            if isinstance(module, (SO3Convolution, SO3TensorProduct)):
                components = (module.lmax + 1) ** 2
                for index in (module.idx_in_1, module.idx_in_2, module.idx_out):
                    self._add(index, components)
            if isinstance(module, SO3Convolution):
                self._add(module.Widx, module.lmax + 1)
            if isinstance(module, SO3ParametricGatedNonlinearity):
                self._add(module.lidx, module.lmax + 1)

    def _add(self, index: Tensor, sources: int) -> None:
        numbers = index.cpu().numpy()
        table = group(numbers, np.arange(len(numbers)), sources)
        dtype = torch.get_default_dtype()
        mask = None if table.full else torch.tensor(table.mask, dtype=dtype, device=index.device)
        slots = torch.tensor(table.members, device=index.device)
        self.rows.append((index, Rows(index, slots, mask, dim=1)))


class StaticOperators(TorchFunctionMode):
    """In the body, gathers and sums by known indices are `Rows`.

    Args:
        batch: Of a batch.
        fixed: Of the network, each with the tensor that stands for it.
        frames: Of the batch.
        idx_m: The batch's index of frames.
    """

    def __init__(
        self,
        batch: Iterable[Rows],
        fixed: Iterable[tuple[Tensor, Rows]],
        frames: int,
        idx_m: Tensor,
    ) -> None:
        super().__init__()
        self._frames = frames
        self._idx_m = idx_m
        # By identity, and kept alive with it.
        self._known: dict[int, tuple[Tensor, Rows]] = {}
        #: What was gathered, with its source, and what was joined of it and others.
        self._taken: dict[int, tuple[Tensor, Tensor, Rows]] = {}
        self._joined: dict[int, tuple[Tensor, Sequence[Tensor]]] = {}
        for rows in batch:
            self._learn(rows.index, rows)
        for index, rows in fixed:
            self._learn(index, rows)

    def __enter__(self) -> StaticOperators:
        # A scripted function, which no mode sees.
        self._scripted = schnetpack_scatter._scatter_add
        schnetpack_scatter._scatter_add = self._scatter_add
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        schnetpack_scatter._scatter_add = self._scripted

    def _scatter_add(self, x: Tensor, index: Tensor, size: int, dim: int = 0) -> Tensor:
        rows = self._rows(index)
        result: Tensor = self._scripted(x, index, size, dim) if rows is None else rows.sum(x)
        return result

    def _learn(self, index: Tensor, rows: Rows) -> None:
        self._known[id(index)] = index, rows

    def _rows(self, index: object) -> Rows | None:
        found = self._known.get(id(index))
        return None if found is None else found[1]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if func is torch.Tensor.__getitem__:
            return self._item(*args)
        if name == "scatter_add_" and (rows := self._rows(args[2])) is not None:
            return rows.sum(args[3])
        if func is functional.linear and id(args[0]) in self._joined:
            return self._linear(*args, **kwargs)
        result = func(*args, **kwargs)
        if func is torch.cat and any(id(part) in self._taken for part in args[0]):
            self._joined[id(result)] = result, args[0]
        if name in _VIEWS and (rows := self._rows(args[0])) is not None:
            self._learn(result, rows)
        return result

    def _item(self, x: Tensor, key: Any) -> Any:
        if x is self._idx_m and isinstance(key, int):
            # The number of frames minus one, which SchNetPack's read-out asks for.
            return self._frames - 1
        own = self._rows(x)
        if own is not None:
            result = x[key]
            self._learn(result, own)
            return result
        rows = self._rows(key)
        if rows is not None and rows.dim == 0:
            result = rows.take(x)
            self._taken[id(result)] = result, x, rows
            return result
        if isinstance(key, tuple):
            places = [self._rows(part) for part in key]
            for rows in places:
                if rows is not None:
                    x = rows.take(x)
            key = tuple(
                part if rows is None else slice(None)
                for part, rows in zip(key, places, strict=True)
            )
        return x[key]

    def _linear(self, joined: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A linear map of rows that are joined of parts, each part mapped before it is gathered."""
        parts = self._joined[id(joined)][1]
        mapped: Tensor | None = None
        for part, own in zip(parts, weight.split([p.shape[-1] for p in parts], 1), strict=True):
            if id(part) in self._taken:
                _, source, rows = self._taken[id(part)]
                of_part = rows.take(functional.linear(source, own))
            else:
                of_part = functional.linear(part, own, bias)
                bias = None
            mapped = of_part if mapped is None else mapped + of_part
        assert mapped is not None
        return mapped if bias is None else mapped + bias
