"""Published figures, beside which a report shows its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from bench.spec.spec import Spec


class Figure(NamedTuple):
    """One published number.

    Attributes:
        metric: Name of the metric here.
        value: What was published.
        unit: Its unit.
        data: What it was published for.
    """

    metric: str
    value: float
    unit: str
    data: str


@runtime_checkable
class Published(Protocol):
    """What a `bench.task.Suite` also has that knows published figures."""

    #: Where they are from, as a sentence.
    published_source: str

    def published(self, spec: Spec) -> Sequence[Figure]:
        """The figures for a run's problem, model and techniques; none if there are none."""
