"""Where and how runs are carried out: everything that changes no result."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.spec.spec import Spec
from bench.store.record import Record
from bench.store.store import Store

#: What has stopped a call before its runs had ended: Ctrl-C or another signal, or its time.
Stopped = Literal["signal", "time"]


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
        until: When the call's time is over, by `time.time`: no run is begun any more, and what is
            in training is stopped as by an interruption, for the next call to continue.
        expected_s: How long runs are expected to last, by hash. One that cannot end by `until` is
            not begun; one that is not named is.
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
    until: float | None = None
    expected_s: Mapping[str, float] = field(default_factory=dict)
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

    @property
    def over(self) -> bool:
        """Whether the call's time is over."""
        return self.until is not None and time.time() >= self.until

    def in_time(self, unit: Sequence[Spec]) -> bool:
        """Whether runs that are trained as one can end by `until`, if they are begun now."""
        if self.until is None:
            return True
        return time.time() + sum(self.expected_s.get(s.hash, 0.0) for s in unit) < self.until
