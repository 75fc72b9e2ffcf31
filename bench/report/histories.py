"""Learning curves of an arm over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.shortening import MOST_POINTS
from bench.store.record import Record


@dataclass(frozen=True)
class Curve:
    """A quantity along the training of several seeds.

    Attributes:
        steps: (points,) steps done.
        seconds: (points,) training seconds, the median over the seeds. For seeds that were trained
            together it is one seed's share.
        middle: (points,) median over the seeds; nan where it is infinite.
        low: (points,) smallest value of any seed.
        high: (points,) largest value of any seed; nan once a seed has diverged.
    """

    steps: np.ndarray
    seconds: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve(records: Sequence[Record], metric: str, most: int = MOST_POINTS) -> Curve | None:
    """A metric at the evaluations; ``None`` if there is none.

    Args:
        records: Records of one arm on one problem, one for each seed.
        metric: A metric in the records' history.
        most: Points at most.
    """
    rows: list[_Rows] = [
        (record.history["step"], _shares(record), record.history[metric])
        for record in records
        if _has_columns(record.history, "step", "seconds", metric)
    ]
    return _curve(rows, most)


def loss_curve(records: Sequence[Record], most: int = MOST_POINTS) -> Curve | None:
    """The loss that is minimised. Its times assume that all steps take equally long."""
    rows: list[_Rows] = []
    for record in records:
        if _has_columns(record.losses, "step", "loss"):
            steps = np.nan_to_num(np.array(record.losses["step"], dtype=float))
            each = record.timing.train_s / max(record.steps_done, 1) / record.seeds_together
            rows.append((steps, steps * each, record.losses["loss"]))
    return _curve(rows, most)


def _has_columns(rows: Mapping[str, Sequence[float | None]], *names: str) -> bool:
    """Whether there are columns of equal length; a record that others made may have anything."""
    lengths = {len(rows.get(name, ())) for name in names}
    return len(lengths) == 1 and 0 not in lengths


def _shares(record: Record) -> list[float | None]:
    """A seed's share of the seconds at each evaluation."""
    together = record.seeds_together
    return [None if s is None else s / together for s in record.history["seconds"]]


_Values = Sequence[float | None] | np.ndarray
_Rows = tuple[_Values, _Values, _Values]


def _curve(rows: Sequence[_Rows], most: int) -> Curve | None:
    if not rows:
        return None
    longest = max(len(steps) for steps, _, _ in rows)
    grid = next(_floats(steps) for steps, _, _ in rows if len(steps) == longest)
    # A seed that ended early has diverged: infinitely wrong from there.
    values = np.array([_padded(found, longest, math.inf) for _, _, found in rows])
    seconds = np.array([_padded(found, longest, math.nan) for _, found, _ in rows])
    kept = np.unique(np.linspace(0, longest - 1, min(longest, most)).round().astype(int))
    values, seconds, grid = values[:, kept], seconds[:, kept], grid[kept]
    return Curve(
        grid,
        np.nanmedian(seconds, axis=0),
        _finite(np.median(values, axis=0)),
        _finite(values.min(axis=0)),
        _finite(values.max(axis=0)),
    )


def _floats(values: _Values) -> np.ndarray:
    """Values as floats; a missing value becomes infinite."""
    found = np.array(values, dtype=float)
    return np.where(np.isnan(found), math.inf, found)


def _padded(values: _Values, length: int, filling: float) -> np.ndarray:
    return np.concatenate([_floats(values), np.full(length - len(values), filling)])


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
