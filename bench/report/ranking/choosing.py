"""The chance in how each arm's setting was chosen, from the records of its trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.ranking.ranking import Ranking, Trial
from bench.ranking.tuning import key_of
from bench.report.results import Case, log_error
from bench.statistics.choices import Chance, chance
from bench.store.record import FINAL, Record
from bench.task import SELECTION


def chances(ranking: Ranking, records: Mapping[str, Record]) -> dict[tuple[Case, str], Chance]:
    """The chance by case and arm, for every arm that has trials there; see `chance`.

    Args:
        ranking: The ranking.
        records: Of the trials by the hash of their spec.
    """
    by_place: dict[tuple[Case, str], list[Trial]] = {}
    for trial in ranking.trials:
        case = Case(trial.spec.problem, trial.spec.model)
        by_place.setdefault((case, ranking.labels[trial.spec.arm]), []).append(trial)
    found = {}
    for (case, arm), trials in by_place.items():
        losses = _array(trials, records, lambda _: SELECTION)
        errors = _array(trials, records, lambda problem: ranking.columns[problem].main[0])
        found[case, arm] = chance(losses, errors)
    return found


def _array(
    trials: Sequence[Trial], records: Mapping[str, Record], metric: Callable[[str], str]
) -> np.ndarray:
    """(settings, seeds) natural logs of a metric; +inf where a trial was lost, nan without one."""
    settings = {key_of(trial.setting): None for trial in trials}
    seeds = sorted({trial.spec.seed for trial in trials})
    values = np.full((len(settings), len(seeds)), math.nan)
    places = {key: row for row, key in enumerate(settings)}
    for trial in trials:
        record = records.get(trial.spec.hash)
        if record is None:
            continue
        place = places[key_of(trial.setting)], seeds.index(trial.spec.seed)
        value = record.metrics.get(metric(trial.spec.problem))
        done = record.status in FINAL and record.status != "diverged"
        final = value.final if done and value is not None else None
        values[place] = math.inf if final is None else log_error(final)
    return values
