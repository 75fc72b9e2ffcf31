"""Normalisation layers that torch does not have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def none(num_features: int) -> nn.Module:
    """No normalisation: the identity."""
    del num_features
    return nn.Identity()


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics are measured once, after initialisation, and then kept.

    The affine parameters are trained. Rows do not influence each other, so derivatives with
    respect to the input are pointwise, unlike those of `torch.nn.BatchNorm1d` in training mode.

    Args:
        num_features: Size of the last axis.
        eps: Added to the variance, as in `torch.nn.BatchNorm1d`.

    Shape:
        ``(rows, num_features)`` to the same.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.measuring = False
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        if self.measuring:
            var, mean = torch.var_mean(x.detach(), dim=0, correction=0)
            self.mean.copy_(mean)
            self.var.copy_(var)
        return (x - self.mean) * torch.rsqrt(self.var + self.eps) * self.weight + self.bias


def measure_frozen_statistics(model: nn.Module, forward: Callable[[], object]) -> None:
    """Set the statistics of every `FrozenBatchNorm` in `model` from one forward pass.

    Args:
        model: The network.
        forward: Runs `model` on the training points; layers are measured in order of execution,
            each on the output of the ones already measured.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, FrozenBatchNorm)]
    if not layers:
        return
    for layer in layers:
        layer.measuring = True
    try:
        with torch.no_grad():
            forward()
    finally:
        for layer in layers:
            layer.measuring = False
