"""What a record says of how its network started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.store.record import Record


class SignalAtStart(NamedTuple):
    """How the signal was spread over the rows of the training data before the first step.

    Attributes:
        share: Of the energy in the 1 % of the rows that had most of it.
        median: |output| of the median row.
        largest: The largest |output|.
        layer: Where the share is that of, in words.
    """

    share: float | None
    median: float | None
    largest: float | None
    layer: str


def signal_at_start(record: Record) -> SignalAtStart | None:
    """See `bench.training.concentration`; ``None`` of a record from before it was measured."""
    start = record.diagnostics.get("start")
    found = start.get("concentration") if isinstance(start, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    layer = str(found.get("layer"))
    return SignalAtStart(
        _number(found.get("energy_in_1_percent")),
        _number(found.get("output_median")),
        _number(found.get("output_largest")),
        "the output" if layer == "output" else layer,
    )


def pre_activations(record: Record) -> list[Mapping[str, Any]]:
    """What `bench.techniques.featurewise` gave each activation: its name, ``mean``, ``std``."""
    found = _initialization(record).get("pre_activations")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def measured_slope(record: Record) -> float | None:
    """Slope of the correlation map that the network had on its own data, where it was measured."""
    return _number(_initialization(record).get("slope"))


def _initialization(record: Record) -> Mapping[str, Any]:
    found = record.task.get("initialization")
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
