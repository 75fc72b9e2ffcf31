"""What an arm costs beside the reference: time of a step, memory, and its tuning."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.report.ranking.ranked import Ranked
from bench.report.ranking.seconds import pairs_alike
from bench.report.step_times import memory_mb, step_ms
from bench.store.record import Record


@dataclass(frozen=True)
class Cost:
    """What an arm costs.

    Attributes:
        arm: Name of the arm.
        step_ms: Median time of a step over all scored runs of the whole length, a seed's share
            where seeds were trained together; ``None`` where none was timed.
        step_ratio: Median over the pairs of equal problem, model and seed, in which the two runs
            differ and were made on the same device with as many side by side, of the time of a
            step over the reference's; ``None`` without such a pair.
        memory_mb: Median peak memory of the same runs.
        memory_ratio: As `step_ratio`.
        trials: Number of different runs by which it was tuned.
        tuning_s: Seconds that these took, a seed's share where seeds were trained together.
    """

    arm: str
    step_ms: float | None
    step_ratio: float | None
    memory_mb: float | None
    memory_ratio: float | None
    trials: int
    tuning_s: float


def costs(ranked: Ranked) -> list[Cost]:
    """Of every arm, in the ranking's order."""
    return [_cost(ranked, arm) for arm in ranked.arms]


def _cost(ranked: Ranked, arm: str) -> Cost:
    scored = ranked.scored
    runs = [record for case in scored.cases for record in scored.of(case, arm).values()]
    names = {trial.spec.hash for case in ranked.cases for trial in ranked.trials_of(case, arm)}
    trials = [record for name in names if (record := ranked.trials.get(name)) is not None]
    return Cost(
        arm,
        _median(map(step_ms, runs)),
        _ratio(ranked, arm, step_ms),
        _median(map(memory_mb, runs)),
        _ratio(ranked, arm, memory_mb),
        len(trials),
        sum(_seconds(record) for record in trials),
    )


def _ratio(ranked: Ranked, arm: str, of: Callable[[Record], float | None]) -> float | None:
    scored, found = ranked.scored, []
    for case in scored.cases if arm != ranked.reference else []:
        if scored.is_noop(case, arm, ranked.reference):
            continue
        for ours, theirs in pairs_alike(scored, case, arm, ranked.reference):
            mine, other = of(ours), of(theirs)
            if mine is not None and other:
                found.append(mine / other)
    return statistics.median(found) if found else None


def _seconds(record: Record) -> float:
    timing = record.timing
    return (timing.build_s + timing.train_s + timing.evaluate_s) / record.seeds_together


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
