"""Products of many rows with the small weights of several networks, for a GPU.

The gradient of a weight is a product whose only long side is summed over. For one network cuBLAS
divides that side among the device's processors; for a batch of networks it gives each network one
of them, and the others wait. Summed chunk by chunk, there is work for all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Product(torch.autograd.Function):
    """``rows @ weight``, with the weight's gradient in chunks."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, chunk: int) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.chunk = chunk
        return torch.bmm(rows, weight)

    @staticmethod
    def backward(ctx: Any, by: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows, weight = ctx.saved_tensors
        by_rows = torch.bmm(by, weight.mT) if ctx.needs_input_grad[0] else None
        by_weight = None
        if ctx.needs_input_grad[1]:
            by_weight = _summed(rows, by.contiguous(), ctx.chunk)
        return by_rows, by_weight, None


def batched_product(rows: Tensor, weight: Tensor, chunk: int) -> Tensor:
    """``rows @ weight`` for each network; differentiable once.

    Args:
        rows: Shape ``(networks, rows, inputs)``.
        weight: Shape ``(networks, inputs, outputs)``.
        chunk: Rows that one product of the weight's gradient sums over. A number of rows that is no
            multiple of it costs one product more.
    """
    found: Tensor = _Product.apply(rows, weight, chunk)
    return found


def _summed(rows: Tensor, by: Tensor, chunk: int) -> Tensor:
    """``rows.mT @ by``, shape ``(networks, inputs, outputs)``."""
    networks, count, inputs = rows.shape
    whole = count // chunk
    if whole < 2:
        return torch.bmm(rows.mT, by)
    end = whole * chunk
    parts = [
        tensor[:, :end].reshape(networks * whole, chunk, tensor.shape[-1]) for tensor in (rows, by)
    ]
    found = torch.bmm(parts[0].mT, parts[1]).view(networks, whole, inputs, -1).sum(1)
    if end < count:
        found = found + torch.bmm(rows[:, end:].mT, by[:, end:])
    return found
