"""The offset axis: what is taken from the labels before the network learns them.

An offset maps the statistics of a group of labels to a number that is subtracted, and that every
prediction gets back. Energies have a reference a chemical element in its place, see
`suites.molecular.labels`. Each training protocol has its own default.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput

if TYPE_CHECKING:
    from bench.techniques.rescaling import LabelStatistics

#: The default where a model or protocol says nothing.
NO_OFFSET = "no-offset"


def mean_label(labels: LabelStatistics) -> float:
    """``offset``: the mean label is removed."""
    return labels.mean


def nothing(labels: LabelStatistics) -> float:
    """``no-offset``: the network predicts the labels as they are."""
    del labels
    return 0.0


OFFSETS = Registry(
    "offset",
    {
        "offset": Choice(
            "bench.techniques.offset:mean_label",
            "mean label removed; of energies a reference for each element",
        ),
        NO_OFFSET: Choice("bench.techniques.offset:nothing", "labels as they are"),
    },
)


def make_offset(token: str, labels: LabelStatistics) -> float:
    """What an offset removes from one group of labels, in the labels' unit.

    Raises:
        BadInput: The token is unknown, or what it names returns no finite number.
    """
    removed = OFFSETS.get(token)(labels)
    if not (isinstance(removed, Real) and math.isfinite(removed)):
        raise BadInput(f"offset {token!r} returned {removed!r}, not a finite number")
    return float(removed)
