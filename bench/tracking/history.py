"""Thresholds of times from what each of them did in the past, on this machine.

A fixed threshold has to be above the noise of the noisiest case. The past of a case says how noisy
it is itself: rustc-perf calls a change significant where it is beyond the third quartile of the
relative changes between earlier neighbours by three interquartile ranges
(https://github.com/rust-lang/rustc-perf). Neighbours are
compared, and not all values with one, so that a wanted change counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.tracking.results import Value, is_number

#: Fewer values say nothing about quartiles.
LEAST_VALUES = 8
#: Not less, however quiet the past: measured in turn, the same code differs by up to 0.21.
FLOOR = 0.25
#: Interquartile ranges above the third quartile.
_RANGES = 3.0
#: The newest values that count, at most.
_MOST_VALUES = 50


def own_thresholds(commits: Iterable[Mapping[str, Value]]) -> dict[str, float]:
    """The thresholds of the times that have a past of `LEAST_VALUES` values.

    Args:
        commits: Values of good commits by name, oldest first, all measured on one machine.

    Returns:
        By the name of the value: the largest relative increase that is allowed, at least `FLOOR`.
    """
    past: dict[str, list[Value]] = {}
    for values in commits:
        for name, value in values.items():
            if value.kind == "time" and is_number(value):
                past.setdefault(name, []).append(value)
    comparable = {name: _of_last_version(found) for name, found in past.items()}
    return {
        name: max(FLOOR, _fence(numbers[-_MOST_VALUES:]))
        for name, numbers in comparable.items()
        if len(numbers) >= LEAST_VALUES
    }


def _of_last_version(values: Sequence[Value]) -> list[float]:
    """The numbers that the newest version of the benchmark measured."""
    version = values[-1].version
    return [v.value for v in values if v.version == version and v.value is not None and v.value > 0]


def _fence(numbers: Sequence[float]) -> float:
    """The third quartile of the relative changes between neighbours, and three ranges."""
    steps = np.abs(np.diff(np.log(numbers)))
    first, third = np.quantile(steps, [0.25, 0.75])
    return float(np.expm1(third + _RANGES * (third - first)))
