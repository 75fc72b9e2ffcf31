"""Thresholds of times from what each of them did in the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.tracking.history import FLOOR, LEAST_VALUES, own_thresholds
from bench.tracking.results import Value
from bench.tracking.thresholds import Thresholds

NAME = "steps.PINNStep.time_step"


def commits(numbers: list[float], **changes: Any) -> list[dict[str, Value]]:
    """Each a commit with one value."""
    fields: dict[str, Any] = {
        **{"benchmark": NAME, "parameters": (), "low": None, "high": None},
        **{"version": "1", "unit": "seconds", "kind": "time", **changes},
    }
    return [{NAME: Value(value=number, **fields)} for number in numbers]


def test_it_is_three_interquartile_ranges_above_the_third_quartile() -> None:
    # Steps by factors e^0.1, e^0.2, e^0.3, up and down in turn: quartiles 0.1 and 0.3.
    steps = [0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.1, -0.2, 0.3]
    numbers = np.exp(np.cumsum([0.0, *steps])).tolist()
    found = own_thresholds(commits(numbers))
    assert found == {NAME: pytest.approx(np.exp(0.3 + 3 * 0.2) - 1)}


def test_a_quiet_past_gives_the_floor() -> None:
    assert own_thresholds(commits([1.0, 1.01] * LEAST_VALUES)) == {NAME: FLOOR}


def test_one_wanted_change_is_one_step_and_does_not_widen_it() -> None:
    numbers = [1.0, 1.01] * 10 + [2.0, 2.02] * 10
    assert own_thresholds(commits(numbers)) == {NAME: FLOOR}


def test_a_short_past_says_nothing() -> None:
    numbers = [1.0, 3.0] * LEAST_VALUES
    assert own_thresholds(commits(numbers[: LEAST_VALUES - 1])) == {}
    assert set(own_thresholds(commits(numbers[:LEAST_VALUES]))) == {NAME}


def test_the_past_begins_with_the_version_of_the_benchmark() -> None:
    old = commits([1.0, 9.0] * LEAST_VALUES, version="1")
    new = commits([1.0, 1.0] * LEAST_VALUES, version="2")
    assert own_thresholds([*old, *new]) == {NAME: FLOOR}
    assert own_thresholds([*old, *new[:3]]) == {}


@pytest.mark.parametrize("kind", ["track", "peakmemory"])
def test_only_times_have_one(kind: str) -> None:
    assert own_thresholds(commits([1.0, 3.0] * LEAST_VALUES, kind=kind)) == {}


def test_failures_are_no_values() -> None:
    past = [*commits([1.0] * (LEAST_VALUES - 1)), *commits([None])]  # type: ignore[list-item]
    assert own_thresholds(past) == {}


def test_a_value_without_a_past_has_the_threshold_of_its_pattern() -> None:
    thresholds = Thresholds({".*time_": 0.4}).with_own({NAME: 0.3})
    assert thresholds.of(NAME) == 0.3
    assert thresholds.of(f"{NAME}('advection-1d')") == 0.4
