"""Which settings are tried, and which of them is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ranking.ranking import Setting
from bench.ranking.tuning import FACTOR, FURTHER, Key, Score, Search, key_of

LR = 1e-3
PLAIN = Search({"lr": LR}, {})


def tune(
    search: Search, loss: Callable[[Any], float | None]
) -> tuple[Setting, dict[Key, Score], bool]:
    """The choice, the scores of what was tried, and whether it is at an edge.

    Args:
        search: The search.
        loss: Of a setting; ``None``: every trial diverges.
    """
    scores: dict[Key, Score] = {}
    settings = search.first()
    while settings:
        for setting in settings:
            found = loss(setting)
            assert key_of(setting) not in scores
            scores[key_of(setting)] = Score.of([], 2) if found is None else Score.of([found] * 2)
        settings = search.further(scores)
    best = search.best(scores)
    return best, scores, search.at_edge(best, scores)


def rates(scores: Mapping[Key, Score]) -> list[float]:
    return sorted(float(dict(key)["lr"]) for key in scores)


def bowl(at: float) -> Callable[[Setting], float]:
    """A loss that is least at a rate."""
    return lambda setting: 1 + math.log(float(setting["lr"]) / at) ** 2


def test_three_rates_where_the_untuned_one_is_best() -> None:
    best, scores, at_edge = tune(PLAIN, bowl(LR))
    assert best == {"lr": LR} and not at_edge
    assert rates(scores) == pytest.approx([LR / 3, LR, 3 * LR], rel=1e-3)


@given(st.floats(-9, 9))
def test_the_search_ends_beside_the_best_or_at_its_limit(rung: float) -> None:
    best, scores, at_edge = tune(PLAIN, bowl(LR * FACTOR**rung))
    wanted = max(-1 - FURTHER, min(1 + FURTHER, round(rung)))
    if abs(abs(rung - math.floor(rung)) - 0.5) > 0.01:
        assert best["lr"] == pytest.approx(LR * FACTOR**wanted, rel=1e-3)
    tried = [round(math.log(rate / LR, FACTOR)) for rate in rates(scores)]
    chosen = round(math.log(float(best["lr"]) / LR, FACTOR))
    assert at_edge == (abs(chosen) == 1 + FURTHER)
    # Contiguous, the first three among them, and no further than one beside the best.
    assert tried == [*range(min(-1, max(chosen - 1, -5)), max(1, min(chosen + 1, 5)) + 1)]


def test_of_equal_settings_the_untuned_one_is_chosen() -> None:
    best, scores, at_edge = tune(PLAIN, lambda setting: 1.0)
    assert best == {"lr": LR} and len(scores) == 3 and not at_edge


def test_a_setting_that_diverges_is_worse_than_any_that_does_not() -> None:
    scores = {
        key_of({"lr": 1.0}): Score.of([1e-9], diverged=1),
        key_of({"lr": 2.0}): Score.of([5.0, 6.0]),
        key_of({"lr": 3.0}): Score.of([], diverged=2),
    }
    assert Search({"lr": 1.0}, {}).best(scores) == {"lr": 2.0}


def test_one_failure_counts_like_one_divergence() -> None:
    scores = {
        key_of({"lr": 1.0}): Score.of([2.0], failed=1),
        key_of({"lr": 2.0}): Score.of([1.0], diverged=1),
    }
    assert Search({"lr": 1.0}, {}).best(scores) == {"lr": 2.0}


def test_where_all_rates_diverge_lower_ones_are_tried() -> None:
    best, _, at_edge = tune(PLAIN, lambda setting: None if setting["lr"] > LR / 20 else 1.0)
    assert best["lr"] == pytest.approx(LR / 27, rel=1e-3) and not at_edge
    best, scores, at_edge = tune(PLAIN, lambda setting: None)
    assert best["lr"] == pytest.approx(LR / 3**5, rel=1e-3) and at_edge
    assert len(scores) == 3 + FURTHER


def test_where_all_runs_fail_nothing_more_is_tried() -> None:
    scores = {key_of(setting): Score.of([], failed=2) for setting in PLAIN.first()}
    assert PLAIN.further(scores) == [] and PLAIN.best(scores) == {"lr": LR}


def test_the_mean_is_of_logarithms() -> None:
    """As of equal weights for equal ratios: 1 and 1 beat 0.001 and 2000."""
    assert Score.of([1.0, 1.0]).loss < Score.of([0.001, 2000.0]).loss
    assert Score.of([0.0, 1.0]).loss == -math.inf


def test_all_combinations_of_given_values_and_the_untuned_setting() -> None:
    search = Search({"lr": LR, "rescale": 1.0}, {"rescale": [1e2, 1e4]})
    first = search.first()
    assert first[0] == {"lr": LR, "rescale": 1.0} and len(first) == 1 + 2 * 3
    assert {setting["rescale"] for setting in first[1:]} == {1e2, 1e4}


def test_rates_are_extended_at_the_best_of_the_other_values() -> None:
    search = Search({"lr": LR, "rescale": 1e2}, {"rescale": [1e2, 1e4]})

    def loss(setting: Setting) -> float:
        return bowl(LR * 9)(setting) + (setting["rescale"] == 1e2)

    best, scores, at_edge = tune(search, loss)
    assert best["rescale"] == 1e4 and best["lr"] == pytest.approx(9 * LR)
    assert at_edge  # of the rescaling, whose list is not added to
    tried = [dict(key) for key in scores]
    assert len([s for s in tried if s["rescale"] == 1e2]) == 3
    assert len([s for s in tried if s["rescale"] == 1e4]) == 5


def test_given_rates_are_not_added_to_and_their_edge_is_said() -> None:
    search = Search({"lr": LR}, {"lr": [LR, 2 * LR, 4 * LR]})
    best, scores, at_edge = tune(search, bowl(100 * LR))
    assert best == {"lr": 4 * LR} and at_edge and len(scores) == 3
    assert not tune(search, bowl(2 * LR))[2]


def test_texts_and_single_values_have_no_edge() -> None:
    search = Search(
        {"lr": LR, "schedule": "constant", "eps": 1e-8},
        {"schedule": ["constant", "cosine"], "eps": [1e-8]},
    )
    best, scores, at_edge = tune(search, lambda s: bowl(LR)(s) + (s["schedule"] == "constant"))
    assert best["schedule"] == "cosine" and not at_edge and len(scores) == 6
