"""Factorials: what was put in is found, and a guess is no ground for a claim."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.statistics.factorials import factorial

INF = math.inf


def additive(*effects: float, interaction: float = 0.0) -> np.ndarray:
    """(2, …, 2, seeds) log errors with known main effects, and one interaction of the first two."""
    values = np.zeros((2,) * len(effects) + (5,))
    for levels in np.ndindex(*(2,) * len(effects)):
        values[levels] = 0.5 + sum(e * on for e, on in zip(effects, levels, strict=True))
        values[levels] += interaction * levels[0] * levels[1]
    return values + np.array([0.0, 0.3, -0.2, 0.1, -0.1])  # a seed's own level does not matter


@pytest.mark.parametrize("interaction", [0.0, 0.7])
def test_a_factorial_finds_what_was_put_in(interaction: float) -> None:
    terms = factorial(["a", "b"], [additive(-1, 0.25, interaction=interaction)] * 2)
    found = {term.factors: term.effect.estimate for term in terms}
    assert found == pytest.approx(
        {
            ("a",): -1 + interaction / 2,
            ("b",): 0.25 + interaction / 2,
            ("a", "b"): interaction,
        }
    )


def test_three_factors_have_all_orders() -> None:
    terms = factorial(["a", "b", "c"], [additive(1, 2, -3, interaction=0.4)] * 2)
    found = {"".join(term.factors): term.effect.estimate for term in terms}
    expected = {"a": 1.2, "b": 2.2, "c": -3, "ab": 0.4, "ac": 0, "bc": 0, "abc": 0}
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_diverged_cell_counts_as_the_worst_of_its_problem() -> None:
    values = additive(0, 0)
    values[1, 1, :] = INF
    worst = additive(0, 0)
    worst[1, 1, :] = values[np.isfinite(values)].max()
    guessed, known = (factorial(["a", "b"], [x] * 3) for x in (values, worst))
    assert [t.effect[:3] for t in guessed] == [t.effect[:3] for t in known]
    assert {t.diverged for t in guessed} == {15}
    # A guess is no ground for a claim, however clear the rest is.
    clear = [additive(-1, 0.5) for _ in range(3)]
    assert factorial(["a", "b"], clear)[0].verdict == "better"
    clear[0][0, 1, 0] = INF
    assert {t.verdict for t in factorial(["a", "b"], clear)} == {"undecided"}
    few = factorial(["a", "b"], [values[..., :3] for values in [additive(-1, 0.5)] * 3])
    assert [term.exploratory for term in few] == [False, True, True]
    lost = np.full((2, 2, 5), INF)
    assert factorial(["a"], [lost[0]])[0].effect.pairs == 0
