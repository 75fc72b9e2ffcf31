"""Where and how runs are carried out: what changes no result."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from bench.store.record import Record
from bench.store.store import Store


@dataclass(frozen=True)
class RunPolicy:
    """Where and how runs are carried out.

    Attributes:
        store: Where records are found and written.
        device: Name of the device, resolved.
        jobs: How many units run side by side.
        rerun: Repeat finished runs.
        together: Train seeds as one model where the suite can.
        timeout_s: The time that a run may take at a time, with its building and its evaluations;
            seeds that are trained together have that of all of them. ``None``: any.
        halve: What runs out of memory is tried again in halves: the seeds of a model, then the
            frames of a batch where the task can.
        since: When the call began; what other processes have ended after it is not repeated.
    """

    store: Store
    device: str
    jobs: int = 1
    rerun: bool = False
    together: bool = False
    timeout_s: float | None = None
    halve: bool = False
    since: datetime.datetime | None = None

    def is_new(self, record: Record) -> bool:
        """Whether another process that does the same work has ended the run, if not well."""
        try:
            started = datetime.datetime.fromisoformat(record.started)
        except ValueError:  # the record may be of foreign making
            return False
        if self.since is None or started.tzinfo is None or record.status == "interrupted":
            return False
        return started >= self.since

    def limit_s(self, runs: int) -> float | None:
        """The time that so many runs have together."""
        return None if self.timeout_s is None else self.timeout_s * runs
