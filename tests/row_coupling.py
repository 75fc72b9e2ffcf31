"""Modules of users whose rows are coupled, or that change buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CenterRows(nn.Module):
    """Normalises by the statistics of all rows.

    Args:
        width: Features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(0)
        scaled = centred * torch.rsqrt(centred.square().mean(0) + 1e-5)
        return scaled * self.weight + self.bias


class Clip(nn.Module):
    """Tanh of a row whose norm is held below 40: it couples features of large rows alone."""

    def forward(self, x: Tensor) -> Tensor:
        norm = (x.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        return torch.tanh(x * (40.0 / norm).clamp(max=1.0))


class Running(nn.Module):
    """Counts its calls in training mode, and keeps an average that padding does not change."""

    seen: Tensor
    level: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("level", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.add_(1)
            self.level.lerp_(self.seen.new_ones(()), 0.1)
        return torch.tanh(x)


class Counting(nn.Module):
    """Counts the rows, padding included."""

    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.rows.add_(len(x))
        return torch.tanh(x)
