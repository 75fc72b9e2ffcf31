"""A ranking with records of known errors, for tests that train nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sample_records import SPEC, record
from sample_study import COLUMNS, PROBLEMS, history

from bench.ranking.ranking import (
    SCHEMA,
    SHARES,
    TRIAL_SEEDS,
    Choice,
    Contestant,
    Length,
    Ranking,
    Setting,
    Times,
    Trial,
    save,
)
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.store.record import Metric, Timing, encode
from bench.store.store import Store
from bench.studies.plan import PlannedRun

ARMS = ("baseline", "irelu", "lsuv")
STEPS = 1000
RATES = (1e-3, 3e-3, 1e-2)

#: Error of (problem, arm, seed, share of the steps); ``None``: diverged; a string: its status.
Scores = Callable[[str, str, int, float], float | str | None]
#: Selection and test error of a trial of (problem, arm, seed, setting); or as above.
Trials = Callable[[str, str, int, Setting], tuple[float, float] | str | None]


def falling(errors: Mapping[str, float | str | None], spread: float = 0.02) -> Scores:
    """An arm's own error at the whole length, halved by twice the steps; a seed's is off a bit."""

    def of(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        found = errors[arm]
        if not isinstance(found, float):
            return found
        wave = math.sin(7 * seed + len(arm) + 3 * len(problem))
        return found / share * math.exp(spread * wave)

    return of


def at_rate(best: Mapping[str, float], rate: str = "lr") -> Trials:
    """An arm's selection is least at its best rate, and so is its error, which is ten times it."""

    def of(problem: str, arm: str, seed: int, setting: Setting) -> tuple[float, float]:
        off = math.log(float(setting[rate]) / best[arm])
        selection = math.exp(off**2) * (1 + 0.01 * (seed - TRIAL_SEEDS[0]))
        return selection, 10 * selection

    return of


def ranking(
    arms: Sequence[str] = ARMS,
    problems: Sequence[str] = PROBLEMS,
    seeds: Sequence[int] = range(5),
    length_seeds: Sequence[int] = range(3),
    chosen: float = 3e-3,
    names: Mapping[str, str] | None = None,
    candidates: Sequence[str] | None = None,
    at_edge: bool = False,
    suite: str = "pinn",
    **changes: Any,
) -> Ranking:
    """A ranking; every arm is tuned over `RATES`, and scored at the rate `chosen`."""
    names = names or {}
    asked = arms[1:2] if candidates is None else candidates

    def specs(problem: str, arm: str, seed: int, lr: float, share: float) -> Spec:
        training = Training(steps=int(STEPS * share), lr=lr)
        return msgspec.structs.replace(
            SPEC,
            suite=suite,
            problem=problem,
            arm=arm,
            seed=seed,
            axes={"activation": arm},
            budget="quick",
            training=training,
            settings=SPEC.settings | {"protocol": "standard"},
        )

    trials = [
        Trial(specs(problem, arm, seed, lr, 1.0), "python -m bench.suite", {"lr": lr})
        for seed in TRIAL_SEEDS
        for problem in problems
        for arm in arms
        for lr in RATES
    ]
    choices = [
        Choice(problem, "fnn:40x6", arm, {"lr": chosen}, {"lr": RATES[0]}, at_edge)
        for problem in problems
        for arm in arms
    ]
    lengths = [
        Length(
            share,
            [
                PlannedRun(specs(problem, arm, seed, chosen, share), _command(problem, arm, seed))
                for seed in (seeds if share == 1.0 else length_seeds)
                for problem in problems
                for arm in arms
            ],
        )
        for share in sorted(SHARES, key=lambda share: share != 1.0)
    ]
    made = Ranking(
        schema=SCHEMA,
        name="night",
        suite=suite,
        budget="quick",
        options="",
        command="python -m bench.suite rank --candidate irelu --hours 8",
        arms=[Contestant(arm, names.get(arm, ""), candidate=arm in asked) for arm in arms],
        columns=dict.fromkeys(problems, COLUMNS),
        trials=trials,
        choices=choices,
        lengths=lengths,
        times=Times(8.0, 20_000.0, 18_000.0, 2, "2026-01-01T20:00:00", "2026-01-02T01:00:00"),
    )
    return msgspec.structs.replace(made, **changes)


def _command(problem: str, arm: str, seed: int) -> str:
    """As long as a real one."""
    return (
        f"python -m bench.suite pinn --problem {problem} --model fnn:40x6 --arm {arm} --seed {seed}"
        " --budget quick --protocol standard --lr 0.003 --evaluations 20 --device cpu"
    )


def write(
    made: Ranking,
    store: Store,
    scores: Scores,
    trials: Trials | None = None,
    step_ms: Mapping[str, float] | None = None,
    memory_mb: Mapping[str, float] | None = None,
) -> Ranking:
    """Write a ranking and a record for each of its runs; those that are ``waiting`` have none."""
    store.prepare()
    save(made, store)
    for trial in made.trials:
        spec = trial.spec
        found = (trials or at_rate(dict.fromkeys((one.arm for one in made.arms), 3e-3)))(
            spec.problem, spec.arm, spec.seed, trial.setting
        )
        selection, error = found if isinstance(found, tuple) else (None, found)
        _write(store, spec, error, selection, 1.0, 100.0)
    for length in made.lengths:
        for run in length.runs:
            spec = run.spec
            error = scores(spec.problem, spec.arm, spec.seed, length.share)
            selection = error if isinstance(error, float) else None
            own_ms, own_mb = (step_ms or {}).get(spec.arm, 1.0), (memory_mb or {}).get(spec.arm)
            _write(store, spec, error, selection, own_ms, own_mb or 100.0)
    return made


def _write(
    store: Store,
    spec: Spec,
    error: float | str | None,
    selection: float | None,
    step_ms: float,
    memory_mb: float,
) -> None:
    if error == "waiting":
        return
    status = error if isinstance(error, str) else "done" if error is not None else "diverged"
    value = error if isinstance(error, float) else None
    steps = spec.training.steps
    made = record(
        spec,
        status=status,
        reason=None if status == "done" else "the loss was nan at step 5",
        metrics={
            "L2RE": Metric(value, value),
            "skill": Metric(None if value is None else max(0.0, 1 - value / 10), None),
            "Lf": Metric(None if value is None else value**2, None),
            "selection": Metric(selection, selection),
        },
        warnings=[],
        history=history(value),
        losses={"step": [0.0, 5.0], "loss": [1.0, value]},
        timing=Timing(0.0, steps * step_ms / 1000, 0.0, step_ms, step_ms, step_ms, steps),
        peak_memory_mb=memory_mb,
        steps_done=steps,
    )
    # As `Store.write` does, without waiting for the disk.
    place = store.directory(spec.hash)
    place.mkdir(parents=True, exist_ok=True)
    (place / "record.json").write_bytes(encode(made))
