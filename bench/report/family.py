"""Comparisons of which nobody declared one beforehand, so that all of them are one family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.report.results import Comparison, Results
from bench.statistics.effects import effect
from bench.statistics.undeclared import undeclared_claims


def compared(results: Results, pairs: Iterable[tuple[str, str]]) -> list[Comparison]:
    """Variants with their references in the main error.

    Args:
        results: The results.
        pairs: Of each comparison, the variant and its reference.
    """
    return as_family([results.compare(*pair) for pair in pairs])


def as_family(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with what may be claimed of them together.

    One with a run that did not see its equation makes no claim, and does not belong to the family.
    """
    nothing = effect([])
    said = undeclared_claims([nothing if one.unseen else one.effect for one in comparisons])
    return [replace(one, claim=claim) for one, claim in zip(comparisons, said, strict=True)]
