"""Comparisons of which nobody declared one beforehand, so that all of them are one family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.report.results import Comparison, Results
from bench.statistics.effects import effect
from bench.statistics.undeclared import undeclared_claims
from bench.store.store import Store
from bench.studies.catalogue import EVERYTHING
from bench.studies.plan import Plan


class UndeclaredResults(Results):
    """Results of runs of which nobody declared a comparison, as of all runs of a store."""

    def compare_all(
        self, pairs: Sequence[tuple[str, str]], metric: str | None = None
    ) -> list[Comparison]:
        """See `Results.compare_all`; no comparison is before the others."""
        return as_family([self.compare(*pair, metric) for pair in pairs])


def read_results(plan: Plan, store: Store, drawn: bool = True) -> Results:
    """The results of a study, or of all runs of a store; see `Results.read`."""
    kind = UndeclaredResults if plan.study == EVERYTHING else Results
    return kind.read(plan, store, drawn)


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
