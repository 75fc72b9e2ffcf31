"""`bench.study`: run what answers a question, and report the answer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.api.arguments import seed_arguments, sort_arguments
from bench.api.frames import comparison_frame, curve_frame, run_frame
from bench.execution.find_or_run import find_or_run, trained
from bench.execution.options import ExecutionOptions, device_name
from bench.plugins import load_suite
from bench.report.answer import lines
from bench.report.document import write_html
from bench.report.findings import limits
from bench.report.results import Results as PlanResults
from bench.store.record import decode
from bench.store.store import DEFAULT_OUT, Store
from bench.studies.catalogue import get_study
from bench.studies.definition import Part, Study, split_words
from bench.studies.options import SEEDS, StudyOptions
from bench.studies.plan import Plan, make_plan, parse_options, save
from bench.text.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


def study(
    name: Path | str,
    *,
    suite: str | None = None,
    problems: str | Sequence[str] = (),
    models: str | Sequence[str] = (),
    seeds: int | Sequence[int] = SEEDS,
    budget: str = "quick",
    store: Path | str = DEFAULT_OUT,
    device: str = "auto",
    dtype: str = "float32",
    jobs: int | str = "auto",
    timeout: float | None = None,
    halve_on_oom: bool = False,
    seeds_together: str = "auto",
    rerun: bool = False,
    progress: bool = True,
    **options: Any,
) -> StudyResults:
    """Run what the store does not have of a study, on each of its suites.

    It does what ``python -m bench.suite study NAME`` does.

    Args:
        name: Name of a study (``python -m bench.suite study --list``), or your own ``FILE.toml``.
        suite: One suite; without it, all suites of the study.
        problems: Problems instead of the study's.
        models: Networks instead of the study's.
        seeds: A number of seeds, which are counted from 0, or a list of seeds; by default five.
            More seeds extend a study that was run.
        budget: How long to train: ``smoke``, ``short``, ``quick`` or ``paper``.
        store: The folder that keeps the results; by default ``bench-results``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        dtype: ``float32`` or ``float64``.
        jobs: How many runs train side by side; see `bench.run`.
        timeout: The most seconds that a run may take.
        halve_on_oom: When memory runs out, try again with half the seeds, then half a batch, at a
            time.
        seeds_together: Train the seeds of an arm as one model, where the suite can: ``on``,
            ``off``, or ``auto``: on CUDA devices.
        rerun: Repeat finished runs.
        progress: Show progress, in the terminal or the notebook.
        options: Further options by name: of training, and, where only one suite is run, of that
            suite.

    Returns:
        What the study found, on each of its suites.

    Raises:
        BadInput: A name, a value or an option is wrong. Nothing was run.
        KeyboardInterrupt: The call was interrupted. The state is saved.
    """
    found = get_study(str(name))
    parts = found.on(suite)
    where = ExecutionOptions.of(
        {
            "device": device,
            "dtype": dtype,
            "jobs": jobs,
            "timeout": timeout,
            "halve_on_oom": halve_on_oom,
            "seeds_together": seeds_together,
            "store": store,
            "rerun": rerun,
        }
    )
    where.check()
    given = StudyOptions.of(
        {
            "suite": suite,
            "problems": problems,
            "models": models,
            "budget": budget,
            **seed_arguments(seeds),
        }
    )
    name_of_device = device_name(where.device)
    plans = [
        (part, _plan(str(name), found, part, given, options, name_of_device, where.dtype))
        for part in parts
    ]
    kept = Store(where.store)
    return StudyResults(
        kept, [_run(part, plan, kept, name_of_device, where, progress) for part, plan in plans]
    )


def _plan(
    name: str,
    study: Study,
    part: Part,
    given: StudyOptions,
    options: dict[str, Any],
    device: str,
    dtype: str,
) -> Plan:
    found = load_suite(part.suite)
    sorted_ = sort_arguments(found, options)
    given = msgspec.structs.replace(given, options=shlex.join(sorted_.suite.words()))
    asked = given.asked(sorted_.training, device, dtype)
    command = given.command(name, part.suite, sorted_.training, dtype)
    return make_plan(study, part, found, asked, command)


def _run(
    part: Part, plan: Plan, store: Store, device: str, where: ExecutionOptions, progress: bool
) -> PlanResults:
    suite = load_suite(plan.suite)
    store.prepare()
    wanted = plan.specs
    plan = save(plan, store)
    records, stopped = find_or_run(suite, wanted, device, where, decode, progress, embedded=True)
    if stopped:
        raise KeyboardInterrupt("interrupted; the same call continues")
    words = [*split_words(part.options), *split_words(plan.options)]
    suite.finish(trained(records, store), parse_options(suite, plan.study, words)[1])
    return PlanResults.read(plan, store)


class StudyResults:
    """What a study found, on one suite or several.

    Args:
        store: The store that keeps its runs.
        parts: The results on each suite.
    """

    def __init__(self, store: Store, parts: Sequence[PlanResults]) -> None:
        self._store = store
        self.parts = parts

    @property
    def answer(self) -> str:
        """What the study found, and what limits it, in sentences."""
        return "\n\n".join("\n".join([*lines(part), *limits(part)]) for part in self.parts)

    def frame(self) -> pd.DataFrame:
        """A row for each run; see `bench.Results.frame`."""
        return run_frame([r for part in self.parts for r in _records(part)])

    def curves(self, *metrics: str) -> pd.DataFrame:
        """Metrics over the steps; see `bench.Results.curves`."""
        stored = (self._store.read(r.spec_hash) for part in self.parts for r in _records(part))
        return curve_frame([record for record in stored if record is not None], metrics)

    def compare(self, metric: str | None = None) -> pd.DataFrame:
        """A row for each of the study's comparisons; see `bench.Results.compare`.

        Args:
            metric: The error that is compared; ``None``: the main error of each suite.
        """
        return comparison_frame(
            [
                comparison
                for part in self.parts
                for comparison in part.compare_all(part.plan.comparisons, metric)
            ],
            [part for part in self.parts for _ in part.plan.comparisons],
        )

    def report(self, path: Path | str) -> Path:
        """Write the study's page: one file that needs nothing else.

        Args:
            path: The HTML file.

        Returns:
            The same path.

        Raises:
            BadInput: The study was run on several suites, each of which has a page of its own.
        """
        if len(self.parts) != 1:
            suites = ", ".join(part.plan.suite for part in self.parts)
            raise BadInput(f"a page is of one suite, and this study has {suites}: name one")
        return write_html(self.parts[0], self._store, Path(path))

    def __repr__(self) -> str:
        return self.answer


def _records(part: PlanResults) -> list[Any]:
    found = (part.records.get(spec.hash) for spec in part.plan.specs)
    return [record for record in found if record is not None]
