"""Progress on stderr: bars with an overall estimate on a terminal, plain lines otherwise."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bench.spec.spec import Spec
from bench.store.record import Record


class ProgressReporter:
    """Implements `bench.execution.reporter.Reporter`. A context manager.

    Args:
        specs: What is going to be run or found.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        unique = {spec.hash: spec for spec in specs}
        self._steps = {key: spec.training.total_steps for key, spec in unique.items()}
        self._count = 0
        self._held: set[str] = set()
        self._console = Console(stderr=True)
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[loss]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._overall = self._progress.add_task(
                f"{len(unique)} runs", total=sum(self._steps.values()), loss=""
            )

    def __enter__(self) -> ProgressReporter:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()

    def anew(self, spec: Spec, why: str) -> None:
        """A run begins at the first step although it has a checkpoint."""
        self._say(f"{spec.title}: {why}")

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""
        if self._progress is None:
            return
        key = spec.hash
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(spec.title, total=total, loss="")
        before = self._progress.tasks[self._progress.task_ids.index(self._bars[key])].completed
        self._progress.update(self._bars[key], completed=step, loss=f"loss {loss:.2e}")
        self._progress.advance(self._overall, step - before)

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""
        self._count += 1
        line = f"[{self._count}/{len(self._steps)}] {record.spec.title}: {_outcome(record)}"
        line += " (found in the store)" if reused else f" in {_seconds(record):.1f} s"
        if self._progress is not None:
            bar = self._bars.pop(record.spec_hash, None)
            done = 0.0
            if bar is not None:
                done = self._progress.tasks[self._progress.task_ids.index(bar)].completed
                self._progress.remove_task(bar)
            self._progress.advance(self._overall, self._steps[record.spec_hash] - done)
        self._say(line)

    def held(self, specs: Sequence[Spec]) -> None:
        """Other processes are training these; said once of each."""
        new = [spec for spec in specs if spec.hash not in self._held]
        self._held.update(spec.hash for spec in new)
        for spec in new:
            self._say(f"{spec.title}: another process is training it")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # runs go on when nobody reads this any more
            if self._progress is None:
                print(line, file=sys.stderr, flush=True)
            else:
                self._console.print(line, highlight=False, markup=False)


def _outcome(record: Record) -> str:
    reason = f" ({record.reason})" if record.reason else ""
    return f"{record.status}{reason}"


def _seconds(record: Record) -> float:
    timing = record.timing
    return timing.build_s + timing.train_s + timing.evaluate_s
