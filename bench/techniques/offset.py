"""The offset axis: what is taken from the labels before the network learns them.

An offset maps the statistics of a group of labels to a number that is subtracted, and that every
prediction gets back. Energies have a reference a chemical element in its place, see
`suites.molecular.labels`. Each training protocol has its own default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real

from bench.techniques.registry import Choice, Registry
from bench.techniques.rescaling import LabelStatistics, Scale, make_scale
from bench.text.errors import BadInput

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


#: What records have on the rescaling axis from before this one existed.
_BEFORE = {"offset": "rescale=1", "standardize": "rescale=auto"}


def label_choices(axes: Mapping[str, str], default: str) -> tuple[str, str]:
    """The choices of offset and rescaling in a spec.

    Args:
        axes: `bench.spec.spec.Spec.axes`.
        default: The offset where the spec does not name one.
    """
    rescaling = axes["rescaling"]
    if rescaling in _BEFORE:
        return "offset", _BEFORE[rescaling]
    return axes.get("offset", default), rescaling


def make_offset(token: str, labels: LabelStatistics) -> float:
    """What an offset removes from one group of labels, in the labels' unit.

    Raises:
        BadInput: The token is unknown, or what it names returns no finite number.
    """
    removed = OFFSETS.get(token)(labels)
    if not (isinstance(removed, Real) and math.isfinite(removed)):
        raise BadInput(f"offset {token!r} returned {removed!r}, not a finite number")
    return float(removed)


def label_scale(offset: str, rescaling: str, labels: LabelStatistics) -> Scale:
    """The scale of one group of labels: the rescaling acts on what the offset leaves.

    Args:
        offset: Choice on the offset axis.
        rescaling: Choice on the rescaling axis.
        labels: Statistics of the labels.

    Raises:
        BadInput: A choice is unknown, or what it names returns no usable number.
    """
    removed = make_offset(offset, labels)
    return replace(make_scale(rescaling, labels.less(removed)), offset=removed)
