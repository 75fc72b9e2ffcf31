"""When all of a long call will end."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
from sample_records import SPEC, record

from bench.execution.forecast import Forecast
from bench.execution.progress import ProgressReporter, TerminalReporter, make_reporter
from bench.spec.spec import Spec
from bench.store.record import Record, Timing

SPECS = [msgspec.structs.replace(SPEC, seed=seed) for seed in range(4)]
EXPECTED = {spec.hash: 100.0 for spec in SPECS}


def taken(spec: Spec, seconds: float, **changes: object) -> Record:
    return record(spec, timing=Timing(1.0, seconds - 3, 2.0, 1.0, 1.0, 1.0, 10), **changes)


def test_what_is_left_is_divided_among_those_side_by_side() -> None:
    assert Forecast(EXPECTED, 1).remaining_s() == 400
    assert Forecast(EXPECTED, 2, later_s=50).remaining_s() == 250
    assert Forecast(EXPECTED, 16).remaining_s() == 100  # no sooner than one run
    assert Forecast({}, 2, later_s=50).remaining_s() == 50


def test_steps_and_runs_that_are_done_are_not_left() -> None:
    forecast = Forecast(EXPECTED, 1)
    forecast.progress(SPECS[0].hash, 0.25)
    assert forecast.remaining_s() == 375
    forecast.ended(taken(SPECS[0], 100), reused=False)
    assert forecast.remaining_s() == 300
    forecast.ended(taken(SPECS[1], 1), reused=True)  # of another night, at another pace
    assert forecast.remaining_s() == 200
    forecast.progress("of another call", 0.5)
    forecast.ended(taken(msgspec.structs.replace(SPEC, seed=9), 1), reused=False)
    assert forecast.remaining_s() == 200


def test_the_rest_keeps_the_pace_of_runs_that_did_all_their_steps() -> None:
    forecast = Forecast(EXPECTED, 1, later_s=1000)
    forecast.ended(taken(SPECS[0], 150), reused=False)
    assert forecast.remaining_s() == 1.5 * 1300
    forecast.ended(taken(SPECS[1], 3, status="diverged", steps_done=4), reused=False)
    forecast.ended(taken(SPECS[2], 3, status="failed"), reused=False)
    assert forecast.remaining_s() == 1.5 * 1100


def test_of_seeds_that_were_trained_together_each_took_its_share() -> None:
    forecast = Forecast(EXPECTED, 1)
    for spec in SPECS[:2]:
        forecast.ended(taken(spec, 240, environment={"seeds_together": 2}), reused=False)
    assert forecast.remaining_s() == 1.2 * 200


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> float:
    """A Saturday's."""
    now = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))
    monkeypatch.setattr(time, "time", lambda: now)
    return now


def test_the_end_is_a_time_of_day(noon: float) -> None:
    assert Forecast({}, 1, later_s=3600 + 125).text() == "all ends about 13:02"
    assert Forecast({}, 1, later_s=25 * 3600).text() == "all ends about Sun 13:00"
    # Whatever is left then is not waited for.
    assert Forecast({}, 1, later_s=7200, until=noon + 60).text() == "all ends about 12:01"


def test_a_line_for_each_run_says_it(noon: float, capsys: pytest.CaptureFixture[str]) -> None:
    with make_reporter(SPECS, forecast=Forecast(EXPECTED, 1, 3600)) as reporter:
        assert type(reporter) is ProgressReporter
        reporter.finished(record(SPECS[0]), reused=True)
        reporter.progress(SPECS[1], 5, 10, 0.5)
        reporter.finished(taken(SPECS[1], 100), reused=False)
    found, done = capsys.readouterr().err.splitlines()
    assert found == "[1/4] 1 run found in the store, all ends about 13:03"
    assert re.fullmatch(r"\[2/4\] .*: done in 100\.0 s, all ends about 13:03", done)


def test_the_bar_of_all_runs_says_it(noon: float) -> None:
    reporter = TerminalReporter(SPECS, Forecast(EXPECTED, 1, 3600))

    def shown() -> str:
        return reporter._progress.tasks[0].description

    assert shown() == "4 runs, all ends about 13:06"
    reporter.progress(SPECS[0], 9, 10, 0.5)
    assert shown() == "4 runs, all ends about 13:05"
    reporter.finished(taken(SPECS[0], 200), reused=False)
    assert shown() == "4 runs, all ends about 14:10"


def test_nothing_is_said_where_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with make_reporter(SPECS) as reporter:
        reporter.finished(taken(SPECS[0], 100), reused=False)
    assert capsys.readouterr().err.endswith(" in 100.0 s\n")
