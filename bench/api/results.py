"""Runs as Python sees them: data frames, comparisons, trained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.frames import comparison_frame, curve_frame, run_frame
from bench.arm import BASELINE, Arm
from bench.execution.find_or_run import trained
from bench.files.untrusted import shortened
from bench.plugins import load_suite
from bench.report.document import write_html
from bench.report.results import Results as PlanResults
from bench.store.gc_pause import uncollected
from bench.store.record import Record, decode_result
from bench.store.store import Store, out_option
from bench.studies.whole_store import plan_of
from bench.task import Loadable
from bench.text.errors import BadInput, unknown

if TYPE_CHECKING:
    import pandas as pd


class Results:
    """Runs, in order.

    Args:
        store: Where they are.
        records: Their records; ``None``: all of the store, read when they are first asked for.
    """

    def __init__(self, store: Store, records: Sequence[Record] | None = None) -> None:
        self._store = store
        self._given = records

    @cached_property
    def records(self) -> list[Record]:
        """What each run left behind; see the reference of the record."""
        if self._given is not None:
            return list(self._given)
        with uncollected():
            return sorted(self._store.records(decode_result), key=lambda record: record.started)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def frame(self) -> pd.DataFrame:
        """A row a run: what was run, how it ended, times, and every metric at its end.

        Returns:
            Typed columns; names are categories. A metric is NaN where it is not finite or was never
            reached. ``attrs["units"]`` has the unit of each metric, or one for each problem where
            these differ. The loss terms are in the labels' own units, whatever the rescaling.
        """
        return run_frame(self.records)

    def curves(self, *metrics: str) -> pd.DataFrame:
        """Metrics over the steps, in long form: run, …, step, seconds, metric, value.

        Args:
            metrics: Their names; all if none is given.

        Returns:
            A row for each evaluation of each metric; ``seconds`` are of training, without the
            evaluations.

        Raises:
            BadInput: No run has a metric of that name.
        """
        records = [self._whole(record) for record in self.records]
        there = {name for record in records for name in record.history} - {"step", "seconds"}
        for name in metrics:
            if name not in there:
                raise unknown("metric", name, there)
        return curve_frame(records, metrics)

    def compare(self, reference: str = BASELINE, metric: str | None = None) -> pd.DataFrame:
        """Every other arm against one, by pairs of equal problem, model and seed.

        Only runs of one kind are compared: of those of a problem and model, the most that have the
        same training, settings, device and dtype.

        Args:
            reference: An arm that was run.
            metric: An error; each problem's main one if ``None``.

        Returns:
            A row for each arm: ratio of errors with its 95 % interval (NaN if there are too few
            seeds), pairs, and the verdict that a report gives.

        Raises:
            BadInput: There is no such arm or metric, or the runs are of several suites or budgets.
        """
        results = self._planned()
        name = str(Arm.parse(reference)) if reference not in results.variants else reference
        if name not in results.variants:
            raise unknown("arm among the runs:", reference, results.variants)
        if metric is not None and metric not in results.metrics:
            raise unknown("metric", metric, results.metrics)
        others = [arm for arm in results.variants if arm != name]
        found = [results.compare(arm, name, metric) for arm in others]
        return comparison_frame(found, [results] * len(found))

    def report(self, path: Path | str) -> Path:
        """Write a page on these runs, one file that needs nothing else.

        Raises:
            BadInput: The runs are of several suites or budgets, or the file cannot be written.
        """
        try:
            return write_html(self._planned(), self._store, Path(path))
        except OSError as error:
            raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error

    def run(self, name: str) -> Run:
        """One run, by the first digits of its name.

        Raises:
            BadInput: No run or several do.
        """
        return Run(self._store, self._store.find(name))

    def runs(self) -> list[Run]:
        """Each run by itself."""
        return [Run(self._store, record) for record in self.records]

    def _whole(self, record: Record) -> Record:
        """With its history, which is not read with all runs of a store."""
        if record.history or self._given is not None:
            return record
        return self._store.read(record.spec_hash) or record

    def _planned(self) -> PlanResults:
        """These runs as if they had been planned."""
        if not self.records:
            raise BadInput(f"no runs in {str(self._store.root)!r}")
        for kind in ("suite", "budget"):
            several = sorted({getattr(record, kind) for record in self.records})
            if len(several) > 1:
                raise BadInput(f"the runs are of several {kind}s: {', '.join(several)}")
        plan = plan_of(self.records[0].suite, self.records, out_option(self._store.root))
        return PlanResults.read(plan, self._store)

    def _repr_html_(self) -> str:
        html: str = self.frame()._repr_html_()
        return html

    def __repr__(self) -> str:
        return f"<{len(self)} runs in {self._store.root}>"


class Run:
    """One run.

    Args:
        store: Where it is.
        record: What it left behind.
    """

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self.record = record

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Every metric at its end; ``None`` where it is not finite."""
        return {name: metric.final for name, metric in self.record.metrics.items()}

    def curves(self, *metrics: str) -> pd.DataFrame:
        """See `Results.curves`."""
        return Results(self._store, [self.record]).curves(*metrics)

    def network(self, device: str = "cpu") -> TrainedNetwork:
        """The trained network, ready to be called.

        Args:
            device: Where it computes.

        Returns:
            Of a PINN: called with points of shape ``(n, inputs)``, it gives the solution there,
            ``(n, outputs)``, in the problem's units. Of a potential: called with `ase.Atoms`, it
            gives the energy in eV and the forces in eV/Å. ``module`` is the torch module.

        Raises:
            BadInput: The run is not ``done``, its weights are not there, a user's own code that it
                was trained with has changed, or its suite has no such thing.
        """
        from bench.execution.options import device_name

        record = self.record
        suite = load_suite(record.suite)
        if not isinstance(suite, Loadable):
            raise BadInput(f"suite {record.suite!r} gives no networks")
        if record.status != "done":
            raise BadInput(f"run {record.spec_hash} is {record.status}: it has no trained network")
        name = device_name(device)

        import torch

        from bench.spec.randomness import global_streams
        from bench.spec.user_code import check_sources
        from bench.store.weights import load_weights
        from bench.training.device import deterministic

        check_sources(record.spec.sources)
        (run,) = trained([record], self._store)
        if run.weights is None:
            raise BadInput(f"run {record.spec_hash} has no weights: rerun=True")
        try:
            weights = load_weights(run.weights)
        except (OSError, ValueError) as error:
            raise BadInput(f"{run.weights} is unreadable ({shortened(error)})") from error
        where = torch.device(name)
        with deterministic(where), global_streams(record.spec.seed, where):
            return suite.network(run, weights, where)

    def __repr__(self) -> str:
        return f"<run {self.record.spec_hash}: {self.record.spec.title}, {self.record.status}>"


#: What a suite makes of a trained network.
TrainedNetwork = Callable[..., Any]
