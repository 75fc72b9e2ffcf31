"""Gathering rows and summing them back, as operators that are each other's derivative.

torch's derivative of a gather adds rows at indices, which neither vectorises nor can be fused. Here
it is a sum over the slots of a table, whose derivative is the gather again: any derivative of a
network with such operators has gathers and plain sums only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Up to so many slots a sum is written out, so that it fuses with what made the rows.
_UNROLLED = 40


@dataclass(frozen=True)
class Rows:
    """Which row of a source each row of a result is, and which these are for each source row.

    Attributes:
        index: (rows,) int64, the source row.
        slots: (sources, K) int64, the rows of each source row; with a mask, some valid number where
            there is no more.
        slot_mask: (sources, K), 1 or 0; ``None``: all are real.
        mask: (rows,), 1, or 0 for rows that are no one's; ``None``: all are some source row's.
        consecutive: The rows of a source row are the next K, and `slots` is not needed.
        dim: The axis of the rows.
    """

    index: Tensor
    slots: Tensor
    slot_mask: Tensor | None = None
    mask: Tensor | None = None
    consecutive: bool = False
    dim: int = 0

    @property
    def sources(self) -> int:
        """How many source rows there are."""
        return self.slots.shape[0]

    def take(self, x: Tensor) -> Tensor:
        """The source row of each row, some row where it is no one's.

        No gradient comes back from such rows: what depends on them is to be left out by `sum`.
        """
        result: Tensor = _Take.apply(x, self, False)
        return result

    def sum(self, y: Tensor) -> Tensor:
        """For each source row the sum of its rows."""
        result: Tensor = _Sum.apply(y, self)
        return result

    def _taken(self, x: Tensor, masked: bool) -> Tensor:
        if self.consecutive:
            per = self.slots.shape[1]
            rows = x.unsqueeze(1).expand(-1, per, *x.shape[1:]).reshape(-1, *x.shape[1:])
        else:
            rows = x.index_select(self.dim, self.index)
        # Not where the rows are divided by: 0 / 0 would spoil what is left out later.
        return _masked(rows, self.mask, self.dim) if masked else rows

    def _summed(self, y: Tensor) -> Tensor:
        if self.consecutive:
            return _masked(y, self.mask, 0).unflatten(0, tuple(self.slots.shape)).sum(1)
        if self.slots.shape[1] > _UNROLLED:
            rows = y.index_select(self.dim, self.slots.flatten())
            mask = None if self.slot_mask is None else self.slot_mask.flatten()
            rows = _masked(rows, mask, self.dim)
            return rows.unflatten(self.dim, tuple(self.slots.shape)).sum(self.dim + 1)
        total: Tensor | None = None
        for k in range(self.slots.shape[1]):
            mask = None if self.slot_mask is None else self.slot_mask[:, k]
            part = _masked(y.index_select(self.dim, self.slots[:, k]), mask, self.dim)
            total = part if total is None else total + part
        assert total is not None
        return total


def _masked(rows: Tensor, mask: Tensor | None, dim: int) -> Tensor:
    if mask is None:
        return rows
    return rows * mask.view(-1, *[1] * (rows.ndim - 1 - dim))


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows, masked: bool) -> Tensor:
        ctx.rows = rows
        return rows._taken(x, masked)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Sum.apply(gradient, ctx.rows), None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, rows: Rows) -> Tensor:
        ctx.rows = rows
        return rows._summed(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Take.apply(gradient, ctx.rows, True), None
