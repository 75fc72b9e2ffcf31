"""Who is told of the progress of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.spec.spec import Spec
from bench.store.record import Record


class Reporter(Protocol):
    """Told of what happens to the runs."""

    def anew(self, spec: Spec, why: str) -> None:
        """A run begins at the first step although it has a checkpoint, for a reason."""

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""

    def held(self, specs: Sequence[Spec]) -> None:
        """Other processes are training these."""
