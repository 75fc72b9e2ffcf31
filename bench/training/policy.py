"""Where and how runs are carried out: everything that changes no result."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from bench.store.record import Record
from bench.store.store import Store


@dataclass(frozen=True)
class RunPolicy:
    """Where and how runs are carried out.

    Attributes:
        store: The store of the records.
        device: Resolved name of the device.
        jobs: How many units run side by side.
        rerun: Repeat finished runs.
        together: Train seeds as one model where the suite can.
        timeout_s: The most seconds that a run may take in one go, with building and evaluations.
            Seeds that are trained together have the time of all of them. ``None``: no limit.
        halve: When memory runs out, try again with half: of the seeds of a model, then of the
            frames of a batch where the task can.
        embedded: This process is the caller's own, a notebook's for instance: it is not ended when
            a signal finds it in a long step.
        since: When the call began. Runs that other processes have ended since then are not
            repeated.
    """

    store: Store
    device: str
    jobs: int = 1
    rerun: bool = False
    together: bool = False
    timeout_s: float | None = None
    halve: bool = False
    embedded: bool = False
    since: datetime.datetime | None = None

    def is_new(self, record: Record) -> bool:
        """Whether another process has ended the run since this call began, well or not."""
        try:
            started = datetime.datetime.fromisoformat(record.started)
        except ValueError:  # the record may be of foreign making
            return False
        if self.since is None or started.tzinfo is None or record.status == "interrupted":
            return False
        return started >= self.since

    def limit_s(self, runs: int) -> float | None:
        """The most seconds that so many runs may take together."""
        return None if self.timeout_s is None else self.timeout_s * runs
