"""Activations whose derivatives torch's own modules lack or get wrong, and their operations.

`torch.nn.Tanh`, `ReLU`, `ELU` and the exact `GELU` are accurate to third order, and the registry
uses them. The classes here replace the others; each says why.
"""

import torch
from torch import Tensor, nn

from bench.techniques import special
from bench.techniques.antiderivative import differentiable
from bench.techniques.slopes import Slopes


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


def slopes_of_sigmoid(x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
    """The first `order` derivatives at `x` of the logistic function, whose value is `y`."""
    if not order:
        return []
    first = x.neg().sigmoid_().mul_(y)
    found: list[Tensor | None] = [first]
    if order > 1:
        # 1 - 2y without its cancellation at 0.
        half = torch.tanh(0.5 * x)
        found.append((first * half).neg_())
        if order > 2:
            found.append(half.square_().mul_(1.5).sub_(0.5).mul_(first))
    return found


def slopes_of_softplus(x: Tensor, order: int) -> list[Tensor | None]:
    """The first `order` derivatives of softplus at `x`."""
    if not order:
        return []
    first = torch.sigmoid(x)
    return [first, *slopes_of_sigmoid(x, first, order - 1)]


def slopes_of_silu(x: Tensor, order: int) -> list[Tensor | None]:
    """The first `order` derivatives of SiLU at `x`; they share one logistic function and tanh."""
    if not order:
        return []
    value, complement = torch.sigmoid(x), x.neg().sigmoid_()
    found: list[Tensor | None] = [(complement * x).add_(1).mul_(value)]
    if order > 1:
        slope, half = value.mul_(complement), torch.tanh(0.5 * x)
        found.append((half * x).neg_().add_(2).mul_(slope))
        if order > 2:
            bent = half.square().mul_(1.5).sub_(0.5).mul_(x)
            found.append(bent.sub_(half, alpha=3).mul_(slope))
    return found


class _SineSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return torch.sin(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        cosine = torch.cos(x)
        found: list[Tensor | None] = [cosine, -y, -cosine]
        return found[:order]


class _SigmoidSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_sigmoid(x, y, order)


class _SiLUSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return nn.functional.silu(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_silu(x, order)


class _SoftplusSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return special.softplus(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return slopes_of_softplus(x, order)


class _ShiftedSoftplusSlopes(_SoftplusSlopes):
    def value(self, x: Tensor) -> Tensor:
        return special.shifted_softplus(x)


class Sine(nn.Module):
    """sin(x), elementwise on any shape, in the dtype of the input; torch.nn has no such module.

    V. Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions,
    arXiv 2006.09661 (there with a frequency factor, which belongs to the layer before).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return torch.sin(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _SineSlopes()


class Sigmoid(nn.Module):
    """1 / (1 + e^-x), elementwise on any shape, in the dtype of the input.

    Replaces `torch.nn.Sigmoid`, whose second derivative cancels at 0: wrong by the dtype's epsilon.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return sigmoid(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _SigmoidSlopes()


class SiLU(nn.Module):
    """x / (1 + e^-x), elementwise on any shape, in the dtype of the input.

    S. Elfwing, E. Uchibe, K. Doya, arXiv 1702.03118. Replaces `torch.nn.SiLU`, whose third
    derivative cancels at 0: wrong by the dtype's epsilon, where it is -x/2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return silu(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _SiLUSlopes()


class Softplus(nn.Module):
    """log(1 + e^x), elementwise on any shape, in the dtype of the input.

    Replaces `torch.nn.Softplus`, which is linear beyond 20, where its second derivative should be
    2e-9 and is 0, and whose third derivative cancels at 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return softplus(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _SoftplusSlopes()


class ShiftedSoftplus(nn.Module):
    """log((1 + e^x)/2) = softplus(x) - log 2, elementwise on any shape, in the input's dtype.

    The activation of SchNet: K. Schütt et al., arXiv 1706.08566. The difference itself cancels at
    0, so the value comes from `special.shifted_softplus`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return shifted_softplus(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _ShiftedSoftplusSlopes()
