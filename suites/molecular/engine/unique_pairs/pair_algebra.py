"""Sums over the pairs of an atom, and products over the two atoms of a pair.

A pair of atoms (first, second) stands for itself and its reverse. With w of pairs and x of atoms,

* even sum: s_a = Σ_p w_p x_b, over the pairs p of a, with b the other atom;
* odd sum: the same with the sign −1 where a is the second atom of p;
* even product: t_p = g_first x_second + g_second x_first;
* odd product: t_p = g_first x_second − g_second x_first.

All are bilinear, and their adjoints are again of these four: that of a sum by x is the same sum
(the odd one with a minus), that of a sum by w a product, and that of a product by either factor a
sum. So derivatives of every order gather rows, and none adds at indices, which neither vectorises
nor fuses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

#: Up to so many slots a sum is written out, so that it fuses with what its rows are made of.
_UNROLLED = 40


class PairTable(NamedTuple):
    """Which atoms the unique pairs join, of A atoms with at most K pairs, and U pairs.

    Attributes:
        first: (U,) int64, an atom of each pair.
        second: (U,) int64, the other; the same where an atom meets its own image.
        slot_pair: (A, K) int64, the pairs of each atom; one with its own image has two slots.
        slot_other: (A, K) int64, the other atom of each.
        slot_sign: (A, K), 1 where the atom is the first of the pair, −1 where it is the second, 0
            in an empty slot, whose pair and other atom are any.
        full: No slot is empty.
    """

    first: Tensor
    second: Tensor
    slot_pair: Tensor
    slot_other: Tensor
    slot_sign: Tensor
    full: bool


def pair_sum(table: PairTable, w: Tensor, x: Tensor, *, odd: bool = False) -> Tensor:
    """The even or odd sum.

    Args:
        table: Of the pairs.
        w: (..., U, features); leading axes that it lacks are those of `x`.
        x: (..., A, features).
        odd: With signs.

    Returns:
        (..., A, features).
    """
    found: Tensor = _Sum.apply(table, odd, w, x)
    return found


def pair_product(table: PairTable, g: Tensor, x: Tensor, *, odd: bool = False) -> Tensor:
    """The even or odd product, (..., U, features), of `g` and `x`, both (..., A, features)."""
    found: Tensor = _Product.apply(table, odd, g, x)
    return found


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: PairTable, odd: bool, w: Tensor, x: Tensor) -> Tensor:
        ctx.table, ctx.odd = table, odd
        ctx.save_for_backward(w, x)
        factors = None
        if odd:
            factors = table.slot_sign
        elif not table.full:
            factors = table.slot_sign.square()
        slots = table.slot_pair.shape[1]
        if slots > _UNROLLED:
            rows = w[..., table.slot_pair, :] * x[..., table.slot_other, :]
            return (rows if factors is None else rows * factors[..., None]).sum(-2)
        total = None
        for k in range(slots):
            term = w[..., table.slot_pair[:, k], :] * x[..., table.slot_other[:, k], :]
            if factors is not None:
                term = term * factors[:, k, None]
            total = term if total is None else total + term
        assert total is not None
        return total

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        (cotangent,) = cotangents
        w, x = ctx.saved_tensors
        table, odd = ctx.table, ctx.odd
        by_w = by_x = None
        if ctx.needs_input_grad[2]:
            by_w = pair_product(table, cotangent, x, odd=odd).sum_to_size(w.shape)
        if ctx.needs_input_grad[3]:
            by_x = pair_sum(table, w, -cotangent if odd else cotangent, odd=odd)
        return None, None, by_w, by_x


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: PairTable, odd: bool, g: Tensor, x: Tensor) -> Tensor:
        ctx.table, ctx.odd = table, odd
        ctx.save_for_backward(g, x)
        forth = g[..., table.first, :] * x[..., table.second, :]
        back = g[..., table.second, :] * x[..., table.first, :]
        return forth - back if odd else forth + back

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        (cotangent,) = cotangents
        g, x = ctx.saved_tensors
        table, odd = ctx.table, ctx.odd
        by_g = by_x = None
        if ctx.needs_input_grad[2]:
            by_g = pair_sum(table, cotangent, x, odd=odd)
        if ctx.needs_input_grad[3]:
            by_x = pair_sum(table, -cotangent if odd else cotangent, g, odd=odd)
        return None, None, by_g, by_x
