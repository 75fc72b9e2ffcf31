"""Which mean and deviation an activation's inputs should start with: one rule for all activations.

With h = m + s·z, z standard normal, for a pre-activation and φ for the activation:

* **m** is the smallest \\|m\\| with E[φ′(h)] ≥ min(1, 0.9 sup E[φ′]), the supremum over means: the
  activation passes gradients about as well as it can, and no better than the identity. It is 0 for
  tanh and sine, and 1 for the integrated ReLU.
* **s** makes the slope of the correlation map at correlation 1, through all hidden layers, equal to
  `TOTAL_SLOPE`. It is the smallest that does, from 0.005 to 3.6. Where none does, s is 1: of ReLU
  only m/s matters, which the first rule fixes, and a shallow network of smooth activations is
  nearly linear at any s. The record has the slope that there is.

The slope tells by how much the distance of two close inputs, in units of the spread of the data,
grows on the way through the network (B. Poole et al., arXiv 1606.05340). Of one layer it is, by
mean field, χ = s² E[φ′²] / Var[φ]. With the Hermite coefficients aₖ of φ(m + s·z) that is
Σ k·k!·aₖ² / Σ k!·aₖ² over k ≥ 1: the mean degree of the activation as a polynomial. So χ ≥ 1, with
equality for a linear layer, and the edge of chaos is where the network is linear.

A network of n layers with slope χⁿ has the depth scale ξ = 1/log χ, over which a difference grows
by e (S. Schoenholz et al., arXiv 1611.01232). ξ = n is the choice here, so χⁿ = e: a shorter depth
scale loses the neighbourhood of inputs before the output, and a far longer one leaves the network
all but linear, with features that are all alike. That names one number for every activation, depth
and width, and no score was looked at for it.

Mean field holds for wide layers and normal pre-activations. A network on a few inputs has neither:
its pre-activations are distributed as its few inputs are, and at width 40 the slope of a layer is
off. So the slope is measured, on networks of the very depth, width and number of inputs that are
asked for, by pairs of close inputs. Their weights and their inputs are drawn from fixed streams:
(m, s) belongs to the activation and the shape, and not to a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bench.text.errors import BadInput

#: Slope of the correlation map through all hidden layers: the depth scale is the depth.
TOTAL_SLOPE = math.e

_NODES = 100
#: Means that are looked at on either side of 0, and how far: this, and so many deviations.
_MEANS, _FAR, _FAR_STDS = 160, 8.0, 4.0
#: Share of the largest E[φ′] that is asked for.
_ENOUGH = 0.9
#: Deviations that are looked at, each as many times the one before.
_DEVIATIONS = tuple(0.005 * 1.6**k for k in range(15))
_BISECTIONS = 9
#: Random networks that are measured; of wide ones fewer, which differ less from each other.
_MOST_DRAWS, _LEAST_DRAWS, _FEATURES = 32, 4, 1280
_ROWS = 128
#: How far a neighbour is, in distances of rows: enough for rounding, little enough for a slope.
_NEAR = 1e-4

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PreActivation:
    """The distribution that a layer's pre-activations start with.

    Attributes:
        mean: m.
        std: s.
        slope: Of the correlation map through all hidden layers, there.
    """

    mean: float
    std: float
    slope: float


class ActivationMoments:
    """Moments of an activation of a normal variable, by Gauss–Hermite quadrature.

    Args:
        function: The activation φ, elementwise; gets and returns float64.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        self._nodes = torch.from_numpy(nodes)
        self._weights = torch.from_numpy(weights / weights.sum())

    def mean_slope(self, mean: Tensor, std: float) -> Tensor:
        """E[φ′(m + s·z)] for each of some means.

        By Stein's lemma it is E[z·φ(m + s·z)]/s, which needs no derivative and exists for ReLU.
        """
        return (self._at(mean, std) * self._nodes) @ self._weights / std

    def slope(self, mean: float, std: float) -> float:
        """χ = s² E[φ′²] / Var[φ], the slope of the correlation map of one layer by mean field."""
        at = torch.tensor([mean], dtype=torch.float64)
        with torch.enable_grad():
            points = (at[:, None] + std * self._nodes).requires_grad_()
            (slopes,) = torch.autograd.grad(self._function(points).sum(), points)
        values = self._at(at, std)
        spread = ((values - values @ self._weights) ** 2) @ self._weights
        return float(std**2 * (slopes**2 @ self._weights) / spread)

    def _at(self, mean: Tensor, std: float) -> Tensor:
        """φ at the nodes, shape ``(means, nodes)``."""
        with torch.no_grad():
            return self._function(mean[:, None] + std * self._nodes)

    def mean(self, std: float) -> float:
        """m at a deviation; see the module. Of two means of equal size the positive one.

        Raises:
            BadInput: E[φ′] is nowhere positive.
        """
        spacing = (_FAR + _FAR_STDS * std) / _MEANS
        means = torch.arange(-_MEANS, _MEANS + 1, dtype=torch.float64) * spacing
        found = self.mean_slope(means, std)
        supremum = float(found.max())
        if not supremum > 0:
            raise BadInput(
                "featurewise: the activation rises nowhere on average, or is not finite, so no mean"
                " follows from it; give one, featurewise=MEAN,STD"
            )
        wanted = min(1.0, _ENOUGH * supremum)
        middle = len(found) // 2
        if found[middle] >= wanted:
            return 0.0
        sides = {1.0: found[middle:] >= wanted, -1.0: found[: middle + 1].flip(0) >= wanted}
        steps = {sign: int(side.int().argmax()) for sign, side in sides.items() if side.any()}
        first = min(steps.values())
        between = (first - 1) * spacing, first * spacing
        reached = [
            self._reach(sign, between, std, wanted) for sign in steps if steps[sign] == first
        ]
        return min(reached, key=abs)

    def _reach(self, sign: float, between: tuple[float, float], std: float, wanted: float) -> float:
        """Where between two means, 0 towards `sign`, E[φ′] reaches a value."""
        low, high = between
        for _ in range(40):
            middle = (low + high) / 2
            at = torch.tensor([sign * middle], dtype=torch.float64)
            enough = float(self.mean_slope(at, std)) >= wanted
            low, high = (low, middle) if enough else (middle, high)
        return sign * high


def by_mean_field(function: Function, depth: int, total: float = TOTAL_SLOPE) -> PreActivation:
    """m and s of infinitely wide layers.

    Args:
        function: The activation, elementwise, in float64.
        depth: Number of hidden layers.
        total: Slope through all of them.

    Raises:
        BadInput: The activation rises nowhere.
    """
    moments = ActivationMoments(function)
    return _solve(moments, lambda mean, std: moments.slope(mean, std) ** depth, total)


def by_measurement(
    function: Function, inputs: int, widths: Sequence[int], total: float = TOTAL_SLOPE
) -> PreActivation:
    """m and s of layers of these widths, by the slope that random networks of them have.

    Args:
        function: The activation, elementwise, in float64.
        inputs: Number of inputs, which are uniform on [−1, 1].
        widths: Features of each hidden layer.
        total: Slope through all of them.

    Raises:
        BadInput: The activation rises nowhere.
    """
    chains = _Chains(function, inputs, widths)
    return _solve(ActivationMoments(function), chains.slope, total)


def _solve(
    moments: ActivationMoments, slope: Callable[[float, float], float], total: float
) -> PreActivation:
    """The smallest s at which the slope is `total`, with its m; 1 where there is none."""

    def at(std: float) -> PreActivation:
        mean = moments.mean(std)
        return PreActivation(mean, std, slope(mean, std))

    found: list[PreActivation] = []
    for std in _DEVIATIONS:
        found.append(at(std))
        if found[-1].slope >= total:
            break
    if len(found) > 1 and found[-1].slope >= total:
        low, high = found[-2].std, found[-1].std
        for _ in range(_BISECTIONS):
            middle = at(math.sqrt(low * high))
            low, high = (low, middle.std) if middle.slope >= total else (middle.std, high)
        return at(math.sqrt(low * high))
    return at(1.0)


class _Chains:
    """Random fully connected networks that are initialised feature by feature, and their slope.

    Args:
        function: The activation.
        inputs: Number of inputs.
        widths: Features of each hidden layer.
    """

    def __init__(self, function: Function, inputs: int, widths: Sequence[int]) -> None:
        self._function = function
        generator = torch.Generator().manual_seed(0)
        draws = min(_MOST_DRAWS, max(_LEAST_DRAWS, _FEATURES // max(widths)))
        shape = (draws, _ROWS, inputs)
        rows = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
        # The direction of a neighbour is that between two other rows: what does not depend on the
        # row itself leaves no weight on those at the edge, where an activation may be flat.
        directions = rows.roll(1, dims=1) - rows.roll(2, dims=1)
        self._rows = torch.cat([rows, rows + _NEAR * directions], dim=1)
        sizes = [inputs, *widths]
        self._weights = [
            torch.randn((draws, i, o), generator=generator, dtype=torch.float64)
            for i, o in pairwise(sizes)
        ]

    def slope(self, mean: float, std: float) -> float:
        """The geometric mean over the networks of the slope through all hidden layers."""
        x, before = self._rows, None
        with torch.no_grad():
            for weight in self._weights:
                x = x @ weight
                spread, center = torch.std_mean(x[:, :_ROWS], dim=1, correction=0, keepdim=True)
                x = (x - center) * (std / spread) + mean
                before = self._closeness(x) if before is None else before
                x = self._function(x)
            assert before is not None
            return float((self._closeness(x) / before).log().mean().exp())

    @staticmethod
    def _closeness(x: Tensor) -> Tensor:
        return relative_distance(x[:, :_ROWS], x[:, _ROWS:])


def relative_distance(rows: Tensor, near: Tensor) -> Tensor:
    """Mean squared distance of rows and their neighbours over the variance of the rows.

    Args:
        rows: Features, ``(…, rows, features)``.
        near: Those of a neighbour of each row.
    """
    distance = (near - rows).square().sum(dim=-1).mean(dim=-1)
    return distance / rows.var(dim=-2, correction=0).sum(dim=-1)
