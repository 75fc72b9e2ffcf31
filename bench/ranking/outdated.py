"""What of an earlier ranking would be another run today."""

from __future__ import annotations

import shlex
from dataclasses import replace

import msgspec

from bench.ranking.ranking import Contestant, Length, Ranking, Setting
from bench.ranking.runs import Runs
from bench.ranking.schedule import Case
from bench.ranking.tuning import Key, key_of
from bench.spec.spec import Spec
from bench.text.errors import BadInput


class Today:
    """Says whether a run of an earlier ranking is what its arm means today.

    It is where all but its seed equals what the suite makes of the same arm, setting and length
    now: settings, the digests of sources and data, and the versions of definitions.

    Args:
        runs: Makes the runs of today.
        arms: All arms.
    """

    def __init__(self, runs: Runs, arms: list[Contestant]) -> None:
        self._arms = {one.arm: one for one in arms}
        self._of_case: dict[Case, Runs | None] = dict.fromkeys(runs.asked, runs)
        self._runs = runs
        self._hashes: dict[tuple[Case, str, Key, float], str | None] = {}

    def is_same(self, spec: Spec, command: str, setting: Setting, share: float = 1.0) -> bool:
        """Whether a run is the same today; not where today's cannot be made.

        Args:
            spec: What was run.
            command: The command that ran it.
            setting: What it was run at.
            share: Its length in shares of the budget's steps.
        """
        case = (spec.problem, spec.model)
        key = (case, spec.arm, key_of(setting), share)
        if case not in self._of_case:
            self._of_case[case] = self._not_asked(command)
        if key not in self._hashes:
            self._hashes[key] = self._hash(case, spec.arm, setting, share)
        return self._hashes[key] == _but_seed(spec)

    def _hash(self, case: Case, arm: str, setting: Setting, share: float) -> str | None:
        """Of the run of today, whatever its seed."""
        runs = self._of_case[case]
        if runs is None or arm not in self._arms:
            return None
        try:
            return _but_seed(runs.run(case, self._arms[arm], setting, 0, share).spec)
        except (BadInput, KeyError):  # the suite refuses it, or calls the problem otherwise
            return None

    def _not_asked(self, command: str) -> Runs | None:
        """Makes the runs of the problem and model of a command, which are not asked for today."""
        words = shlex.split(command)
        try:
            problem, model = (words[words.index(flag) + 1] for flag in ("--problem", "--model"))
        except (IndexError, ValueError):  # the file may have been edited
            return None
        return replace(self._runs, problems=[problem], models=[model], _made={})


def without_outdated(old: Ranking, today: Today) -> tuple[Ranking, list[Case]]:
    """An earlier ranking without the runs that would be others today.

    With a trial go the choice that it led to, and the runs that are scored at it.

    Args:
        old: A ranking of the same key.
        today: Says what would be run today.

    Returns:
        What is left, and the cases of which something is left out.
    """
    settings = {(c.problem, c.model, c.arm): c.setting for c in old.choices}
    trials = [one for one in old.trials if today.is_same(one.spec, one.command, one.setting)]
    kept = {trial.spec.hash for trial in trials}
    gone = [trial.spec for trial in old.trials if trial.spec.hash not in kept]
    outdated = {(spec.problem, spec.model, spec.arm) for spec in gone}
    lengths: list[Length] = []
    for length in old.lengths:
        runs = [
            run
            for run in length.runs
            if (place := run.place[:3]) not in outdated
            and place in settings
            and today.is_same(run.spec, run.command, settings[place], length.share)
        ]
        scored = {run.spec.hash for run in runs}
        gone += [run.spec for run in length.runs if run.spec.hash not in scored]
        lengths.append(Length(length.share, runs))
    choices = [c for c in old.choices if (c.problem, c.model, c.arm) not in outdated]
    problems = {trial.spec.problem for trial in trials}
    left = msgspec.structs.replace(
        old,
        trials=trials,
        choices=choices,
        lengths=lengths,
        columns={name: found for name, found in old.columns.items() if name in problems},
    )
    return left, list(dict.fromkeys((spec.problem, spec.model) for spec in gone))


def _but_seed(spec: Spec) -> str:
    """The same for runs that differ in their seeds alone."""
    return msgspec.structs.replace(spec, seed=0).hash
