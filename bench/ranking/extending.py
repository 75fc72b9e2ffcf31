"""A ranking with what an earlier one of the same question had."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bench.ranking.ranking import SHARES, Length, Ranking, Setting
from bench.studies.plan import PlannedRun

#: Problem, model and arm.
_Place = tuple[str, str, str]


def extended(new: Ranking, old: Ranking) -> Ranking:
    """A ranking with what an old one of the same key has and it does not have.

    That is what a shorter night, or one on other problems, does not come to, and what a night that
    has just begun has not come to yet. Left out are scored runs at settings that are no longer
    chosen.

    Args:
        new: The ranking.
        old: The one in its place so far, `bench.ranking.outdated.without_outdated`.
    """
    chosen, before = _chosen(new), _chosen(old)
    tried = {_place(trial.spec.problem, trial.spec.model, trial.spec.arm) for trial in new.trials}
    kept = [
        trial
        for trial in old.trials
        if _place(trial.spec.problem, trial.spec.model, trial.spec.arm) not in tried
    ]
    still = {place for place, setting in before.items() if chosen.get(place, setting) == setting}
    return msgspec.structs.replace(
        new,
        trials=[*new.trials, *kept],
        choices=[
            *new.choices,
            *(
                choice
                for choice in old.choices
                if _place(choice.problem, choice.model, choice.arm) not in chosen
            ),
        ],
        lengths=[
            Length(share, runs)
            for share in sorted(SHARES, key=lambda share: share != 1.0)
            if (runs := _runs(new.runs_of(share), old.runs_of(share), still))
        ],
        columns={**old.columns, **new.columns},
    )


def _runs(new: list[PlannedRun], old: list[PlannedRun], still: set[_Place]) -> list[PlannedRun]:
    """The runs of one length, seed by seed."""
    there = {run.place for run in new}
    ways = {run.place[:3]: _but_seed(run) for run in new}
    kept = [
        run
        for run in old
        if run.place not in there
        and run.place[:3] in still
        and ways.get(run.place[:3]) in (None, _but_seed(run))
    ]
    return sorted([*new, *kept], key=lambda run: run.spec.seed)


def _chosen(ranking: Ranking) -> Mapping[_Place, Setting]:
    return {_place(c.problem, c.model, c.arm): c.setting for c in ranking.choices}


def _place(problem: str, model: str, arm: str) -> _Place:
    return problem, model, arm


def _but_seed(run: PlannedRun) -> str:
    """The same for runs that differ in their seeds alone."""
    return msgspec.structs.replace(run.spec, seed=0).hash
