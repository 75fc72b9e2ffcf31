"""Operators on rows of features, in the form that a compiler vectorises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from schnetpack.nn import Dense
from torch import Tensor


def row_sums(x: Tensor) -> Tensor:
    """(..., 1), the sums over the last axis.

    A product with ones, since a compiler does not vectorise a sum over what it gathers by an index.
    """
    found: Tensor = _RowSums.apply(x)
    return found


def scale_rows(factors: Tensor, x: Tensor) -> Tensor:
    """`factors` (..., rows, 1) times `x` (rows, features)."""
    found: Tensor = _ScaleRows.apply(factors, x)
    return found


def linear(layer: Dense, x: Tensor) -> Tensor:
    """The linear map of a layer, of (rows, features), without its activation."""
    y = x @ layer.weight.mT
    # As a difference, because a compiler makes of a sum a product with a bias, for which it writes
    # the bias out for all rows, where it would be fused with what follows.
    return y if layer.bias is None else y - (-layer.bias)


def dense(layers: Iterable[Dense], x: Tensor) -> Tensor:
    """Layers with their activations, one after the other, of (rows, features)."""
    for layer in layers:
        x = layer.activation(linear(layer, x))
    return x


def linear_blocks(
    layers: Sequence[Dense], x: Tensor, width: int, wanted: Iterable[int]
) -> list[Tensor]:
    """Blocks of `width` features of what layers make of (rows, features).

    Args:
        layers: Layers, the last without an activation.
        x: Features.
        width: Of a block.
        wanted: Which blocks, ascending; the others are not computed.
    """
    *hidden, last = layers
    weights = last.weight.split(width)
    blocks = list(wanted)
    matrix = last.weight
    bias = last.bias
    if len(blocks) < len(weights):
        matrix = torch.cat([weights[block] for block in blocks])
        if bias is not None:
            bias = torch.cat([bias.split(width)[block] for block in blocks])
    y = dense(hidden, x) @ matrix.mT
    return list((y if bias is None else y - (-bias)).split(width, 1))


class _RowSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        ones = x.new_ones(x.shape[-1], 1)
        return (x.reshape(-1, x.shape[-1]) @ ones).view(*x.shape[:-1], 1)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Tensor:
        return cotangents[0].expand(ctx.shape)


class _ScaleRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factors: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(factors, x)
        return factors * x

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        (cotangent,) = cotangents
        factors, x = ctx.saved_tensors
        by_factors = by_x = None
        if ctx.needs_input_grad[0]:
            by_factors = row_sums(cotangent * x)
        if ctx.needs_input_grad[1]:
            by_x = (cotangent * factors).sum_to_size(x.shape)
        return by_factors, by_x
