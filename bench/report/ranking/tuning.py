"""How each arm was tuned: the settings that were tried, and what became of each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.ranking.ranking import Setting, Trial
from bench.report.ranking.ranked import Ranked
from bench.report.results import Case, log_error
from bench.store.record import FINAL, Record
from bench.text.formatting import number

#: The metric by which settings are selected, in every record.
SELECTION = "selection"


@dataclass(frozen=True)
class Tried:
    """A setting of an arm on a case.

    Attributes:
        arm: Name of the arm.
        setting: What was tried.
        selections: By seed, the loss by which settings are selected; infinite where the run
            diverged, nan where an older record lacks it.
        errors: By seed, the final test error, which decided nothing; infinite where it diverged.
        failed: Number of trials that ended without a result.
        missing: Number of trials that have not ended.
        chosen: Whether the arm is scored at it.
        untuned: Whether the arm has it without tuning.
        at_edge: Whether it is chosen, and nothing worse was tried beyond it in some direction.
    """

    arm: str
    setting: Setting
    selections: Mapping[int, float]
    errors: Mapping[int, float]
    failed: int
    missing: int
    chosen: bool
    untuned: bool
    at_edge: bool

    @property
    def diverged(self) -> int:
        """Number of seeds that diverged."""
        return sum(math.isinf(value) for value in self.selections.values())

    @property
    def selection(self) -> float:
        """Geometric mean over the seeds that did not diverge; nan if there is none."""
        return _geometric_mean(list(self.selections.values()))

    @property
    def error(self) -> float:
        """Geometric mean of the test errors of the seeds that did not diverge; nan if none."""
        return _geometric_mean(list(self.errors.values()))


def tuning(ranked: Ranked, case: Case) -> list[Tried]:
    """Every setting that was tried on a case: arm by arm, in the order of its values."""
    return [tried for arm in ranked.arms for tried in _of_arm(ranked, case, arm)]


def _of_arm(ranked: Ranked, case: Case, arm: str) -> list[Tried]:
    choice = ranked.choices.get((case, arm))
    by_setting: dict[tuple[tuple[str, float | str], ...], list[Trial]] = {}
    for trial in ranked.trials_of(case, arm):
        by_setting.setdefault(_identity(trial.setting), []).append(trial)
    found = []
    for trials in by_setting.values():
        setting = trials[0].setting
        chosen = choice is not None and setting == choice.setting
        records = {trial.spec.seed: ranked.trials.get(trial.spec.hash) for trial in trials}
        results = {
            seed: record
            for seed, record in records.items()
            if record is not None and record.status in FINAL
        }
        found.append(
            Tried(
                arm,
                setting,
                {seed: _value(record, SELECTION) for seed, record in results.items()},
                {seed: _value(r, ranked.metric(case)) for seed, r in results.items()},
                sum(r is not None and r.status not in FINAL for r in records.values()),
                sum(record is None for record in records.values()),
                chosen,
                choice is not None and setting == choice.untuned,
                choice is not None and chosen and choice.at_edge,
            )
        )
    return sorted(found, key=lambda tried: _order(tried.setting))


def setting_text(setting: Setting) -> str:
    """``lr 3e-3, rescale 100``; ``as it is`` where nothing is tuned."""
    said = [
        f"{name} {number(value) if isinstance(value, float | int) else value}"
        for name, value in setting.items()
    ]
    return ", ".join(said) or "as it is"


def _identity(setting: Setting) -> tuple[tuple[str, float | str], ...]:
    return tuple(sorted(setting.items()))


def _order(setting: Setting) -> list[tuple[str, bool, float, str]]:
    """Numbers by value, then words."""
    return [
        (name, False, float(value), "")
        if isinstance(value, float | int)
        else (name, True, 0.0, value)
        for name, value in sorted(setting.items())
    ]


def _value(record: Record, metric: str) -> float:
    """A final value; infinite of a diverged run, nan where the record has none."""
    if record.status == "diverged":
        return math.inf
    found = record.metrics.get(metric)
    if found is None:
        return math.nan
    # The run is done and its value is no number: the worst, as where arms are compared.
    return math.inf if found.final is None else found.final


def _geometric_mean(values: Sequence[float]) -> float:
    logs = [log_error(value) for value in values if math.isfinite(value)]
    return math.exp(statistics.fmean(logs)) if logs else math.nan
