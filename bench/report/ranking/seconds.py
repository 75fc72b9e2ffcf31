"""How long a step of an arm takes beside the reference's, from runs whose times compare."""

from __future__ import annotations

import math
import statistics
from collections import Counter

from bench.report.ranking.ranked import Ranked
from bench.report.results import Case, Results
from bench.report.step_times import Pair, alike, place, step_ms
from bench.store.record import Record


def pairs_alike(results: Results, case: Case, arm: str, reference: str) -> list[Pair]:
    """The runs of an arm and of the reference of equal seed that were made alike."""
    ours, theirs = results.of(case, arm), results.of(case, reference)
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    return [pair for pair in pairs if alike(pair)]


def step_ratio(ranked: Ranked, case: Case, arm: str) -> float:
    """Time of a step of an arm over the reference's on a case.

    Returns:
        Median over the pairs of equal seed and length that were made alike; 1 where both are the
        same run; nan where no such pair was timed.
    """
    if arm == ranked.reference or ranked.scored.is_noop(case, arm, ranked.reference):
        return 1.0
    ratios = [
        mine / other
        for results in ranked.by_length.values()
        for one, reference in pairs_alike(results, case, arm, ranked.reference)
        if (mine := step_ms(one)) and (other := step_ms(reference))
    ]
    return statistics.median(ratios) if ratios else math.nan


def milliseconds(ranked: Ranked, case: Case, arm: str) -> float:
    """Time of a step of an arm, as it would be where most of the reference's runs were made.

    It is `step_ratio` times the reference's median there, so that no load and no machine but that
    one enters; nan where one of the two is not known.
    """
    runs = _timed(ranked, case, ranked.reference)
    if not runs:
        return math.nan
    (most, _), *_ = Counter(map(place, runs)).most_common()
    times = [ms for run in runs if place(run) == most and (ms := step_ms(run))]
    return statistics.median(times) * step_ratio(ranked, case, arm)


def unmatched(ranked: Ranked, arm: str) -> list[Case]:
    """The cases on which runs of both were timed and no two of them were made alike."""
    return [
        case
        for case in ranked.scored.cases
        if _timed(ranked, case, arm)
        and _timed(ranked, case, ranked.reference)
        and math.isnan(step_ratio(ranked, case, arm))
    ]


def _timed(ranked: Ranked, case: Case, arm: str) -> list[Record]:
    every = (results.of(case, arm).values() for results in ranked.by_length.values())
    return [record for of in every for record in of if step_ms(record)]
