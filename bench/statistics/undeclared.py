"""Claims of comparisons of which nobody declared one beforehand, as of all arms of a store."""

from __future__ import annotations

from collections.abc import Sequence

from bench.statistics.claims import Claim, claims, counts, may_claim, p_value
from bench.statistics.effects import Effect


def undeclared_claims(effects: Sequence[Effect]) -> list[Claim]:
    """Claims of comparisons that are made together, none of which was declared.

    A single comparison may claim as in `bench.statistics.claims.claims`. Of several, those with
    enough seeds for a family are one, with p values adjusted for their number. The others are
    exploratory, and not the family's: which ones these are depends on how many seeds were run, and
    not on what came out. Comparisons without a pair are no part of it.

    Args:
        effects: Of each comparison.
    """
    compared = [k for k, found in enumerate(effects) if found.pairs]
    if len(compared) <= 1:
        return claims(effects)
    family = [k for k in compared if may_claim(effects[k], len(compared))]
    said = [_exploratory(found) for found in effects]
    for k, claim in zip(family, claims([effects[k] for k in family]), strict=True):
        said[k] = claim
    return said


def _exploratory(found: Effect) -> Claim:
    return Claim(
        "undecided",
        counts(found),
        p_value(found),
        family=1,
        enough=False,
        exploratory=found.pairs > 0,
        seeds_needed=None,
    )
