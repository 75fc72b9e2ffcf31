"""Progress on stderr: bars with an overall estimate on a terminal, plain lines otherwise."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bench.execution.forecast import Forecast
from bench.execution.titles import titles
from bench.spec.spec import Spec
from bench.store.record import Record


def make_reporter(
    specs: Sequence[Spec], wanted: bool = True, forecast: Forecast | None = None
) -> ProgressReporter:
    """The reporter that suits where the command or the call was given.

    Args:
        specs: What is going to be run or found.
        wanted: Whether progress is to be shown at all; what must be known still is.
        forecast: Says when all will end, if that is known.
    """
    if not wanted:
        return QuietReporter(specs)
    if _in_notebook():
        return NotebookReporter(specs, forecast)
    suitable = TerminalReporter if sys.stderr.isatty() else ProgressReporter
    return suitable(specs, forecast)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class ProgressReporter:
    """Implements `bench.execution.reporter.Reporter` as a line for each run. A context manager.

    Runs that are found make one line together.

    Args:
        specs: What is going to be run or found.
        forecast: Says when all will end, if that is known.
    """

    def __init__(self, specs: Sequence[Spec], forecast: Forecast | None = None) -> None:
        self._forecast = forecast
        unique = {spec.hash: spec for spec in specs}
        self._steps = {key: spec.training.total_steps for key, spec in unique.items()}
        self._titles = titles(unique.values())
        self._count = 0
        self._found = 0
        self._held: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._say_found()

    def anew(self, spec: Spec, why: str) -> None:
        """A run begins at the first step although it has a checkpoint."""
        self.say(f"{self._title(spec)}: {why}")

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""
        if self._forecast is not None:
            self._forecast.progress(spec.hash, step / total)

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""
        if self._forecast is not None:
            self._forecast.ended(record, reused)
        if reused:
            self._count += 1
            self._found += 1
            return
        self._say_found()
        self._count += 1
        self.say(
            f"[{self._count}/{len(self._steps)}] {self._title(record.spec)}: {_outcome(record)}"
            f" in {_seconds(record):.1f} s{self._end()}"
        )

    def held(self, specs: Sequence[Spec]) -> None:
        """Other processes are training these; said once of each."""
        new = [spec for spec in specs if spec.hash not in self._held]
        self._held.update(spec.hash for spec in new)
        for spec in new:
            self.say(f"{self._title(spec)}: another process is training it")

    def _title(self, spec: Spec) -> str:
        return self._titles.get(spec.hash, spec.title)

    def say(self, line: str) -> None:
        """Print a line."""
        with contextlib.suppress(OSError):  # runs go on when nobody reads this any more
            print(line, file=sys.stderr, flush=True)

    def _end(self) -> str:
        """When all will end, as the end of a line."""
        return "" if self._forecast is None else f", {self._forecast.text()}"

    def _say_found(self) -> None:
        if self._found:
            runs = "run" if self._found == 1 else "runs"
            count = f"[{self._count}/{len(self._steps)}]"
            self.say(f"{count} {self._found} {runs} found in the store{self._end()}")
            self._found = 0


class QuietReporter(ProgressReporter):
    """Says nothing of what is done."""

    def finished(self, record: Record, reused: bool) -> None:
        """Nothing to say."""


class TerminalReporter(ProgressReporter):
    """Bars for the runs and for all of them, with an estimate of what is left."""

    def __init__(self, specs: Sequence[Spec], forecast: Forecast | None = None) -> None:
        super().__init__(specs, forecast)
        self._console = Console(stderr=True)
        self._bars: dict[str, TaskID] = {}
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
            self._description(), total=sum(self._steps.values()), loss=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._progress.stop()

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""
        super().progress(spec, step, total, loss)
        key = spec.hash
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(self._title(spec), total=total, loss="")
        before = self._done(self._bars[key])
        self._progress.update(self._bars[key], completed=step, loss=f"loss {loss:.2e}")
        self._progress.update(self._overall, advance=step - before, description=self._description())

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""
        bar = self._bars.pop(record.spec_hash, None)
        done = 0.0
        if bar is not None:
            done = self._done(bar)
            self._progress.remove_task(bar)
        super().finished(record, reused)
        self._progress.update(
            self._overall,
            advance=self._steps[record.spec_hash] - done,
            description=self._description(),
        )

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        with contextlib.suppress(OSError):
            self._console.print(line, highlight=False, markup=False)

    def _description(self) -> str:
        return f"{len(self._steps)} runs{self._end()}"

    def _done(self, bar: TaskID) -> float:
        return self._progress.tasks[self._progress.task_ids.index(bar)].completed


class NotebookReporter(ProgressReporter):
    """One bar and one line below a notebook's cell, written over as runs go on.

    What a reader must know afterwards stays: how many runs there are, and which ones did not end as
    ``done``.
    """

    #: The least time between two updates while steps are done.
    _INTERVAL_S = 0.2

    def __init__(self, specs: Sequence[Spec], forecast: Forecast | None = None) -> None:
        super().__init__(specs, forecast)
        self._at: dict[str, int] = {}
        self._line = ""
        self._kept: list[str] = []
        self._reused = 0
        self._updated = 0.0
        self._display: Any = None

    def __enter__(self) -> Self:
        from IPython.display import display

        self._line = f"0 of {len(self._steps)} runs"
        self._display = display(self._content(), raw=True, display_id=True)
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        found = f", {self._reused} of them found in the store" if self._reused else ""
        self.say(f"{self._count} of {len(self._steps)} runs{found}")

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""
        super().progress(spec, step, total, loss)
        self._at[spec.hash] = step
        if time.monotonic() - self._updated >= self._INTERVAL_S:
            count = f"[{self._count}/{len(self._steps)}]"
            self.say(
                f"{count} {self._title(spec)}: step {step} of {total}, loss {loss:.2e}{self._end()}"
            )

    def finished(self, record: Record, reused: bool) -> None:
        """A run has ended, or its record was found."""
        self._at[record.spec_hash] = self._steps[record.spec_hash]
        self._reused += reused
        if record.status != "done":
            self._kept.append(f"{self._title(record.spec)}: {_outcome(record)}")
        super().finished(record, reused)

    def say(self, line: str) -> None:
        """Show a line instead of the last one."""
        self._line = line
        self._updated = time.monotonic()
        if self._display is not None:
            self._display.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        done, total = sum(self._at.values()), max(sum(self._steps.values()), 1)
        lines = [self._line, *self._kept]
        bar = f'<progress value="{done}" max="{total}"></progress>'
        shown = "<br>".join(html.escape(line) for line in lines)
        return {"text/plain": "\n".join(lines), "text/html": f"{bar} {shown}"}


def _outcome(record: Record) -> str:
    reason = f" ({record.reason})" if record.reason else ""
    return f"{record.status}{reason}"


def _seconds(record: Record) -> float:
    timing = record.timing
    return timing.build_s + timing.train_s + timing.evaluate_s
