"""A ranking with the records that exist, arranged for its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import numpy as np

from bench.ranking.ranking import Choice, Contestant, Ranking, Trial
from bench.report.ranking.choosing import chances
from bench.report.results import Case, Results, log_error
from bench.spec.versions import differs, newest_versions
from bench.store.gc_pause import uncollected
from bench.store.record import Record, decode_result
from bench.store.store import Store
from bench.studies.plan import PlannedRun


@dataclass(frozen=True)
class Ranked:
    """A ranking with its records.

    Arms are called by their short names, as in tables.

    Args:
        ranking: The ranking.
        by_length: The results of each length by its share of the budget's steps; 1 is always there,
            without runs as long as nothing is scored.
        trials: Records of the trials by the hash of their spec, whatever their status.
    """

    ranking: Ranking
    by_length: Mapping[float, Results]
    trials: Mapping[str, Record]

    @classmethod
    def read(cls, ranking: Ranking, store: Store, drawn: bool = True) -> Ranked:
        """What a store has of a ranking.

        Args:
            ranking: The ranking.
            store: The store.
            drawn: Whether to read also what learning curves are drawn from, of the whole length.
        """
        shares = sorted({1.0, *(length.share for length in ranking.lengths)})
        by_length = {
            share: Results.read(ranking.plan(share), store, drawn and share == 1.0)
            for share in shares
        }
        found: dict[str, Record] = {}
        with uncollected():
            for name in dict.fromkeys(trial.spec.hash for trial in ranking.trials):
                record = store.read(name, decode_result)
                if record is not None:
                    found[name] = record
        chosen = chances(ranking, found)
        with_chances = {s: replace(of, chances=chosen) for s, of in by_length.items()}
        return cls(ranking, with_chances, found)

    @property
    def scored(self) -> Results:
        """The results at the whole length, by which verdicts are given."""
        return self.by_length[1.0]

    @property
    def arms(self) -> list[str]:
        """The reference first, then the others in the ranking's order."""
        return [one.label for one in self.ranking.arms]

    @property
    def reference(self) -> str:
        """What the others are compared with."""
        return self.ranking.reference.label

    @cached_property
    def contestants(self) -> Mapping[str, Contestant]:
        """The arms by their short names."""
        return {one.label: one for one in self.ranking.arms}

    @cached_property
    def cases(self) -> list[Case]:
        """Problems and models: those that are scored, then those that are only tuned."""
        tuned = (Case(trial.spec.problem, trial.spec.model) for trial in self.ranking.trials)
        return list(dict.fromkeys([*self.scored.cases, *tuned]))

    @cached_property
    def every_run(self) -> Results:
        """All runs in one: of each length, and the trials."""
        plan = self.ranking.plan()
        scored = [run for length in self.ranking.lengths for run in length.runs]
        trials = [PlannedRun(trial.spec, trial.command) for trial in self.ranking.trials]
        records = {name: r for of in self.by_length.values() for name, r in of.records.items()}
        whole = msgspec.structs.replace(plan, runs=[*scored, *trials]).renamed()
        return Results(whole, records | dict(self.trials))

    def title(self, case: Case) -> str:
        """The problem, and the model where there are several."""
        models = {other.model for other in self.cases}
        return case.problem if len(models) == 1 else f"{case.problem} · {case.model}"

    @property
    def word(self) -> str:
        """What arms are compared on: a ``problem``, or a ``case`` where one has several models."""
        problems = [case.problem for case in self.cases]
        return "problem" if len(set(problems)) == len(problems) else "case"

    @property
    def words(self) -> str:
        """``problems``, or ``cases (problems with their models)``."""
        return "problems" if self.word == "problem" else "cases (problems with their models)"

    def metric(self, case: Case) -> str:
        """The error by which arms are compared."""
        return self.scored.metric(case)

    @cached_property
    def _trials(self) -> Mapping[tuple[Case, str], list[Trial]]:
        labels = self.ranking.labels
        found: dict[tuple[Case, str], list[Trial]] = {}
        for trial in self.ranking.trials:
            place = (Case(trial.spec.problem, trial.spec.model), labels[trial.spec.arm])
            found.setdefault(place, []).append(trial)
        return found

    def trials_of(self, case: Case, arm: str) -> list[Trial]:
        """The trials of an arm on a case, in the ranking's order."""
        return self._trials.get((case, arm), [])

    @cached_property
    def choices(self) -> Mapping[tuple[Case, str], Choice]:
        """What was chosen by case and arm."""
        labels = self.ranking.labels
        return {
            (Case(one.problem, one.model), labels[one.arm]): one for one in self.ranking.choices
        }

    def errors(self, case: Case, share: float = 1.0) -> Mapping[str, Mapping[int, float]]:
        """Final errors of all arms by seed, infinite where the run diverged.

        Runs of a definition that has been redefined for another run of the case are left out.
        """
        return self._errors.get((case, share), {arm: {} for arm in self.arms})

    @cached_property
    def _errors(self) -> Mapping[tuple[Case, float], Mapping[str, Mapping[int, float]]]:
        return {
            (case, share): {arm: _newest(results, case, arm) for arm in self.arms}
            for share, results in self.by_length.items()
            for case in results.cases
        }

    def log_errors(self, case: Case, share: float = 1.0) -> np.ndarray:
        """Natural logarithms of `errors`.

        Returns:
            (arms, seeds), the seeds in order: nan without a result, +inf where the run diverged.
        """
        return log_array(self.errors(case, share), self.arms)


def log_array(errors: Mapping[str, Mapping[int, float]], arms: Sequence[str]) -> np.ndarray:
    """(arms, seeds) of natural logarithms of errors by arm and seed; nan where there is none."""
    seeds = sorted({seed for of_arm in errors.values() for seed in of_arm})
    return np.array(
        [
            [log_error(errors[arm][seed]) if seed in errors[arm] else math.nan for seed in seeds]
            for arm in arms
        ],
        dtype=float,
    ).reshape(len(arms), len(seeds))


def _newest(results: Results, case: Case, arm: str) -> Mapping[int, float]:
    """Errors by seed of the runs whose definitions are the newest that the case has."""
    every = [run.spec for name in results.variants for run in results.runs(case, name).values()]
    values = results.values(case, arm, results.metric(case))
    if not any(spec.versions for spec in every):
        return values
    versions = newest_versions(every)
    runs = results.runs(case, arm)
    return {seed: e for seed, e in values.items() if not differs(runs[seed].spec, versions)}
