"""Activations with a constant of their own, under names that contracts and arms take."""

from __future__ import annotations

from torch import nn

from bench.techniques.integrated import IntegratedELU


def elu() -> nn.Module:
    return nn.ELU(1.7)


def ielu() -> nn.Module:
    return IntegratedELU(1.7)
