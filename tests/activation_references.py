"""Exact values of the activations and their derivatives, by mpmath, and errors against them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import mpmath
import torch

mp = mpmath.mp.clone()
mp.dps = 110

Real = mpmath.mpf
#: Value and three derivatives at a point.
Derivatives = Callable[[Real], tuple[Real, Real, Real, Real]]

#: By the precision: what an error is allowed of max(|exact|, x², 1e-3).
TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-14}


def _sigmoid(x: Real) -> tuple[Real, Real, Real, Real]:
    s = 1 / (1 + mp.exp(-x))
    first = s * (1 - s)
    return s, first, first * (1 - 2 * s), first * (1 - 6 * first)


def _silu(x: Real) -> tuple[Real, Real, Real, Real]:
    s, first, second, third = _sigmoid(x)
    return x * s, s + x * first, 2 * first + x * second, 3 * second + x * third


def _softplus(x: Real) -> tuple[Real, Real, Real, Real]:
    return (mp.log1p(mp.exp(-abs(x))) + max(x, mp.zero), *_sigmoid(x)[:3])


def _shifted_softplus(x: Real) -> tuple[Real, Real, Real, Real]:
    value, *slopes = _softplus(x)
    return (value - mp.log(2), *slopes)


def _softplus_integral(x: Real) -> Real:
    if x > 0:
        return x**2 / 2 + mp.pi**2 / 6 - _softplus_integral(-x)
    return -mp.re(mp.polylog(2, -mp.exp(x)))


def _tanh(x: Real) -> tuple[Real, Real, Real, Real]:
    y = mp.tanh(x)
    first = 1 - y**2
    return y, first, -2 * y * first, first * (6 * y**2 - 2)


def _gelu(x: Real) -> tuple[Real, Real, Real, Real]:
    density, below = mp.npdf(x), mp.ncdf(x)
    return x * below, below + x * density, density * (2 - x**2), x * density * (x**2 - 4)


def _elu(x: Real) -> tuple[Real, Real, Real, Real]:
    if x > 0:
        return x, mp.one, mp.zero, mp.zero
    return mp.expm1(x), mp.exp(x), mp.exp(x), mp.exp(x)


def _relu(x: Real) -> tuple[Real, Real, Real, Real]:
    return max(x, mp.zero), mp.mpf(x > 0), mp.zero, mp.zero


def _integral(value: Callable[[Real], Real], of: Derivatives) -> Derivatives:
    return lambda x: (value(x), *of(x)[:3])


def _log_cosh(x: Real) -> Real:
    return abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2)


def _gelu_integral(x: Real) -> Real:
    return ((x**2 - 1) * mp.ncdf(x) + x * mp.npdf(x)) / 2


#: By the token of the registry.
EXACT: dict[str, Derivatives] = {
    "irelu": _integral(lambda x: max(x, mp.zero) ** 2 / 2, _relu),
    "ielu": _integral(lambda x: x**2 / 2 if x > 0 else mp.expm1(x) - x, _elu),
    "igelu": _integral(_gelu_integral, _gelu),
    "isilu": _integral(lambda x: x * _softplus(x)[0] - _softplus_integral(x), _silu),
    "itanh": _integral(_log_cosh, _tanh),
    "isoftplus": _integral(_softplus_integral, _softplus),
    "tanh": _tanh,
    "sin": lambda x: (mp.sin(x), mp.cos(x), -mp.sin(x), -mp.cos(x)),
    "silu": _silu,
    "gelu": _gelu,
    "elu": _elu,
    "softplus": _softplus,
    "ssp": _shifted_softplus,
    "relu": _relu,
    "sigmoid": _sigmoid,
}


def _grid() -> list[float]:
    """Points of float32: near 0, around where formulas change, in both tails."""
    sizes = [10.0**k for k in range(-8, 5)] + [2e-39, 0.03, 0.3, 0.7, 3.3, 12.9, 17.0, 1e3 + 0.25]
    sizes += [0.4 * k for k in range(1, 61)]
    edges = [0.5, 0.625, 1.0, 4.0, 8.0, 20.0, 40.0, 44.0, 64.0, math.log(2) / 2, math.pi / 4]
    edges += [math.log(2) / 4, math.pi / 2, 87.0]
    at = torch.tensor([*sizes, *edges], dtype=torch.float32)
    of_edges = at[len(sizes) :]
    both = [torch.nextafter(of_edges, torch.tensor(end)) for end in (0.0, math.inf)]
    found = torch.cat([at, *both])
    values: list[float] = torch.cat([found, -found]).unique().tolist()
    return values


#: Both precisions share it; 0 itself is left out, where some derivatives do not exist.
GRID = _grid()


@functools.cache
def references(token: str) -> list[tuple[Real, Real, Real, Real]]:
    """Of every point of the grid."""
    return [EXACT[token](mp.mpf(x)) for x in GRID]


def worst_error(found: Sequence[Sequence[float]], token: str) -> float:
    """The largest error of values and derivatives over max(|exact|, x², 1e-3).

    Args:
        found: By order, the values at the grid.
        token: The activation.

    Returns:
        Infinity where a value is not finite.
    """
    worst = 0.0
    for order, values in enumerate(found):
        for x, got, exact in zip(GRID, values, references(token), strict=True):
            if not math.isfinite(got):
                return math.inf
            scale = max(abs(exact[order]), mp.mpf(x) ** 2, mp.mpf("1e-3"))
            worst = max(worst, float(abs(got - exact[order]) / scale))
    return worst


def worst_units(values: Sequence[float], token: str, dtype: torch.dtype) -> float:
    """The largest error of σ in units in the last place of the exact value, subnormal ones aside."""
    limits = torch.finfo(dtype)
    worst = 0.0
    for got, (exact, *_) in zip(values, references(token), strict=True):
        if abs(exact) > 2 * limits.tiny:
            unit = mp.mpf(2) ** mp.floor(mp.log(abs(exact), 2)) * limits.eps
            worst = max(worst, float(abs(got - exact) / unit))
    return worst
