"""The chance in how settings were chosen, from trials to claims."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sample_ranking import RATES, falling, ranking, write
from sample_study import PROBLEMS

from bench.ranking.ranking import TRIAL_SEEDS, Setting
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.report.results import Case
from bench.statistics.choices import chance
from bench.store.store import Store

ERRORS = {"baseline": 0.4, "irelu": 0.3, "lsuv": 0.4}
CASE = Case(PROBLEMS[0], "fnn:40x6")


def noisy(spread: float) -> object:
    """Trials whose logs are off by so much, up and down for the two seeds, and by rate."""

    def of(problem: str, arm: str, seed: int, setting: Setting) -> tuple[float, float]:
        rate, sign = RATES.index(float(setting["lr"])), 1 - 2 * TRIAL_SEEDS.index(seed)
        error = 0.4 * math.exp((rate - 1) ** 2 + sign * spread * (rate - 1))
        return error**2, error

    return of


def found_by(place: Path, trials: object, **changes: object) -> Findings:
    store = Store(place)
    made = ranking(**changes)  # type: ignore[arg-type]
    write(made, store, falling(ERRORS), trials)  # type: ignore[arg-type]
    return Findings(Ranked.read(made, store))


def test_it_is_that_of_the_trials(tmp_path: Path) -> None:
    found = found_by(tmp_path, noisy(0.1)).ranked.scored
    logs = math.log(0.4) + np.array([[1 - 0.1, 1 + 0.1], [0, 0], [1 + 0.1, 1 - 0.1]])
    assert found.chance(CASE, "irelu") == pytest.approx(chance(2 * logs, logs))
    assert found.chance(CASE, "irelu").variance > 0
    both = found.compare("irelu", "baseline").effect.on[0]
    assert both.choice == pytest.approx(2 * found.chance(CASE, "irelu").variance)


def test_where_trials_are_noisy_nothing_is_claimed(tmp_path: Path) -> None:
    """The same scored runs, which say “better” by themselves."""
    sure, unsure = (found_by(tmp_path / str(s), noisy(s)) for s in (0.01, 0.9))
    assert {one.arm: one.verdict for one in sure.standings}["irelu"] == "better"
    assert {one.arm: one.verdict for one in unsure.standings}["irelu"] == "undecided"
    assert (sure.ranks["irelu"].low, sure.ranks["irelu"].high) == (1, 1)
    assert (unsure.ranks["irelu"].low, unsure.ranks["irelu"].high) == (1, 3)
    effects = [of.equal_seconds["irelu"].effect for of in (sure, unsure)]
    assert effects[1].high > effects[0].high


def test_without_records_of_trials_an_interval_cannot_be_told(tmp_path: Path) -> None:
    found = found_by(tmp_path, lambda *_: "waiting")
    one = found.ranked.scored.compare("irelu", "baseline")
    assert math.isnan(one.effect.low)
    assert one.claim.verdict == "undecided"


def test_a_lost_trial_is_no_result(tmp_path: Path) -> None:
    """The highest rate diverges, or runs out of memory, for every seed: it is no rival."""

    def lost(
        problem: str, arm: str, seed: int, setting: Setting
    ) -> tuple[float, float] | str | None:
        if float(setting["lr"]) == RATES[-1]:
            return "out-of-memory" if arm == "lsuv" else None
        return noisy(0.1)(problem, arm, seed, setting)  # type: ignore[operator,no-any-return]

    found = found_by(tmp_path, lost).ranked.scored
    logs = math.log(0.4) + np.array([[1 - 0.1, 1 + 0.1], [0, 0]])
    for arm in ERRORS:
        assert found.chance(CASE, arm) == pytest.approx(chance(2 * logs, logs))
