"""The scored runs of rankings: each arm at the setting that was tuned for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.arm import BASELINE
from bench.ranking.ranking import Choice, Ranking, Setting
from bench.report.results import Case
from bench.spec.spec import Spec
from bench.store.record import Record
from bench.studies.plan import PlannedRun


@dataclass
class Tuned:
    """The runs of an arm on a case, each with its own tuned setting.

    Attributes:
        runs: By seed, as the ranking planned them.
        choice: The setting that they have.
    """

    choice: Choice
    runs: dict[int, PlannedRun] = field(default_factory=dict)


def tuned_runs(
    rankings: Iterable[Ranking], records: Mapping[str, Record]
) -> dict[tuple[Case, str], Tuned]:
    """The runs of tuned arms, by case and arm; those of the baseline among them.

    On each case all are compared with one tuned baseline: that of the ranking with the most runs
    there. Arms of another ranking join them if its baseline has the same setting; an arm that two
    rankings tuned has the setting of the first of them.

    Args:
        rankings: Of one suite and budget.
        records: The results that may be compared, by hash.
    """
    by_case: dict[Case, list[dict[str, Tuned]]] = {}
    for ranking in sorted(rankings, key=lambda one: one.key):
        for case, arms in _of_ranking(ranking, records).items():
            if BASELINE in arms:
                by_case.setdefault(case, []).append(arms)
    found: dict[tuple[Case, str], Tuned] = {}
    for case, several in by_case.items():
        several.sort(key=_count, reverse=True)
        for arms in several:
            if _way(arms[BASELINE]) != _way(several[0][BASELINE]):
                continue
            for arm, tuned in arms.items():
                known = found.setdefault((case, arm), Tuned(tuned.choice))
                if not known.runs or _way(known) == _way(tuned):
                    known.runs = {**tuned.runs, **known.runs}
    return found


def said_setting(setting: Setting) -> str:
    """``lr 0.003, rescale 16``."""
    return ", ".join(f"{name} {_plain(value)}" for name, value in sorted(setting.items()))


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _of_ranking(ranking: Ranking, records: Mapping[str, Record]) -> dict[Case, dict[str, Tuned]]:
    """The runs at the budget's length that have a result, by case and arm."""
    choices = {(Case(c.problem, c.model), c.arm): c for c in ranking.choices}
    found: dict[Case, dict[str, Tuned]] = {}
    for run in ranking.runs_of(1.0):
        place = (Case(run.spec.problem, run.spec.model), run.spec.arm)
        if run.spec.hash in records and place in choices:
            arms = found.setdefault(place[0], {})
            arms.setdefault(place[1], Tuned(choices[place])).runs[run.spec.seed] = run
    return found


def _count(arms: Mapping[str, Tuned]) -> int:
    return sum(len(tuned.runs) for tuned in arms.values())


def _way(tuned: Tuned) -> Sequence[str]:
    """The hashes but for the seed: how the runs are made."""
    return sorted({_but_seed(run.spec) for run in tuned.runs.values()})


def _but_seed(spec: Spec) -> str:
    return msgspec.structs.replace(spec, seed=0).hash
