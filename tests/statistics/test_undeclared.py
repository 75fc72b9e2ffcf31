"""Claims of comparisons of which none was declared."""

from __future__ import annotations

import numpy as np

from bench.statistics.claims import claims
from bench.statistics.effects import Effect, effect
from bench.statistics.undeclared import undeclared_claims


def halved(seeds: int, problems: int = 3, noise: int = 0) -> Effect:
    """An arm with half of the error, give or take one per cent."""
    rng = np.random.default_rng(noise)
    return effect([np.log(0.5) + 0.01 * rng.standard_normal(seeds) for _ in range(problems)])


def test_with_three_seeds_a_single_comparison_claims_and_none_of_several() -> None:
    (alone,) = undeclared_claims([halved(3)])
    assert alone.verdict == "better"
    both = undeclared_claims([halved(3), halved(3, noise=1)])
    assert [claim.verdict for claim in both] == ["undecided", "undecided"]
    assert all(claim.exploratory for claim in both)
    # Where a study declares the first, it may claim.
    assert claims([halved(3), halved(3, noise=1)])[0].verdict == "better"


def test_an_arm_with_few_seeds_takes_no_claim_from_the_others() -> None:
    several = [halved(5), halved(2, noise=1), halved(5, noise=2)]
    said = undeclared_claims(several)
    assert [claim.verdict for claim in said] == ["better", "undecided", "better"]
    assert [claim.family for claim in said] == [2, 1, 2]
    assert said[1].exploratory


def test_the_order_decides_nothing() -> None:
    several = [halved(5), halved(2, noise=1), halved(5, noise=2), halved(8, noise=3)]
    forwards = undeclared_claims(several)
    assert undeclared_claims(several[::-1]) == forwards[::-1]


def test_what_has_no_pair_is_no_part() -> None:
    said = undeclared_claims([effect([]), halved(3)])
    assert not said[0].exploratory
    assert said[1].verdict == "better"
    assert undeclared_claims([]) == []
