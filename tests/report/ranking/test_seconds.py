"""Seconds of an arm beside the reference's: only from runs that were made alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from sample_ranking import STEPS

from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.limits import limits
from bench.report.ranking.short_table import short_table
from bench.store.record import Record

Find = Callable[..., Findings]


def made_elsewhere(
    which: Callable[[Record], bool], step_ms: float, **environment: Any
) -> Callable[[Record], Record]:
    """Changes where some runs were made, and how long a step took there."""

    def edited(one: Record) -> Record:
        if not which(one):
            return one
        timing = msgspec.structs.replace(one.timing, step_ms_median=step_ms)
        return msgspec.structs.replace(
            one, environment={**one.environment, **environment}, timing=timing
        )

    return edited


def of(findings: Findings, arm: str) -> Standing:
    return {one.arm: one for one in findings.standings}[arm]


@pytest.mark.parametrize(
    ("environment", "word"), [({"jobs": 8}, "numbers of jobs"), ({"cpu": "old"}, "devices")]
)
def test_runs_that_were_made_otherwise_give_no_seconds(
    find: Find, environment: Mapping[str, Any], word: str
) -> None:
    elsewhere = made_elsewhere(lambda one: one.arm == "baseline", 5.0, **environment)
    findings = find(edited=elsewhere)
    found = of(findings, "irelu")
    assert found.steps[1.0].whole and found.seconds[1.0].ratio.unknown == 3
    assert not found.equal_seconds.share and found.cost.step_ratio is None
    table = short_table(findings)
    assert table is not None and table.rows[0][table.header.index("seconds")] == ""
    said = limits(findings)
    assert any(text.startswith("irelu has no seconds beside baseline's on") for text in said)
    assert any(word in text for text in said)


def test_runs_of_other_lengths_made_elsewhere_do_not_enter_the_seconds(find: Find) -> None:
    """The reference's shorter and longer runs took five times as long on another machine."""
    elsewhere = made_elsewhere(
        lambda one: one.arm == "baseline" and one.spec.training.steps != STEPS, 5.0, cpu="old"
    )
    findings = find(edited=elsewhere, step_ms={"irelu": 2.0})
    found = of(findings, "irelu")
    assert found.seconds[1.0].ratio.estimate == pytest.approx(2 * found.steps[1.0].ratio.estimate)
    assert set(found.equal_seconds.share.values()) == {0.5}
    assert any("different devices" in text for text in limits(findings))


def test_trials_by_other_code_are_said(find: Find) -> None:
    def edited(one: Record) -> Record:
        code = {"x": "2" if one.seed >= 1_000_000 else "1"}
        return msgspec.structs.replace(one, environment={**one.environment, "code": code})

    assert any("by different code" in text for text in limits(find(edited=edited)))


def test_a_ratio_of_times_has_an_interval(find: Find) -> None:
    findings = find(step_ms={"irelu": 2.0})
    found = of(findings, "irelu")
    steps, seconds = found.steps[1.0], found.seconds[1.0]
    assert steps.low < steps.ratio.estimate < steps.high
    assert (seconds.low, seconds.high) == pytest.approx((2 * steps.low, 2 * steps.high))
    equal = of(findings, "lsuv").steps[1.0]
    assert equal.low < 1 < equal.high
