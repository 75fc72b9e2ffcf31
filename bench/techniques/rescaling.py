"""The rescaling axis: a change of the labels' unit.

A rescaling maps the statistics of what the training protocol lets the network predict (the labels,
or the labels without their offset) to a factor C. The network predicts that divided by C, and the
loss counts errors in units of C; everything that is reported is in the label's own unit. So it is
an output transform with loss weights and nothing else. What is removed from the labels is another
axis, `bench.techniques.offset`. Source: K. Lo and D. Huang, arXiv 2310.01649, section on label
rescaling.

A change of units also reweights: the terms of a system against each other, and all of them against
Adam's eps. ``rescale-weights`` is the control: the loss weights of ``rescale``, and C = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from bench.techniques.label_rounding import decimal_rounding, float_rounding
from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput
from bench.text.numbers import parse_real

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of the labels of one group (one output), known before training.

    A deviation or a root mean square that is no larger than the labels' rounding is 0: nothing may
    be divided by noise.

    Attributes:
        mean: Mean label.
        std: Standard deviation.
        rms: Root mean square.
        count: Number of labels.
        unit: The labels' unit.
        rounding: What the labels are known to, in their unit (`bench.techniques.label_rounding`).
    """

    mean: float
    std: float
    rms: float
    count: int
    unit: str
    rounding: float = 0.0

    @classmethod
    def of(cls, labels: np.ndarray, unit: str, whole: np.ndarray | None = None) -> LabelStatistics:
        """The statistics of labels of any shape; all 0 where there are none.

        Args:
            labels: What is predicted, in `unit`.
            unit: The labels' unit.
            whole: The labels as they were known, where `labels` are what a reference left of them.
        """
        if not labels.size:
            return cls(0.0, 0.0, 0.0, 0, unit)
        rounding = float_rounding(labels if whole is None else whole)
        if whole is not None:
            rounding = max(rounding, decimal_rounding(whole))
        found = (labels.std(), math.sqrt(float((labels**2).mean())))
        std, rms = (_above(float(value), rounding) for value in found)
        return cls(float(labels.mean()), std, rms, labels.size, unit, rounding)

    def less(self, offset: float) -> LabelStatistics:
        """The statistics of the labels less a constant in their unit."""
        if offset == 0:
            return self
        mean = self.mean - offset
        rms = _above(math.hypot(self.std, mean), self.rounding)
        return replace(self, mean=mean, rms=rms)


def _above(value: float, rounding: float) -> float:
    """A deviation, or 0 where it is not above the labels' rounding."""
    return 0.0 if value <= rounding else value


@dataclass(frozen=True)
class Scale:
    """The network predicts ``(label − offset) / factor``.

    Attributes:
        factor: C.
        offset: In the labels' unit.
        loss_unit: The loss counts errors in this many of the labels' units; ``None``: in C.
    """

    factor: float = 1.0
    offset: float = 0.0
    loss_unit: float | None = None

    @property
    def unit(self) -> float:
        """The unit in which the loss counts errors."""
        return self.factor if self.loss_unit is None else self.loss_unit

    def describe(self) -> dict[str, float]:
        """JSON values for the record."""
        found = {"factor": self.factor, "offset": self.offset}
        return found if self.loss_unit is None else {**found, "loss_unit": self.loss_unit}


#: A user's own may return the factor alone.
Rescaling = Callable[[LabelStatistics], float | Scale]


def constant(value: str | None) -> Rescaling:
    """``rescale=C``: divide by C; ``rescale=auto``: by the root mean square of what is predicted.

    A group whose labels are all 0, or 0 but for rounding, keeps its unit under ``auto``.

    Args:
        value: The text after ``=``; a suite replaces the bare token by its own default.

    Raises:
        BadInput: C is no positive finite number.
    """
    factor = _factor("rescale", value)
    return lambda labels: Scale(factor=factor(labels))


def weights(value: str | None) -> Rescaling:
    """``rescale-weights=C``: the loss weights of ``rescale=C``; the network keeps the labels' unit.

    Args:
        value: As for `constant`.

    Raises:
        BadInput: C is no positive finite number.
    """
    factor = _factor("rescale-weights", value)
    return lambda labels: Scale(loss_unit=factor(labels))


def _factor(name: str, value: str | None) -> Callable[[LabelStatistics], float]:
    """C from the statistics of the labels."""
    if value == "auto":
        return lambda labels: labels.rms if labels.rms > 0 else 1.0
    try:
        number = parse_real(value or "")
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BadInput(f"{name} takes a positive number or 'auto', got {value!r}")
    return lambda labels: number


RESCALINGS = Registry(
    "rescaling",
    {
        "rescale": Choice(
            "bench.techniques.rescaling:constant",
            "unit C: rescale=C; rescale=auto: the RMS of what is predicted; bare: auto, and the"
            " published C under the potentials' protocol paper",
            takes_value=True,
        ),
        "rescale-weights": Choice(
            "bench.techniques.rescaling:weights",
            "the loss weights of rescale without its change of units: the control",
            takes_value=True,
        ),
    },
)


def make_scale(token: str, labels: LabelStatistics) -> Scale:
    """The scale that a rescaling gives to one group of labels, without an offset.

    Raises:
        BadInput: The token is unknown, or what it names returns no usable factor.
    """
    found = RESCALINGS.get(token)(labels)
    scale = found if isinstance(found, Scale) else Scale(factor=found)
    if scale.offset != 0:
        raise BadInput(
            f"rescaling {token!r} returned {found!r}, and a rescaling is a change of units: an"
            " offset is a choice on the axis 'offset' (offset, no-offset, or"
            " offset=package.module:attribute)"
        )
    if not (_usable(scale.factor) and _usable(scale.unit)):
        raise BadInput(f"rescaling {token!r} returned {found!r}, not a factor > 0")
    return replace(scale, factor=float(scale.factor))


def _usable(factor: Any) -> bool:
    return isinstance(factor, Real) and math.isfinite(factor) and float(factor) > 0
