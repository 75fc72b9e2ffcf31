"""Activations whose derivatives torch's own modules lack or get wrong, and their operations.

`torch.nn.Tanh`, `ReLU`, `ELU` and the exact `GELU` are accurate to third order, and the registry
uses them. The classes here replace the others; each says why.
"""

import torch
from torch import Tensor, nn

from bench.techniques import special
from bench.techniques.antiderivative import differentiable


def _sigmoid_first_value(x: Tensor) -> Tensor:
    return x.neg().sigmoid_().mul_(torch.sigmoid(x))


def _sigmoid_second(x: Tensor) -> Tensor:
    # tanh(x/2) is 1 - 2 sigmoid(x) without its cancellation at 0.
    return -_sigmoid_first(x) * torch.tanh(0.5 * x)


def _silu_first_value(x: Tensor) -> Tensor:
    return x.neg().sigmoid_().mul_(x).add_(1.0).mul_(torch.sigmoid(x))


def _silu_second(x: Tensor) -> Tensor:
    return _sigmoid_first(x) * (2.0 - x * torch.tanh(0.5 * x))


_sigmoid_first = differentiable(_sigmoid_first_value, _sigmoid_second)
_silu_first = differentiable(_silu_first_value, _silu_second)

sigmoid = differentiable(torch.sigmoid, _sigmoid_first)
silu = differentiable(nn.functional.silu, _silu_first)
softplus = differentiable(special.softplus, sigmoid)
shifted_softplus = differentiable(special.shifted_softplus, sigmoid)


class _SineSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return torch.sin(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        cosine = torch.cos(x)
        found: list[Tensor | None] = [cosine, -y, -cosine]
        return found[:order]


class Sine(nn.Module):
    """sin(x), elementwise on any shape, in the dtype of the input; torch.nn has no such module.

    V. Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions,
    arXiv 2006.09661 (there with a frequency factor, which belongs to the layer before).
    """

    closed_form = _SineSlopes

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return torch.sin(x)


class Sigmoid(nn.Module):
    """1 / (1 + e^-x), elementwise on any shape, in the dtype of the input.

    Replaces `torch.nn.Sigmoid`, whose second derivative cancels at 0: wrong by the dtype's epsilon.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return sigmoid(x)


class SiLU(nn.Module):
    """x / (1 + e^-x), elementwise on any shape, in the dtype of the input.

    S. Elfwing, E. Uchibe, K. Doya, arXiv 1702.03118. Replaces `torch.nn.SiLU`, whose third
    derivative cancels at 0: wrong by the dtype's epsilon, where it is -x/2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return silu(x)


class Softplus(nn.Module):
    """log(1 + e^x), elementwise on any shape, in the dtype of the input.

    Replaces `torch.nn.Softplus`, which is linear beyond 20, where its second derivative should be
    2e-9 and is 0, and whose third derivative cancels at 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return softplus(x)


class ShiftedSoftplus(nn.Module):
    """log((1 + e^x)/2) = softplus(x) - log 2, elementwise on any shape, in the input's dtype.

    The activation of SchNet: K. Schütt et al., arXiv 1706.08566. The difference itself cancels at
    0, so the value comes from `special.shifted_softplus`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return shifted_softplus(x)
