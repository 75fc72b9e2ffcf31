"""What a page says of tuning is what the arms say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest
from sample_ranking import ranking

from bench.ranking.ranking import Contestant, Ranking
from bench.report.ranking.findings import Findings
from bench.report.ranking.limits import limits
from bench.report.ranking.method import method, one_rate, unequal

Tune = Mapping[str, list[float | str]]


def tuned(*tunes: Tune) -> Ranking:
    arms = zip(("baseline", "snake", "lsuv"), tunes, strict=False)
    return msgspec.structs.replace(ranking(), arms=[Contestant(a, tune=dict(t)) for a, t in arms])


@pytest.mark.parametrize(
    ("tunes", "said", "unsaid"),
    [
        ([{}, {}], ["a third and three times"], ["given", "Tuned besides"]),
        ([{"lr": [1e-3, 3e-3]}] * 2, ["given, 1e-3, 3e-3, and the untuned"], ["a third"]),
        (
            [{"lr": [1e-3]}, {}],
            ["rates of baseline are those that were given", "rates of snake are the untuned one"],
            [],
        ),
        ([{}, {"rescale": [1.0, "default"]}], ["rescale (1, default) for snake."], ["all arms"]),
        ([{"eps": [1e-9]}] * 2, ["eps (1e-9) for all arms."], []),
    ],
)
def test_the_method_is_that_of_the_arms(
    tunes: Sequence[Tune], said: Sequence[str], unsaid: Sequence[str]
) -> None:
    text = method(tuned(*tunes))[0]
    assert all(one in text for one in said) and not any(one in text for one in unsaid)


@pytest.mark.parametrize(
    ("tunes", "said"),
    [
        ([{}, {}], ""),
        ([{"lr": [1e-3, 3e-3]}] * 2, ""),
        ([{}, {"rescale": [1.0, 2.0]}], "baseline over 3 rates; snake over 6 settings."),
        (
            [{"lr": [1.0, 2.0, 3.0, 4.0, 5.0]}, {"lr": [1.0], "rescale": [1.0, 2.0]}],
            "baseline over 5 given rates; snake over 2 given settings.",
        ),
        ([{}, {"lr": [1.0]}, {}], "baseline, lsuv over 3 rates; snake over 1 given rate."),
    ],
)
def test_unequal_tuning_is_said(tunes: Sequence[Tune], said: str) -> None:
    found = unequal(tuned(*tunes))
    assert found.endswith(said) and bool(found) == bool(said)


def test_a_single_rate_is_said(find: Callable[..., Findings]) -> None:
    assert one_rate(tuned({"lr": [1e-3]}, {"lr": [1e-3]})).startswith("One rate was given for all")
    assert "for snake (1e-3)" in one_rate(tuned({}, {"lr": [1e-3]}))
    assert one_rate(tuned({}, {"lr": [1e-3, 1e-2]})) == ""
    arms = [Contestant(arm, tune={"lr": [1e-3]}) for arm in ("baseline", "irelu", "lsuv")]
    assert any(
        text.startswith("One rate")
        for text in limits(find(made=msgspec.structs.replace(ranking(), arms=arms)))
    )
