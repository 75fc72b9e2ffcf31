"""Is a derivative that of finite differences? Of steep, kinked and rounded functions alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Precision:
    """How finely derivatives are compared.

    Attributes:
        dtype: Of all numbers.
        steps: Of the differences. A steep function needs a small one, and one that rounds a large
            one: what agrees at any is right.
        relative: Difference that is none, as a fraction of the derivatives.
        of_values: The same as a fraction of large values of what they are the slopes of.
    """

    dtype: torch.dtype
    steps: tuple[float, ...]
    relative: float
    of_values: float


DOUBLE = Precision(torch.float64, (1e-3, 1e-4, 1e-2, 1e-5, 1e-6), 1e-4, 2e-5)
#: Of what works in no other.
SINGLE = Precision(torch.float32, (0.03, 0.1, 0.01, 0.003), 1e-2, 1e-4)


def compare(
    found: Tensor,
    at: Callable[[float], Tensor],
    precision: Precision,
    size: float,
    excused: int = 0,
) -> tuple[Tensor, Tensor]:
    """Compare derivatives with central differences of order four.

    Nothing is wrong at a kink, where those to the left and to the right are not the same at any
    step.

    Args:
        found: Derivatives.
        at: The functions at an offset from where the derivatives are taken, of the same shape.
        precision: How finely.
        size: Difference that is none.
        excused: So many may be wrong: no further step is then tried.

    Returns:
        Which are wrong; and the differences, of the step at which those of both sides agree best.
    """
    here = at(0.0)
    wrong = torch.ones_like(found, dtype=torch.bool)
    smooth = torch.zeros_like(wrong)
    expected, gap = torch.full_like(found, torch.nan), torch.full_like(found, torch.inf)
    for step in precision.steps:
        right, further_right, left, further_left = (at(k * step) for k in (1, 2, -1, -2))
        central = (8 * (right - left) - (further_right - further_left)) / (12 * step)
        to_right = (4 * right - 3 * here - further_right) / (2 * step)
        to_left = (3 * here - 4 * left + further_left) / (2 * step)
        apart = (to_right - to_left).abs()
        # Where a difference is not finite it says nothing; the derivative must be one.
        allowed = precision.relative * (central.abs() + found.abs()) + size
        wrong &= ~((found - central).abs() <= allowed) & central.isfinite()
        noise = torch.finfo(precision.dtype).eps * here.abs() / step
        smooth |= apart <= 1e-2 * (to_right.abs() + to_left.abs()) + 1e-6 + 100 * noise
        better = apart < gap
        expected, gap = torch.where(better, central, expected), torch.where(better, apart, gap)
        if int(wrong.sum()) <= excused:
            break
    return wrong & smooth, expected
