"""The line of chosen rates, and what stands beside the ratio."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sample_ranking import ranking

from bench.report.ranking.findings import Findings
from bench.report.ranking.headline import headline
from bench.report.ranking.rates import rates_text, short_number


def test_rates_are_spelled_for_few_cases_and_a_range_for_many(
    find: Callable[..., Findings],
) -> None:
    def text(problems: str) -> str:
        made = ranking(problems=list(problems), names={"irelu": "I"})
        choices = [
            msgspec.structs.replace(one, setting={"lr": 3e-4 if one.problem == "b" else 1e-2})
            if one.arm == "irelu"
            else one
            for one in made.choices
        ]
        return rates_text(find(made=msgspec.structs.replace(made, choices=choices)).ranked)

    said = "rates: baseline 3e-3 everywhere; I {}; lsuv 3e-3 everywhere"
    assert text("abc") == said.format("1e-2 on a and c, 3e-4 on b")
    assert text("abcde") == said.format("3e-4 to 1e-2 on 5 problems")
    assert text("a") == "rates: baseline 3e-3 on a; I 1e-2 on a; lsuv 3e-3 on a"


@pytest.mark.parametrize(
    ("value", "said"), [(3e-3, "3e-3"), (0.25, "0.25"), (1.234e-5, "1.23e-5"), (2e4, "2e4")]
)
def test_numbers_are_short(value: float, said: str) -> None:
    assert short_number(value) == said


def test_equal_seconds_and_the_untuned_ratio_stand_beside_the_ratio(
    find: Callable[..., Findings],
) -> None:
    (said,) = headline(find(step_ms={"irelu": 2.0}))
    assert "at equal seconds ×0.99" in said or "at equal seconds ×1.0" in said
    assert ", untuned ×1.00" in said
    # At a tenth of the steps nothing was run, so nothing is said.
    assert "at equal seconds" not in headline(find(step_ms={"irelu": 10.0}))[0]
