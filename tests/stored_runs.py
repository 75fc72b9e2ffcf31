"""Stores of made-up runs, and rankings of them, for tests that train nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sample_records import SPEC, record

from bench.ranking.ranking import (
    SCHEMA,
    TRIAL_SEEDS,
    Choice,
    Contestant,
    Length,
    Ranking,
    Times,
    Trial,
    save,
)
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import Metric, Record, Timing
from bench.store.store import Store
from bench.studies.plan import PlannedRun
from bench.task import Columns

PROBLEMS = ("advection-1d", "compressible-flow-1d", "diffusion-sorption-1d")
COLUMNS = Columns(["L2RE", "skill"], [], ["skill"], ["skill"], [])
STEPS = 100

#: Error of a spec; ``None``: the run diverged.
Error = Callable[[Spec], float | None]


def spec(
    arm: str = "baseline",
    seed: int = 0,
    problem: str = PROBLEMS[0],
    lr: float = 1e-3,
    steps: int = STEPS,
    **changes: Any,
) -> Spec:
    """The spec of a run of the PINN suite."""
    changes = {"settings": {"protocol": "standard"}, "budget": "quick", **changes}
    return msgspec.structs.replace(
        SPEC,
        arm=arm,
        seed=seed,
        problem=problem,
        **{"axes": {"activation": arm}, "training": Training(steps=steps, lr=lr), **changes},
    )


def specs(
    arms: Sequence[str],
    seeds: int = 5,
    problems: Sequence[str] = PROBLEMS,
    **changes: Any,
) -> list[Spec]:
    """Specs of all combinations."""
    return [
        spec(arm, seed, problem, **changes)
        for problem in problems
        for arm in arms
        for seed in range(seeds)
    ]


def factors(of_arm: dict[str, float | None], spread: float = 0.02) -> Error:
    """Errors of 0.1 times an arm's own factor, those of a seed off by a few per cent."""

    def error(of: Spec) -> float | None:
        factor = of_arm[of.arm]
        if factor is None:
            return None
        wave = math.sin(7 * of.seed + len(of.arm) + 3 * len(of.problem))
        return 0.1 * factor * math.exp(spread * wave)

    return error


def made(of: Spec, error: float | None, **changes: Any) -> Record:
    """The record of a run with an error; ``None``: it diverged."""
    metrics = {
        "L2RE": Metric(error, error),
        "skill": Metric(None if error is None else 1 - error, None),
    }
    given = {"status": "done" if error is not None else "diverged", "metrics": metrics, **changes}
    return record(of, warnings=[], **given)


def fill(store: Store, of: Sequence[Spec], error: Error, **changes: Any) -> None:
    """Write a record for each spec."""
    for one in of:
        store.write(made(one, error(one), **changes))


def filled(root: Path, of: Sequence[Spec], error: Error, **changes: Any) -> Store:
    """A store with a record for each spec."""
    store = Store(root)
    store.prepare()
    fill(store, of, error, **changes)
    return store


def timed(step_ms: float) -> Timing:
    """Times with this median of a step."""
    return Timing(1.0, 2.0, 3.0, step_ms, step_ms, step_ms, 7)


def ranked(
    store: Store,
    rates: dict[str, float],
    error: Error,
    seeds: int = 5,
    problems: Sequence[str] = PROBLEMS,
    name: str = "night",
) -> Ranking:
    """A ranking with its runs in a store: trials at two rates, and runs of two lengths.

    Args:
        store: The store.
        rates: The chosen rate of each arm, the reference first.
        error: Of every run.
        seeds: Number of scored seeds.
        problems: Names of the problems.
        name: Of the ranking.
    """
    trials = [
        Trial(spec(arm, seed, problem, lr=lr), "", {"lr": lr})
        for arm in rates
        for problem in problems
        for seed in TRIAL_SEEDS
        for lr in (1e-3, 3e-3)
    ]
    lengths = [
        Length(
            share,
            [
                PlannedRun(spec(arm, seed, problem, lr=rate, steps=int(share * STEPS)), "")
                for seed in range(seeds)
                for problem in problems
                for arm, rate in rates.items()
            ],
        )
        for share in (1.0, 0.5)
    ]
    ranking = Ranking(
        schema=SCHEMA,
        name=name,
        suite="pinn",
        budget="quick",
        options="",
        command="",
        arms=[Contestant(arm, candidate=k > 0) for k, arm in enumerate(rates)],
        columns=dict.fromkeys(problems, COLUMNS),
        trials=trials,
        choices=[
            Choice(problem, "fnn:40x6", arm, {"lr": rate}, {"lr": 1e-3}, at_edge=rate > 1e-3)
            for problem in problems
            for arm, rate in rates.items()
        ],
        lengths=lengths,
        times=Times(8.0, 1.0, 1.0, 1, "2026-01-01T00:00:00+00:00"),
    )
    fill(store, [trial.spec for trial in trials], error)
    fill(store, [run.spec for length in lengths for run in length.runs], error)
    save(ranking, store)
    return ranking
