"""When all of a long call will end, of which this is a part."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.store.record import FINAL, Record

_DAY_S = 86_400.0


class Forecast:
    """When the runs of this call, and those that its caller has planned after them, will end.

    What is left is expected to take as much more or less than planned as the runs that have ended.

    Args:
        expected_s: How long each run is expected to last, by hash.
        jobs: How many runs train side by side.
        later_s: How long what comes after them is expected to take.
        until: When the caller's time is over, by `time.time`; ``None``: never.
    """

    def __init__(
        self,
        expected_s: Mapping[str, float],
        jobs: int,
        later_s: float = 0.0,
        until: float | None = None,
    ) -> None:
        self._left_s = dict(expected_s)
        self._expected_s = expected_s
        self._jobs = jobs
        self._later_s = later_s
        self._until = until
        self._planned_s = self._taken_s = 0.0

    def progress(self, run: str, share: float) -> None:
        """A run has done a share of its steps."""
        if run in self._left_s:
            self._left_s[run] = self._expected_s[run] * (1 - share)

    def ended(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found, which says nothing of the pace.

        Nor does a run that diverged before its last step: it may have taken any time.
        """
        run, timing = record.spec_hash, record.timing
        if self._left_s.pop(run, None) is None or reused or record.status not in FINAL:
            return
        if record.steps_done == record.spec.training.total_steps:
            seconds = timing.build_s + timing.train_s + timing.evaluate_s
            self._taken_s += seconds / record.seeds_together
            self._planned_s += self._expected_s[run]

    def remaining_s(self) -> float:
        """Seconds until all has ended."""
        left = self._left_s.values()
        here = max(sum(left) / self._jobs, *left) if left else 0.0
        pace = self._taken_s / self._planned_s if self._planned_s else 1.0
        return (here + self._later_s) * pace

    def text(self) -> str:
        """``all ends about 03:12``, with the day if that is more than a day from now."""
        now = time.time()
        end = now + self.remaining_s()
        if self._until is not None:
            end = min(end, self._until)
        form = "%H:%M" if end - now < _DAY_S else "%a %H:%M"
        return f"all ends about {time.strftime(form, time.localtime(end))}"
