"""Integrated activations: with an activation σ, Iσ(x) = ∫σ.

K. Lo and D. Huang, On Training Derivative-Constrained Neural Networks, arXiv 2310.01649, integrate
the ReLU, so that the *derivative* of the network, which the loss constrains, is built of the
activation known to train well. The others here do the same to other activations.

The constant makes Iσ continuous, with Iσ(-∞) = 0 where that limit exists and Iσ(0) = 0 otherwise.
Every module maps a real floating tensor of any shape elementwise, to the same shape and dtype.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, gelu

from bench.techniques import special
from bench.techniques.antiderivative import differentiable
from bench.techniques.elementwise import silu, slopes_of_silu, slopes_of_softplus, softplus
from bench.techniques.slopes import Slopes, slopes_of_elu, slopes_of_gelu, slopes_of_tanh


def _irelu_value(x: Tensor) -> Tensor:
    return torch.relu(x).square_().mul_(0.5)


def _ielu_value(x: Tensor, alpha: float) -> Tensor:
    ramp = torch.relu(x)
    return special.expm1_integral(x).mul_(alpha).addcmul_(ramp, ramp, value=0.5)


_irelu = differentiable(_irelu_value, torch.relu)
_ielu = differentiable(_ielu_value, elu)
_igelu = differentiable(special.gelu_integral, gelu)
_isilu = differentiable(special.silu_integral, silu)
_itanh = differentiable(special.log_cosh, torch.tanh)
_isoftplus = differentiable(special.softplus_integral, softplus)


class _IReLUSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return torch.relu(x).square_().mul_(0.5)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        found: list[Tensor | None] = [torch.relu(x)]
        if order > 1:
            found.append((x > 0).to(x.dtype))
        return found + [None] * (order - len(found))


class _IELUSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def value(self, x: Tensor) -> Tensor:
        return _ielu_value(x, self._alpha)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return [elu(x, self._alpha), *slopes_of_elu(x, self._alpha, order - 1)]


class _IGELUSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return special.gelu_integral(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return [gelu(x), *slopes_of_gelu(x, order - 1)]


class _ISiLUSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return special.silu_integral(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return [nn.functional.silu(x), *slopes_of_silu(x, order - 1)]


class _ITanhSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return special.log_cosh(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        first = torch.tanh(x)
        return [first, *slopes_of_tanh(first, order - 1)]


class _ISoftplusSlopes:
    """Implements `bench.techniques.slopes.Slopes`."""

    def value(self, x: Tensor) -> Tensor:
        return special.softplus_integral(x)

    def slopes(self, x: Tensor, y: Tensor, order: int) -> list[Tensor | None]:
        return [special.softplus(x), *slopes_of_softplus(x, order - 1)]


class IReLU(nn.Module):
    """Integrated ReLU, max(0, x)²/2 (Lo and Huang, arXiv 2310.01649); its derivative is ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _irelu(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _IReLUSlopes()


class IntegratedELU(nn.Module):
    """Integrated ELU, x²/2 for x > 0 and α(eˣ − 1 − x) for x ≤ 0; its derivative is ELU.

    It is continuous at 0 (without the −1 it would jump there). It grows like −αx to the left, so
    the constant is set by the value 0 at 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _ielu(x, self.alpha)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _IELUSlopes(self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class IntegratedGELU(nn.Module):
    """Integrated GELU, ((x² − 1)Φ(x) + xφ(x))/2 with the normal distribution Φ and density φ.

    Its derivative is the exact (erf) GELU, xΦ(x); it tends to 0 at −∞.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _igelu(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _IGELUSlopes()


class IntegratedSiLU(nn.Module):
    """Integrated SiLU, x log(1 + eˣ) + Li₂(−eˣ) with the dilogarithm Li₂; its derivative is SiLU.

    It tends to 0 at −∞, like (x − 1)eˣ.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _isilu(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _ISiLUSlopes()


class IntegratedTanh(nn.Module):
    """Integrated tanh, log(cosh x); its derivative is tanh.

    It grows like |x| on both sides, so the constant is set by the value 0 at 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _itanh(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _ITanhSlopes()


class IntegratedSoftplus(nn.Module):
    """Integrated softplus, −Li₂(−eˣ) with the dilogarithm Li₂; its derivative is log(1 + eˣ).

    It tends to 0 at −∞, like eˣ.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor of any shape elementwise."""
        return _isoftplus(x)

    def closed_form(self) -> Slopes:
        """Value and derivatives without a graph."""
        return _ISoftplusSlopes()
