"""The rescaling axis: a change of the labels' unit.

A rescaling maps the statistics of a group of labels to a `Scale`. The network predicts
``(label − offset) / factor`` and is trained in that unit; everything that is reported is back in
the label's own unit. Source: K. Lo and D. Huang, arXiv 2310.01649, section on label rescaling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput
from bench.text.numbers import parse_real

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LabelStatistics:
    """What is known of the labels of one group (one output) before training.

    Attributes:
        mean: Mean label.
        std: Standard deviation.
        rms: Root mean square.
        count: Number of labels.
        unit: The labels' unit.
    """

    mean: float
    std: float
    rms: float
    count: int
    unit: str

    @classmethod
    def of(cls, labels: np.ndarray, unit: str) -> LabelStatistics:
        """The statistics of labels of any shape; all 0 where there are none."""
        if not labels.size:
            return cls(0.0, 0.0, 0.0, 0, unit)
        rms = math.sqrt(float((labels**2).mean()))
        return cls(float(labels.mean()), float(labels.std()), rms, labels.size, unit)


@dataclass(frozen=True)
class Scale:
    """The network predicts ``(label − offset) / factor``."""

    factor: float = 1.0
    offset: float = 0.0


Rescaling = Callable[[LabelStatistics], Scale]


def constant(value: str | None) -> Rescaling:
    """``rescale=C``: divide by C; ``rescale=auto``: by the labels' root mean square.

    A group whose labels are all 0 keeps its unit under ``auto``.

    Args:
        value: The text after ``=``; a suite replaces the bare token by its own default.

    Raises:
        BadInput: C is no positive finite number.
    """
    if value == "auto":
        return lambda labels: Scale(factor=labels.rms if labels.rms > 0 else 1.0)
    factor = parse_factor(value)
    return lambda labels: Scale(factor=factor)


def parse_factor(value: str | None) -> float:
    """The positive, finite number C of ``rescale=C``."""
    try:
        factor = parse_real(value or "")
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise BadInput(f"rescale takes a positive number or 'auto', got {value!r}")
    return factor


def offset(labels: LabelStatistics) -> Scale:
    """``offset``: the mean label is removed, the unit kept."""
    return Scale(offset=labels.mean)


def standardize(labels: LabelStatistics) -> Scale:
    """``standardize``: the mean label is removed and the rest divided by its deviation."""
    return Scale(factor=labels.std if labels.std > 0 else 1.0, offset=labels.mean)


RESCALINGS = Registry(
    "rescaling",
    {
        "rescale": Choice(
            "bench.techniques.rescaling:constant",
            "labels divided by C: rescale=C, rescale=auto, or the suite's default",
            takes_value=True,
        ),
        "offset": Choice("bench.techniques.rescaling:offset", "mean label removed"),
        "standardize": Choice(
            "bench.techniques.rescaling:standardize", "mean removed, divided by the deviation"
        ),
    },
)


def make_scale(token: str, labels: LabelStatistics) -> Scale:
    """The scale that a rescaling gives to one group of labels.

    Raises:
        BadInput: The token is unknown, or what it names returns no usable `Scale`.
    """
    scale = RESCALINGS.get(token)(labels)
    usable = (
        isinstance(scale, Scale)
        and isinstance(scale.factor, Real)
        and isinstance(scale.offset, Real)
        and math.isfinite(scale.factor)
        and scale.factor > 0
        and math.isfinite(scale.offset)
    )
    if not usable:
        raise BadInput(f"rescaling {token!r} returned {scale!r}, not a Scale with a factor > 0")
    return scale
