"""Speed against a stock library: all run in turn in the same process, and the ratio counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    import torch

    from bench.task import SpeedCase

#: Loss and gradients of a fast path are the stock library's to rounding.
TOLERANCE = 1e-10


class Speed(msgspec.Struct, frozen=True):
    """Result of a comparison. Times in milliseconds, medians over the rounds.

    Attributes:
        name: What was compared.
        path: How the suite made its step.
        ours_ms: A step of the suite.
        stock_ms: A step of the stock library.
        ratio: Median over rounds of stock / ours.
        ratio_low: Lower quartile of that.
        ratio_high: Upper quartile.
        difference: Largest relative difference of loss and gradients, in float64.
        floor_ms: The step's matrix products alone, where that is known.
        setup_s: Seconds until the first step (compiling), in no step's time.
        break_even_steps: After how many steps the set-up has paid for itself, against the
            suite's first way; ``None`` where there is none, or never.
        rounds: How many.
        steps: Steps of each in a round.
    """

    name: str
    path: str
    ours_ms: float
    stock_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    floor_ms: float | None
    setup_s: float
    break_even_steps: int | None
    rounds: int
    steps: int


def measure(case: SpeedCase, rounds: int, steps: int, device: torch.device) -> list[Speed]:
    """Time a case: a result for each contender.

    In a round each runs `steps` steps, in turn forward and backward, so that a slow phase of the
    machine meets all. A round of each beforehand is not counted.

    Args:
        case: What to compare.
        rounds: How many.
        steps: Steps of each in a round.
        device: Where all run; it is waited for before the clock is read.
    """
    sides = [*((c.step, c.runs) for c in case.contenders), (case.stock, 1)]
    times: list[list[float]] = [[] for _ in sides]
    for round_ in range(-1, rounds):
        order = range(len(sides)) if round_ % 2 == 0 else reversed(range(len(sides)))
        for k in order:
            step, runs = sides[k]
            seconds = _time(step, steps, device) / runs
            if round_ >= 0:
                times[k].append(seconds)
    *ours, stock = times
    found: list[Speed] = []
    for contender, own in zip(case.contenders, ours, strict=True):
        ratios = [theirs / mine for theirs, mine in zip(stock, own, strict=True)]
        low, high = np.quantile(ratios, [0.25, 0.75]).tolist()
        ours_ms = 1e3 * statistics.median(own)
        saved_ms = found[0].ours_ms - ours_ms if found else 0.0
        even = contender.setup_s and saved_ms > 0
        found.append(
            Speed(
                name=case.name,
                path=contender.path,
                ours_ms=ours_ms,
                stock_ms=1e3 * statistics.median(stock),
                ratio=statistics.median(ratios),
                ratio_low=low,
                ratio_high=high,
                difference=contender.difference,
                floor_ms=case.floor_ms,
                setup_s=contender.setup_s,
                break_even_steps=math.ceil(1e3 * contender.setup_s / saved_ms) if even else None,
                rounds=rounds,
                steps=steps,
            )
        )
    return found


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
