"""How much longer a step takes, and how much memory a run, than another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable

from bench.store.record import Record

#: Two runs to compare, the one asked about first.
Pair = tuple[Record, Record]


def step_ms(record: Record) -> float | None:
    """Median time of a step, a seed's share where several were trained together."""
    median = record.timing.step_ms_median
    return None if median is None else median / record.seeds_together


def memory_mb(record: Record) -> float | None:
    """Peak memory, of all seeds that were trained together."""
    return record.peak_memory_mb


def alike(pair: Pair) -> bool:
    """Whether the times of two runs compare: the same device, with as many runs beside each."""
    one, other = map(place, pair)
    return one == other


def place(record: Record) -> tuple[object, ...]:
    """What the times of a run depend on beside the run: the device, and how many ran beside it."""
    found = record.environment
    return found.get("gpu") or found.get("cpu"), found.get("jobs", 1), record.seeds_together


def ratio_of(pairs: Iterable[Pair], of: Callable[[Record], float | None]) -> float | None:
    """Geometric mean over pairs of a quantity's ratio; ``None`` where no pair has it."""
    logs = [
        math.log(one / other)
        for pair in pairs
        if (one := of(pair[0])) and (other := of(pair[1])) and min(one, other) > 0
    ]
    return math.exp(statistics.fmean(logs)) if logs else None
