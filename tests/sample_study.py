"""A study's plan with records of known errors, for tests that train nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from sample_records import SPEC, record

from bench.report.results import Results
from bench.store.record import Metric, Record
from bench.studies.plan import SCHEMA, Plan, PlannedRun
from bench.task import Columns

PROBLEMS = ("advection-1d", "compressible-flow-1d", "diffusion-sorption-1d")
ARMS = ("baseline", "irelu", "lsuv", "irelu+lsuv")
COLUMNS = Columns(["L2RE", "skill", "Lf"], ["LBC"], ["skill"], ["skill"], [])

#: Error of (problem, arm, seed); ``None``: the run diverged; a string: its status.
Errors = Callable[[str, str, int], float | str | None]


def constant(errors: dict[str, float | str | None], spread: float = 0.05) -> Errors:
    """An arm's own error, that of a seed off by a few per cent."""

    def of(problem: str, arm: str, seed: int) -> float | str | None:
        found = errors[arm]
        if isinstance(found, float):
            wave = math.sin(7 * seed + len(arm) + 3 * len(problem))
            return found * math.exp(spread * wave)
        return found

    return of


def plan(
    arms: Sequence[str] = ARMS,
    problems: Sequence[str] = PROBLEMS,
    seeds: Sequence[int] = (0, 1, 2),
    **changes: Any,
) -> Plan:
    """A plan; arms after the first are compared with it unless `changes` say otherwise."""
    runs = [
        PlannedRun(_spec(problem, arm, seed), f"python -m bench.suite pinn --arm '{arm}'")
        for seed in seeds
        for problem in problems
        for arm in arms
    ]
    made = Plan(
        schema=SCHEMA,
        study="sample",
        suite="pinn",
        budget="quick",
        options="",
        question="Does it help?",
        command="python -m bench.suite study sample.toml",
        comparisons=[(arm, arms[0]) for arm in arms[1:]],
        factors=[],
        cells=[],
        columns=dict.fromkeys(problems, COLUMNS),
        runs=runs,
    )
    return msgspec.structs.replace(made, **changes)


def _spec(problem: str, arm: str, seed: int) -> Any:
    return msgspec.structs.replace(
        SPEC, problem=problem, arm=arm, seed=seed, axes={"activation": arm}, budget="quick"
    )


def records(made: Plan, errors: Errors) -> dict[str, Record]:
    """A record for each run of a plan; those whose status is ``waiting`` have none."""
    found = {}
    for run in made.runs:
        spec = run.spec
        error = errors(spec.problem, spec.arm, spec.seed)
        if error == "waiting":
            continue
        status = error if isinstance(error, str) else "done" if error is not None else "diverged"
        value = error if isinstance(error, float) else None
        metrics = {
            "L2RE": Metric(value, value),
            "skill": Metric(None if value is None else 1 - value, None),
            "Lf": Metric(None if value is None else value**2, None),
        }
        found[spec.hash] = record(
            spec,
            status=status,
            reason=None if status == "done" else "the loss was nan at step 5",
            metrics=metrics,
            warnings=[],
            history=history(value),
            losses={"step": [0.0, 5.0], "loss": [1.0, value]},
        )
    return found


def history(error: float | None) -> dict[str, list[float | None]]:
    """Errors that fall to the last one; those of a diverged run end half-way."""
    last = 11 if error is not None else 6
    steps = [float(k) for k in range(last)]
    falling = np.geomspace(1.0, error or 1.0, last).tolist()
    return {"step": steps, "seconds": [0.1 * k for k in steps], "L2RE": falling}


def results(errors: Errors, made: Plan | None = None) -> Results:
    """Of `records`."""
    made = made or plan()
    return Results(made, records(made, errors))
