"""SchNet's features of atoms on unique pairs."""

from __future__ import annotations

from schnetpack.nn import Dense
from schnetpack.representation import SchNet
from torch import Tensor, nn
from torch.nn import functional
import torch

from suites.molecular.models.unique_pairs.radial import Radial
from suites.molecular.models.unique_pairs.pair_algebra import PairTable, pair_sum


def filters_with_slopes(net: nn.Sequential, radial: Radial):
    first, second = net
    count = len(radial.cutoff)
    a = functional.linear(radial.basis.flatten(0, 1), first.weight)
    before, tangent = a[:count], a[count:]
    if first.bias is not None:
        before = before + first.bias
    h = first.activation(before)
    (slope,) = torch.autograd.grad(h.sum(), before, create_graph=True)
    w = functional.linear(torch.cat([h, slope * tangent]), second.weight)
    value, dvalue = w[:count] + second.bias, w[count:]
    return value * radial.cutoff, dvalue * radial.cutoff + value * radial.cutoff_slope


def schnet_features(rep: SchNet, table: PairTable, numbers: Tensor, filters) -> Tensor:
    x = rep.embedding(numbers)
    for block, w in zip(rep.interactions, filters, strict=True):
        x = x + block.f2out(pair_sum(table, w, block.in2f(x)))
    return x
