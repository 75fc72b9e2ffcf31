"""The results of two sides, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from bench.arm import BASELINE
from bench.report.difference.conditions import Condition, conditions, unit_of
from bench.report.difference.matching import Pair, match
from bench.report.difference.sides import Side
from bench.report.family import as_family, compared
from bench.report.results import Case, Comparison, Results, log_ratio
from bench.report.whole_store import bare_plan
from bench.statistics.claims import claims
from bench.statistics.effects import effect
from bench.store.record import Record
from bench.studies.plan import PlannedRun
from bench.task import Columns
from bench.text.errors import unknown


@dataclass(frozen=True)
class Difference:
    """What differs between A and B in the runs of one suite and budget.

    Attributes:
        a: Name of one side.
        b: Name of the other one.
        suite: Name of the suite.
        budget: Name of the budget.
        pairs: The runs, side by side.
        left_out: Of A and of B how many runs have no partner, by the reason.
        columns: The metrics of each problem.
    """

    a: str
    b: str
    suite: str
    budget: str
    pairs: Sequence[Pair]
    left_out: Mapping[str, tuple[int, int]]
    columns: Mapping[str, Columns]

    @cached_property
    def sides(self) -> tuple[Results, Results]:
        """The results of A and of B, of the runs that have a partner."""
        return self._side([p.a for p in self.pairs]), self._side([p.b for p in self.pairs])

    def _side(self, records: Sequence[Record]) -> Results:
        runs = [PlannedRun(record.spec, "") for record in records]
        plan = bare_plan(self.suite, self.budget, self.columns, runs)
        return Results(plan, {record.spec_hash: record for record in records})

    @property
    def cases(self) -> list[Case]:
        """Problems and models."""
        return self.sides[0].cases

    @cached_property
    def arms(self) -> list[str]:
        """The arms, the baseline first."""
        found = {pair.a.arm for pair in self.pairs}
        return sorted(found, key=lambda arm: (arm != BASELINE, arm))

    def of_arm(self, arm: str) -> list[Pair]:
        """The runs of an arm."""
        return [pair for pair in self.pairs if pair.a.arm == arm]

    @cached_property
    def conditions(self) -> list[Condition]:
        """What differs beside the results."""
        return conditions(self.pairs)

    @cached_property
    def equal(self) -> int:
        """Number of pairs with results that are equal to the last bit."""
        return sum(map(is_equal, self.pairs))

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Of each arm the main errors of B over those of A.

        Several arms are one family, of which none was declared.
        """
        return as_family([self._compare(arm) for arm in self.arms])

    def _compare(self, arm: str) -> Comparison:
        a, b = self.sides
        by_case, lost = {}, {}
        for case in self.cases:
            ours, theirs = (side.values(case, arm, a.metric(case)) for side in (b, a))
            metric = a.metric(case)
            of_a, of_b = a.of(case, arm), b.of(case, arm)
            seeds = [
                seed
                for seed in sorted(ours.keys() & theirs.keys())
                # A ratio of two units is one of units.
                if unit_of(of_a[seed], metric) == unit_of(of_b[seed], metric)
            ]
            if not seeds:
                continue
            by_case[case] = np.array([log_ratio(ours[s], theirs[s]) for s in seeds], dtype=float)
            lost[case] = (_diverged(b, case, arm, seeds), _diverged(a, case, arm, seeds))
        found = effect(list(by_case.values()), names=[case.problem for case in by_case])
        sides = ((self.a, a), (self.b, b))
        unseen = [
            f"{arm} in {name}"
            for name, side in sides
            if any(side.unseen(case, arm) for case in by_case)
        ]
        return Comparison(
            variant=arm,
            reference=self.a,
            metric=a.main_metric,
            effect=found,
            claim=claims([found])[0],
            by_case=by_case,
            noops=[],
            unseen=unseen,
            lost=lost,
        )

    @cached_property
    def verdicts(self) -> list[tuple[Comparison, Comparison]]:
        """Each arm against the baseline, in A and in B, where both have such pairs.

        On either side the arms are one family.
        """
        others = [(arm, BASELINE) for arm in self.arms if arm != BASELINE]
        if BASELINE not in self.arms:
            return []
        in_a, in_b = (compared(side, others) for side in self.sides)
        both = zip(in_a, in_b, strict=True)
        return [(one, other) for one, other in both if one.effect.pairs and other.effect.pairs]


def is_equal(pair: Pair) -> bool:
    """Whether two runs ended alike, with every metric equal to the last bit, in equal units."""
    ends = [
        msgspec.json.encode(
            (r.status, r.steps_done, r.metrics, [unit_of(r, name) for name in sorted(r.metrics)]),
            order="sorted",
        )
        for r in pair
    ]
    return ends[0] == ends[1]


def _diverged(side: Results, case: Case, arm: str, seeds: Sequence[int]) -> int:
    records = side.of(case, arm)
    return sum(records[seed].status == "diverged" for seed in seeds)


def differences(
    a: Side, b: Side, suite: str | None = None, budget: str | None = None
) -> list[Difference]:
    """What differs between two sides, for each suite and budget that both have.

    Args:
        a: One side.
        b: The other one.
        suite: One suite, or all.
        budget: One budget, or all.

    Raises:
        BadInput: They have no suite, budget or run in common, or none that was asked for.
    """
    for word, wanted in (("suite", suite), ("budget", budget)):
        there = {getattr(record, word) for side in (a, b) for record in side.records}
        if wanted is not None and wanted not in there:
            raise unknown(f"{word} of {a.name!r} and {b.name!r}:", wanted, there)
    a, b = a.of(suite, budget), b.of(suite, budget)
    match(a, b)  # refuses what has no partner at all
    found = []
    for of_suite, of_budget in sorted({(r.suite, r.budget) for r in a.records}):
        parts = a.of(of_suite, of_budget), b.of(of_suite, of_budget)
        if not (parts[0].records and parts[1].records):
            continue
        matched = match(*parts)
        columns = {**b.columns[of_suite], **a.columns[of_suite]}
        problems = dict.fromkeys(pair.a.problem for pair in matched.pairs)
        found.append(
            Difference(
                a.name,
                b.name,
                of_suite,
                of_budget,
                matched.pairs,
                matched.left_out,
                {problem: columns[problem] for problem in problems},
            )
        )
    return found
