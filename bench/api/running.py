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
    """Train and score problems × models × arms × seeds of a suite; what is in the store is found.

    The same as ``python -m bench.suite SUITE``, with the same names, checks and results. Ctrl-C
    saves the state of what is running, and the same call continues.

    Args:
        suite: ``pinn``, ``molecular``, or another that is installed.
        problems: Names, files, or ``package.module:attribute``; the suite's default if empty.
        arms: Techniques joined by ``+``; the baseline is added.
        models: Networks, with a size if wanted (``fnn:64x4``); the suite's default if empty.
        seeds: How many, from 0, or which.
        budget: How long to train: ``smoke``, ``quick``, ``paper``.
        baseline: Whether the baseline is added.
        store: Folder in which results are kept.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        dtype: ``float32`` or ``float64``.
        jobs: Runs side by side, each in a process; ``1``: in this process.
        timeout: Seconds that a run may take.
        halve_on_oom: Try again with less at a time when memory runs out.
        seeds_together: Train the seeds of an arm as one model: ``auto``, ``on``, ``off``.
        rerun: Repeat finished runs.
        progress: Show what is done, in the terminal or the notebook.
        options: Of an axis for every arm (``activation="mine:Snake"``), of training
            (``steps=500``), and of the suite (``supervised=0.1``), as on the command line.

    Returns:
        The runs, in the order problem, model, arm, seed.

    Raises:
        BadInput: A name, a value or an option is wrong; nothing was run.
        KeyboardInterrupt: It was interrupted; the state is saved.
        bench.files.atomic.CannotWrite: The store takes no more; what was written stands.
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
    records, interrupted = find_or_run(found, specs, name, where, decode, progress)
    if interrupted:
        raise KeyboardInterrupt("interrupted; the same call continues")
    kept = Store(where.store)
    found.finish(trained(records, kept), sorted_.suite)
    return Results(kept, records)
