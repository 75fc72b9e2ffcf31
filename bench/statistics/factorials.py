"""Main effects and interactions of full factorials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bench.statistics.claims import ALPHA, Claim, Verdict, claims
from bench.statistics.effects import Effect, effect


class Term(NamedTuple):
    """A main effect (one factor) or an interaction (several).

    Attributes:
        factors: Names of the factors.
        effect: The effect.
        verdict: ``better`` or ``worse`` where the effect is significant among all terms;
            ``undecided`` else, and if a run diverged.
        exploratory: Whether there are too few seeds for claims of several terms.
        diverged: Number of runs that were entered with the worst error of their problem.
    """

    factors: tuple[str, ...]
    effect: Effect
    verdict: Verdict
    exploratory: bool
    diverged: int


def factorial(names: Sequence[str], log_errors: Sequence[np.ndarray]) -> list[Term]:
    """Main effects and interactions of a full 2ᵏ factorial, of every order.

    A main effect is the log error with the factor minus that without, averaged over the levels of
    the other factors. An interaction is the effect of one factor with another on, minus its effect
    with the other off (a log ratio of ratios), and so on.

    Args:
        names: Names of the k factors.
        log_errors: For each problem (2, …, 2, seeds) natural logs, an axis for each factor, off
            and on. A diverged run (+inf) is entered with the largest finite value of its problem.
            That is a guess, so nothing is claimed then, least of all about an interaction. A
            problem without a finite value is left out.
    """
    some = [values for values in log_errors if np.isfinite(values).any()]
    capped = [_capped(values) for values in some]
    diverged = sum(int(np.isposinf(values).sum()) for values in some)
    sets = [c for k in range(1, len(names) + 1) for c in combinations(range(len(names)), k)]
    effects = [effect([_contrast(values, chosen) for values in capped]) for chosen in sets]
    return [
        Term(
            tuple(names[k] for k in chosen),
            found,
            "undecided" if diverged else _verdict(found, claim),
            claim.exploratory,
            diverged,
        )
        for chosen, found, claim in zip(sets, effects, claims(effects), strict=True)
    ]


def _verdict(found: Effect, claim: Claim) -> Verdict:
    """By significance alone: that no problem is inferior is asked of arms."""
    if claim.exploratory or not claim.enough or claim.p >= ALPHA:
        return "undecided"
    return "better" if found.estimate < 0 else "worse"


def _capped(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    return np.clip(values, finite.min(), finite.max())


def _contrast(values: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """(seeds,) differences along the chosen axes, means along the others."""
    for axis in reversed(range(values.ndim - 1)):
        off, on = np.take(values, 0, axis=axis), np.take(values, 1, axis=axis)
        values = on - off if axis in chosen else (on + off) / 2
    return values
