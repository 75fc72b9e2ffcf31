"""`bench.rank`: tune arms alike, score them, and say where a candidate ranks."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.api.arguments import sort_arguments
from bench.api.ranked import RankingResults
from bench.execution.options import ExecutionOptions, device_name
from bench.plugins import load_suite
from bench.ranking.night import describe, go_on
from bench.ranking.options import AUTO, RankOptions
from bench.ranking.planning import plan_sessions
from bench.spec.training_options import TrainingOptions
from bench.store.store import DEFAULT_OUT, Store
from bench.text.errors import BadInput

#: What the command line calls an argument, by which it is given in Python.
_SINGULAR = {"candidate": "candidates", "problem": "problems", "model": "models"}


def rank(
    candidates: Path | str | Sequence[Path | str],
    *,
    against: Path | str | Sequence[Path | str] = (),
    suite: str | Sequence[str] = (),
    problems: str | Sequence[str] = (),
    models: str | Sequence[str] = (),
    hours: float | str = 8,
    seeds: int = 20,
    budget: str = AUTO,
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
) -> RankingResults:
    """Tune every arm alike, score all at their tuned settings, and rank the candidates.

    It does what ``python -m bench.suite rank`` does. The same call continues one that was
    interrupted; more hours add seeds.

    Args:
        candidates: What is ranked: an arm (``"irelu+featurewise"``), an arm with options
            (``"irelu --eps 1e-14"``), or a ``FILE.toml`` with ``[[candidate]]``; one or several.
        against: What it is ranked against, written alike (``[[against]]`` in a file); without it
            the known arms. The baseline is always there, and is tuned like the others.
        suite: One suite or several; without it, all.
        problems: Problems; without them, the suite's default ones that fit into the time.
        models: Networks; without them, the suite's default.
        hours: How long all of it may take: a number of hours, or ``"90min"``.
        seeds: The most scored seeds of an arm.
        budget: How long to train; ``auto``: ``quick``, or ``short`` where that does not fit; or the
            one that the store has this ranking under.
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
        options: Further options by name: of training, and, where one suite is named, of that suite.

    Returns:
        The rankings, one for each suite; without those that could not go on, of which stderr says
        why.

    Raises:
        BadInput: A name, a value or an option is wrong, or nothing fits into the time: nothing was
            run. Or no ranking could go on.
        KeyboardInterrupt: The call was interrupted. The state is saved.
    """
    begun = time.time()
    for wrong, right in _SINGULAR.items():
        if wrong in options:
            raise BadInput(f"unknown argument {wrong!r}; did you mean {right!r}?")
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
    given = RankOptions.of(
        {
            "candidates": _texts(candidates, "candidates"),
            "against": _texts(against, "against"),
            "suite": suite,
            "problems": problems,
            "models": models,
            "budget": budget,
            "hours": hours,
            "seeds": seeds,
        }
    )
    training, words = _options(given.suite, options)
    given = msgspec.structs.replace(given, options=words)

    def tell(message: str) -> None:
        if progress:
            print(f"bench: {message}", file=sys.stderr, flush=True)

    sessions = plan_sessions(given, training, where, tell)
    for session in sessions:
        for line in describe(session):
            tell(line)
    until = begun + given.seconds
    name = device_name(where.device)
    rankings, stopped = go_on(sessions, name, where, until, progress, embedded=True)
    if stopped == "signal":
        raise KeyboardInterrupt("interrupted; the same call continues")
    return RankingResults(Store(where.store), rankings)


def _texts(given: Path | str | Sequence[Path | str], what: str) -> list[str]:
    """The arms as text.

    Raises:
        BadInput: One is neither a text nor a path, for instance a class.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for one in several:
        if not isinstance(one, Path | str):
            raise BadInput(
                f"{what}: an arm is a text such as {'activation=module:Name'!r}, or a FILE.toml,"
                f" got {_as_text(one)}"
            )
    return [str(one) for one in several]


def _as_text(given: object) -> str:
    """What was given, in a line; an object of one's own as the text that would name it."""
    name, module = getattr(given, "__qualname__", ""), getattr(given, "__module__", "")
    return f"the object {module}:{name}" if name and module else repr(given)[:80]


def _options(suites: Sequence[str], given: dict[str, Any]) -> tuple[TrainingOptions, str]:
    """Options of training, and those of the one suite that is named, as words."""
    if len(suites) == 1:
        found = sort_arguments(load_suite(suites[0]), given)
        return found.training, shlex.join(found.suite.words())
    return TrainingOptions.of(given), ""
