"""Products of several networks, whose weights' gradients are summed in parts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from suites.pinn.engine.batched_product import batched_product


def factors(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    shapes = ((3, count, 5), (3, 5, 4), (3, count, 4))
    rows, weight, by = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    return rows.requires_grad_(), weight.requires_grad_(), by


@pytest.mark.parametrize("count", [1, 7, 8, 15, 16, 64, 67])
def test_values_and_gradients_are_those_of_a_product(count: int) -> None:
    rows, weight, by = factors(count)
    found, wanted = batched_product(rows, weight, 8), rows @ weight
    torch.testing.assert_close(found, wanted, rtol=1e-14, atol=1e-14)
    mine = torch.autograd.grad(found, (rows, weight), by)
    theirs = torch.autograd.grad(wanted, (rows, weight), by)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def test_gradients_of_a_view_and_of_weights_alone() -> None:
    rows, weight, by = factors(20)
    turned = by.mT.contiguous().mT
    (mine,) = torch.autograd.grad(batched_product(rows.detach(), weight, 8), weight, turned)
    (theirs,) = torch.autograd.grad(rows.detach() @ weight, weight, turned)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def test_no_product_sums_over_more_rows_than_asked() -> None:
    """What the parts are for: each network's gradient is many products."""
    from torch.utils._python_dispatch import TorchDispatchMode

    longest = 0

    class Longest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal longest
            if func.name() == "aten::bmm":
                longest = max(longest, args[0].shape[2])
            return func(*args, **(kwargs or {}))

    rows, weight, by = factors(67)
    found = batched_product(rows, weight, 8)
    with Longest():
        torch.autograd.grad(found, (rows, weight), by)
    assert longest == 8
