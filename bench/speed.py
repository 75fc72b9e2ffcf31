"""Speed against a stock library: both run in turn in the same process, and the ratio counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SpeedCase:
    """One comparison.

    Attributes:
        name: What is compared.
        ours: One training step of the suite.
        stock: The same step by the stock library.
        difference: Largest relative difference of the two's loss and gradients, in float64.
    """

    name: str
    ours: Callable[[], object]
    stock: Callable[[], object]
    difference: float


class Speed(msgspec.Struct, frozen=True):
    """Result of a comparison. Times in milliseconds, medians over the rounds.

    Attributes:
        name: What was compared.
        ours_ms: A step of the suite.
        stock_ms: A step of the stock library.
        ratio: Median over rounds of stock / ours.
        ratio_low: Lower quartile of that.
        ratio_high: Upper quartile.
        difference: Largest relative difference of loss and gradients, in float64.
        rounds: How many.
        steps: Steps of each in a round.
    """

    name: str
    ours_ms: float
    stock_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    rounds: int
    steps: int


def measure(case: SpeedCase, rounds: int, steps: int, device: torch.device) -> Speed:
    """Time a case.

    In a round each runs `steps` steps, ours first in even rounds, so that a slow phase of the
    machine meets both. A round of each beforehand is not counted.

    Args:
        case: What to compare.
        rounds: How many.
        steps: Steps of each in a round.
        device: Where both run; it is waited for before the clock is read.
    """
    times: dict[str, list[float]] = {"ours": [], "stock": []}
    sides = [("ours", case.ours), ("stock", case.stock)]
    for round_ in range(-1, rounds):
        for name, step in sides if round_ % 2 == 0 else reversed(sides):
            seconds = _time(step, steps, device)
            if round_ >= 0:
                times[name].append(seconds)
    ratios = [stock / ours for stock, ours in zip(times["stock"], times["ours"], strict=True)]
    low, high = np.quantile(ratios, [0.25, 0.75]).tolist()
    return Speed(
        name=case.name,
        ours_ms=1e3 * statistics.median(times["ours"]),
        stock_ms=1e3 * statistics.median(times["stock"]),
        ratio=statistics.median(ratios),
        ratio_low=low,
        ratio_high=high,
        difference=case.difference,
        rounds=rounds,
        steps=steps,
    )


def _time(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Seconds of one step."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return (time.perf_counter() - start) / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def relative_difference(ours: Sequence[torch.Tensor], stock: Sequence[torch.Tensor]) -> float:
    """Largest ‖ours − stock‖ / ‖stock‖ of corresponding tensors; NaN where one has NaN.

    A tensor whose norm is below a thousandth of the largest one's is compared with that: a bias
    before a batch norm has a gradient of rounding errors alone.
    """
    sizes = [float(theirs.norm()) for theirs in stock]
    floor = 1e-3 * max(sizes)
    found = []
    for mine, theirs, size in zip(ours, stock, sizes, strict=True):
        difference = float((mine - theirs).norm())
        found.append(difference / max(size, floor) if difference and floor else difference)
    return math.nan if any(map(math.isnan, found)) else max(found)
