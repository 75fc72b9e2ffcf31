"""Elementwise operators as a compiler on a CPU computes them fastest, in single precision.

Inductor calls a library for tanh, and composes softplus of two; here both are written out of
products, which it fuses with their surroundings. Its e^x − 1 loses its digits at 0, on which ELU
and its integral depend; this one keeps them. Each is within two units in the last place of
torch's own operator. Double precision, and every other device, keep torch's operators.

The polynomials are those of ``suites/pinn/engine/native/elementary.h``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_aten = torch.ops.aten

# (e^r − 1 − r)/r² for |r| ≤ ½ ln 2.
_EXPM1 = (1.392625083e-3, 8.363232884e-3, 4.166655421e-2, 1.666657667e-1, 5.0e-1)
# (tanh x − x)/x³ in x² on [0, 0.391].
_TANH = (-6.094641315e-3, 2.099575389e-2, -5.385060911e-2, 1.333276776e-1, -3.333332892e-1)
# atanh(w)/w in w² on [0, 1/9].
_ATANH = (1.407888918e-1, 1.398257887e-1, 2.001229762e-1, 3.333316082e-1, 1.000000004)

#: Adding it to a number below 2²² leaves the nearest whole number in the last bits.
_SHIFT = 1.5 * 2.0**23
_BITS_OF_SHIFT = 0x4B400000
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.428606765330187e-06
_LOG2_E = 1.442695040888963407


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    first, *others = coefficients
    total = x * first + others[0]
    for coefficient in others[1:]:
        total = total * x + coefficient
    return total


def _reduced(x: Tensor) -> tuple[Tensor, Tensor]:
    """e^r − 1 and the bits of n plus `_BITS_OF_SHIFT`, with x = n ln 2 + r; x is clamped."""
    shifted = x * _LOG2_E + _SHIFT
    n = shifted - _SHIFT
    # n times the first part of ln 2 is exact.
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    return r + r * r * _polynomial(r, _EXPM1), shifted.view(torch.int32)


def _power(bits: Tensor, bias: int) -> Tensor:
    """2^(n + bias − 127), 0 where that is below the smallest normal number."""
    return ((bits - (_BITS_OF_SHIFT - bias)) << 23).view(torch.float32)


def _exponential(x: Tensor) -> Tensor:
    """e^x for x ≤ 0; 0 below the smallest normal number."""
    m, bits = _reduced(x.clamp(min=-88.0))
    scale = _power(bits, 127)
    return scale * m + scale


def _expm1(x: Tensor) -> Tensor:
    m, bits = _reduced(x.clamp(-80.0, 89.0))
    half = _power(bits, 126)  # 2^n itself overflows where e^x does not yet
    return (half * m + (half - 0.5)) * 2.0


def _tanh(x: Tensor) -> Tensor:
    t = _exponential(x.abs() * -2.0)
    far = torch.copysign(1.0 - (t + t) / (1.0 + t), x)
    square = x * x
    near = x + x * square * _polynomial(square, _TANH)
    return torch.where(square < 0.390625, near, far)


def _log1p_of_exponential(x: Tensor) -> Tensor:
    """log(1 + e^x) for x ≤ 0."""
    t = _exponential(x)
    w = t / (t + 2.0)
    return (w + w) * _polynomial(w * w, _ATANH)


def _softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    # Beyond 17, x + log(1 + e^−x) is x.
    if beta != 1 or threshold < 17:
        return NotImplemented
    return x.relu() + _log1p_of_exponential(-x.abs())


def _elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    if scale != 1 or input_scale != 1:
        return NotImplemented
    return torch.where(x > 0, x, alpha * _expm1(x.clamp(max=0.0)))


def _single_on_cpu(form: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The form for float32 on a CPU; torch's operator for everything else."""

    def decomposition(x: Tensor, *rest: Any, **named: Any) -> Tensor:
        if x.dtype != torch.float32 or x.device.type != "cpu":
            return NotImplemented
        return form(x, *rest, **named)

    return decomposition


#: For `make_fx`: the operators' forms.
CPU_FORMS: dict[torch._ops.OpOverload, Callable[..., Tensor]] = {
    operator: _single_on_cpu(form)
    for operator, form in (
        (_aten.tanh.default, _tanh),
        (_aten.expm1.default, _expm1),
        (_aten.softplus.default, _softplus),
        (_aten.elu.default, _elu),
    )
}
