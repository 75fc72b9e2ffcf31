"""Runs as Python sees them: data frames, comparisons, trained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.difference import Difference
from bench.api.frames import comparison_frame, curve_frame, leaderboard_frame, run_frame
from bench.arm import BASELINE, Arm
from bench.execution.find_or_run import trained
from bench.files.untrusted import shortened
from bench.plugins import load_suite
from bench.ranking.apart import apart
from bench.report.difference.sides import Side, read_side, side_of_records, side_of_store
from bench.report.document import write_html
from bench.report.family import read_results
from bench.report.leaderboard.board import read_boards
from bench.report.results import Results as PlanResults
from bench.report.whole_store import plan_of
from bench.spec.versions import redefinitions
from bench.store.gc_pause import uncollected
from bench.store.record import Record, decode_result
from bench.store.store import Store, out_option
from bench.task import Loadable
from bench.text.errors import BadInput, unknown

if TYPE_CHECKING:
    import pandas as pd


class Results:
    """Runs, and what can be asked of them.

    `bench.run` gives the runs of the call in the order problem, model, arm, seed; `bench.load`
    gives all runs of a store in the order in which they were started. A loop over them yields their
    records.

    Args:
        store: The store that keeps the runs.
        records: Their records. ``None``: those of all runs of the store, read when they are first
            asked for.
    """

    def __init__(self, store: Store, records: Sequence[Record] | None = None) -> None:
        self._store = store
        self._given = records

    @cached_property
    def records(self) -> list[Record]:
        """The record of each run. `bench.load` reads them without losses and history."""
        if self._given is not None:
            return list(self._given)
        with uncollected():
            return sorted(self._store.records(decode_result), key=lambda record: record.started)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def frame(self) -> pd.DataFrame:
        """A row for each run: what was run, how it ended, times, and every metric at its end.

        Returns:
            Names are categories, numbers have their types. ``settings`` has the suite's own, among
            them the protocol, as JSON: runs that differ in them are not of one arm. A metric is
            NaN where it is not finite or was never reached. Metrics and loss terms are in the
            labels' own units, whatever the rescaling; ``attrs["units"]`` has the unit of each, or a
            dict of units by problem where they differ.
        """
        return run_frame(self.records)

    def curves(self, *metrics: str) -> pd.DataFrame:
        """Metrics over the steps, in long form.

        Args:
            metrics: Names of metrics; all metrics if none is named.

        Returns:
            A row for each evaluation of each metric, with what was run, ``step``, ``seconds``,
            ``metric`` and ``value``. Seconds count training without the evaluations.
            ``attrs["units"]`` has the unit of each metric.

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
        """Compare every other arm with one, by pairs of equal problem, model and seed.

        Only runs of one kind are compared: for each problem and model, the largest group of runs
        with equal training, settings, device and dtype. Of a user's own file that was edited, only
        runs of its newest state are compared.

        Args:
            reference: The arm that the others are compared with.
            metric: The error that is compared; ``None``: the main error of each problem.

        Returns:
            A row for each other arm. ``ratio`` is its error over the reference's, below 1 if it is
            better; ``low`` and ``high`` are the ends of the 95 % interval, NaN if there are too few
            seeds. ``verdict`` is what a report of these comparisons says: claims are made
            together, and none was declared.

        Raises:
            BadInput: No run has that arm or metric, or the runs belong to several suites or
                budgets.
        """
        results = self._planned()
        name = str(Arm.parse(reference)) if reference not in results.variants else reference
        if name not in results.variants:
            raise unknown("arm among the runs:", reference, results.variants)
        if metric is not None and metric not in results.metrics:
            raise unknown("metric", metric, results.metrics)
        others = [arm for arm in results.variants if arm != name]
        found = results.compare_all([(arm, name) for arm in others], metric)
        return comparison_frame(found, [results] * len(found))

    def difference(self, other: Results | Path | str) -> Difference:
        """What differs between these runs and those of another side; see `bench.difference`.

        Args:
            other: Side B: results, the folder of a store, or ``DIR:NAME``, a study or ranking in
                it. A name alone is one of this store.

        Raises:
            BadInput: There is no such side, or no run in common.
        """
        return Difference.between(self._side(), other_side(other, self._store))

    def _side(self) -> Side:
        if self._given is None:
            return side_of_store(self._store, str(self._store.root))
        return side_of_records(self._given, str(self._store.root))

    def leaderboard(self, suite: str | None = None, budget: str | None = None) -> pd.DataFrame:
        """Every arm of the store against the baseline, like runs with like.

        It is what ``python -m bench.suite leaderboard`` prints, of all runs of the store, whichever
        these results have.

        Args:
            suite: One suite; ``None``: all.
            budget: One budget; ``None``: all.

        Returns:
            A row for each arm under equal conditions: suite, budget, protocol, device and dtype.
            ``ratio`` is its error over the baseline's, NaN where one side diverges everywhere;
            ``low`` and ``high`` are the ends of the 95 % interval. ``tuned``: whether both are at
            the setting that a ranking chose for each. All arms of equal conditions are one family.
            ``attrs["left_out"]`` has, by conditions, how many runs were left out and why.

        Raises:
            BadInput: There are no such runs.
        """
        return leaderboard_frame(read_boards(self._store, suite, budget))

    def report(self, path: Path | str) -> Path:
        """Write a page about these runs: one file that needs nothing else.

        Args:
            path: The HTML file.

        Returns:
            The same path.

        Raises:
            BadInput: The runs belong to several suites or budgets, or the file cannot be written.
        """
        try:
            return write_html(self._planned(), self._store, Path(path))
        except OSError as error:
            raise BadInput(f"cannot write {str(path)!r}: {error.strerror}") from error

    def run(self, name: str) -> Run:
        """One run of the store.

        Args:
            name: The first digits of the run's name.

        Raises:
            BadInput: No run's name begins with these, or several do.
        """
        return Run(self._store, self._store.find(name))

    def runs(self) -> list[Run]:
        """Each run by itself, in order."""
        return [Run(self._store, record) for record in self.records]

    def _whole(self, record: Record) -> Record:
        """The record with its history, which is left out when all runs of a store are read."""
        if record.history or self._given is not None:
            return record
        return self._store.read(record.spec_hash) or record

    def _planned(self) -> PlanResults:
        """The results of a plan that has exactly these runs."""
        records = self.records
        if self._given is None:
            # Trials of rankings, and their runs of other lengths, are no results.
            aside = apart(self._store)
            records = [
                r for r in records if aside.why(r) is None and r.spec_hash not in aside.retuned
            ]
        if not records:
            raise BadInput(f"no runs in {str(self._store.root)!r}")
        for kind in ("suite", "budget"):
            several = sorted({getattr(record, kind) for record in records})
            if len(several) > 1:
                raise BadInput(f"the runs are of several {kind}s: {', '.join(several)}")
        plan = plan_of(records[0].suite, records, out_option(self._store.root))
        return read_results(plan, self._store)

    def _repr_html_(self) -> str:
        html: str = self.frame()._repr_html_()
        return html

    def __repr__(self) -> str:
        return f"<{len(self)} runs in {self._store.root}>"


class Run:
    """One run.

    Args:
        store: The store that keeps it.
        record: The record of the run.
    """

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self.record = record

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The final value of each metric by name; ``None`` where it is not finite."""
        return {name: metric.final for name, metric in self.record.metrics.items()}

    def curves(self, *metrics: str) -> pd.DataFrame:
        """The run's metrics over the steps; see `Results.curves`."""
        return Results(self._store, [self.record]).curves(*metrics)

    def network(self, device: str = "cpu") -> TrainedNetwork:
        """Rebuild the trained network.

        Args:
            device: Where it computes: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …

        Returns:
            A function. A PINN maps points of shape ``(n, inputs)``, space first and time last, to
            the solution there, of shape ``(n, outputs)`` and in the problem's units. A potential
            maps `ase.Atoms` to the energy in eV and the forces in eV/Å. ``module`` is the torch
            module.

        Raises:
            BadInput: The run is not ``done``, its weights are missing, your own code that it was
                trained with has changed, a definition that it uses was redefined, or its suite
                gives no networks.
        """
        from bench.execution.options import device_name

        record = self.record
        suite = load_suite(record.suite)
        if not isinstance(suite, Loadable):
            raise BadInput(f"suite {record.suite!r} gives no networks")
        if record.status != "done":
            raise BadInput(f"run {record.spec_hash} is {record.status}: it has no trained network")
        if redefined := redefinitions(record.spec, suite.versions(record.spec)):
            # Its weights are those of another network.
            commit = str(record.environment.get("commit"))[:8]
            raise BadInput(
                f"run {record.spec_hash}: {redefined[0]}: only commit {commit} can rebuild it"
            )
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


def other_side(other: Results | Path | str, out: Store) -> Side:
    """The side that an argument of a call stands for.

    Args:
        other: Results, or what `bench.report.difference.sides.read_side` takes.
        out: The store of names without a folder.

    Raises:
        BadInput: There is no such side.
    """
    return other._side() if isinstance(other, Results) else read_side(str(other), out)


#: What a suite makes of a trained network.
TrainedNetwork = Callable[..., Any]
