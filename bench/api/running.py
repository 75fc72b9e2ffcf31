"""`bench.run`: train and score arms × problems × seeds, or find them in a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.api.arguments import seed_arguments, sort_arguments
from bench.api.results import Results
from bench.execution.find_or_run import find_or_run, trained
from bench.execution.options import ExecutionOptions, device_name
from bench.execution.selection import Axes, Selection
from bench.plugins import load_suite
from bench.store.record import decode
from bench.store.store import DEFAULT_OUT, Store


def run(
    suite: str,
    *,
    problems: str | Sequence[str] = (),
    arms: str | Sequence[str] = (),
    models: str | Sequence[str] = (),
    seeds: int | Sequence[int] = 1,
    budget: str = "quick",
    baseline: bool = True,
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
) -> Results:
    """Train and score problems × models × arms × seeds of a suite, or find them in the store.

    It does what ``python -m bench.suite SUITE`` does, with the same names, checks and results.
    Ctrl-C saves the state of the runs in training, and the same call continues them.

    Args:
        suite: ``pinn``, ``molecular``, or another suite that is installed.
        problems: One or several: names, files, or ``package.module:attribute``. Without any, the
            suite's default.
        arms: One or several, each of techniques joined by ``+``.
        models: One or several networks, with a size if wanted (``fnn:64x4``). Without any, the
            suite's default.
        seeds: A number of seeds, which are counted from 0, or a list of seeds.
        budget: How long to train: ``smoke``, ``short``, ``quick`` or ``paper``.
        baseline: Add the baseline to the arms.
        store: The folder that keeps the results; by default ``bench-results``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        dtype: ``float32`` or ``float64``.
        jobs: How many runs train side by side, each in a process of its own. ``"auto"``: one for
            each core, or one on a GPU. ``1``: all in this process.
        timeout: The most seconds that a run may take.
        halve_on_oom: When memory runs out, try again with half the seeds, then half a batch, at a
            time.
        seeds_together: Train the seeds of an arm as one model, where the suite can: ``on``,
            ``off``, or ``auto``: on CUDA devices.
        rerun: Repeat finished runs.
        progress: Show progress, in the terminal or the notebook.
        options: Further options by name: an axis for every arm (``activation="mine:Snake"``),
            training (``steps=500``), and the suite's own (``supervised=0.1``).

    Returns:
        The runs, in the order problem, model, arm, seed.

    Raises:
        BadInput: A name, a value or an option is wrong. Nothing was run.
        KeyboardInterrupt: The call was interrupted. The state is saved.
        bench.files.atomic.CannotWrite: The store takes no more data. What was written stands.
    """
    found = load_suite(suite)
    sorted_ = sort_arguments(found, options, (Axes,))
    selection = Selection.of(
        {
            "problems": problems,
            "arms": arms,
            "models": models,
            "budget": budget,
            "no_baseline": not baseline,
            **seed_arguments(seeds),
        }
    )
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
    name = device_name(where.device)
    axes = Axes.of(sorted_.rest[Axes])
    specs = selection.specs(axes, found, name, where.dtype, sorted_.training, sorted_.suite)
    records, stopped = find_or_run(found, specs, name, where, decode, progress, embedded=True)
    if stopped:
        raise KeyboardInterrupt("interrupted; the same call continues")
    kept = Store(where.store)
    found.finish(trained(records, kept), sorted_.suite)
    return Results(kept, records)
