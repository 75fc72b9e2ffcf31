"""Normalisations with one fault each, and one without."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RootMeanSquare(nn.Module):
    """What users write: no fault."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)


class Running(nn.Module):
    """No fault: rows are centred by their mean in training, and by a running one in evaluation."""

    mean: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x - self.mean
        with torch.no_grad():
            self.mean.lerp_(x.mean(0), 0.1)
        return x - x.mean(0)


class TorchsLayerNorm(nn.LayerNorm):
    """Its third derivative takes mean and deviation for constants (torch 2.13)."""


class Double(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class Single(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class InPlace(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return x.sub_(x.mean(-1, keepdim=True)) if self.training else x


class Random(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, 0.2, self.training))


class CoupledInEvaluation(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class ChangedByEvaluation(Running):
    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        with torch.no_grad():
            self.mean.lerp_(x.mean(0), 0.1)
        return found


class Detached(RootMeanSquare):
    """Statistics that the derivative does not see."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.detach().square().mean(-1, keepdim=True) + 1e-5)


class Constant(RootMeanSquare):
    def forward(self, x: Tensor) -> Tensor:
        return self.weight * super().forward(x).detach()


class Singular(RootMeanSquare):
    """Nothing is added to the deviation."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)


class Forgetful(RootMeanSquare):
    """Its running scale is no part of its state."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.scale = torch.ones(())

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale = 0.9 * self.scale + 0.1 * x.detach().square().mean().sqrt()
            return super().forward(x)
        return super().forward(x / self.scale)


class Untrained(RootMeanSquare):
    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.weight.requires_grad_(False)


class Unused(RootMeanSquare):
    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.bias = nn.Parameter(torch.zeros(features))
