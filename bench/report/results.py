"""The results of a plan: its records, arranged for comparison."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bench.report.variants import with_variants
from bench.spec.versions import conflict
from bench.statistics.choices import NO_CHANCE, Chance, together
from bench.statistics.claims import Claim, claims
from bench.statistics.effects import Effect, OnProblem, effect
from bench.statistics.factorials import Term, factorial
from bench.statistics.summaries import Summary, summarize
from bench.store.gc_pause import uncollected
from bench.store.record import FINAL, Record, decode_drawn, decode_result
from bench.store.record import decode as decode_whole
from bench.store.store import Store
from bench.studies.plan import Plan, PlannedRun
from bench.task import Columns
from bench.training.residual_ratio import unseen_equation

_SMALLEST = sys.float_info.min


class Case(NamedTuple):
    """A problem and a model: what arms are compared on."""

    problem: str
    model: str


@dataclass(frozen=True)
class Comparison:
    """A variant against a reference in one metric.

    Attributes:
        variant: Name of the variant.
        reference: Name of what it is compared with.
        metric: An error, of which less is better.
        effect: The effect over all cases and seeds that have both.
        claim: What may be claimed of it, alone or in the family of the plan's comparisons.
        by_case: Log ratios of each case, one value for each seed.
        noops: Cases where both are the same run; they are left out.
        unseen: Those of the two that have a run whose residual in training is not that of the
            function which is scored: nothing is claimed then, whatever the figures are.
        lost: Of each case, in how many of the pairs the variant diverged, and the reference.
    """

    variant: str
    reference: str
    metric: str
    effect: Effect
    claim: Claim
    by_case: Mapping[Case, np.ndarray]
    noops: Sequence[Case]
    unseen: Sequence[str] = ()
    lost: Mapping[Case, tuple[int, int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``irelu vs baseline``."""
        return f"{self.variant} vs {self.reference}"

    @property
    def outcome(self) -> str:
        """The verdict, or why there is none."""
        if self.effect.pairs:
            return "no claim" if self.unseen else self.claim.verdict
        return "no-op" if self.noops else "no pairs yet"

    @property
    def on(self) -> dict[Case, OnProblem]:
        """The effect on each case."""
        return dict(zip(self.by_case, self.effect.on, strict=True))


@dataclass(frozen=True)
class Results:
    """Records of a plan.

    Args:
        plan: The plan, its arms called by their short names.
        records: The records that exist, by the hash of their spec.
        chances: By case and variant, the chance in how its settings were chosen, where they were.
    """

    plan: Plan
    records: Mapping[str, Record]
    chances: Mapping[tuple[Case, str], Chance] = field(default_factory=dict)

    @classmethod
    def read(cls, plan: Plan, store: Store, drawn: bool = True) -> Results:
        """The results that a store has for a plan.

        Args:
            plan: The plan.
            store: The store.
            drawn: Whether to read also what curves are drawn from: parts of losses and history.
        """
        names = {spec.hash: spec.problem for spec in plan.specs}
        found: dict[str, Record] = {}
        with uncollected():
            for name, problem in names.items():
                decode = _decoder(plan.columns[problem]) if drawn else decode_result
                record = store.read(name, decode)
                if record is not None:
                    found[name] = record
        return cls(plan.renamed(), found)

    @property
    def columns(self) -> Mapping[str, Columns]:
        """The metrics of each problem."""
        return self.plan.columns

    @cached_property
    def cases(self) -> list[Case]:
        """Problems and models, in the plan's order."""
        specs = self.plan.specs
        return [
            Case(problem, model)
            for problem in dict.fromkeys(spec.problem for spec in specs)
            for model in dict.fromkeys(spec.model for spec in specs)
            if any((spec.problem, spec.model) == (problem, model) for spec in specs)
        ]

    @cached_property
    def variants(self) -> list[str]:
        """Names of the variants, in the plan's order."""
        return self.plan.variants

    @cached_property
    def _runs(self) -> dict[tuple[Case, str], dict[int, PlannedRun]]:
        runs: dict[tuple[Case, str], dict[int, PlannedRun]] = {}
        for run in self.plan.runs:
            spec = run.spec
            place = (Case(spec.problem, spec.model), spec.arm)
            runs.setdefault(place, {})[spec.seed] = run
        return runs

    def title(self, case: Case) -> str:
        """The problem, and the model where there are several."""
        models = {other.model for other in self.cases}
        return case.problem if len(models) == 1 else f"{case.problem} · {case.model}"

    def runs(self, case: Case, variant: str) -> dict[int, PlannedRun]:
        """The planned runs by seed."""
        return self._runs.get((case, variant), {})

    @cached_property
    def _names(self) -> dict[tuple[Case, str], dict[int, str]]:
        """The hashes of `runs`."""
        return {
            place: {seed: run.spec.hash for seed, run in runs.items()}
            for place, runs in self._runs.items()
        }

    @cached_property
    def _results(self) -> dict[tuple[Case, str], dict[int, Record]]:
        return {
            place: {
                seed: record
                for seed, name in names.items()
                if (record := self.records.get(name)) is not None and record.status in FINAL
            }
            for place, names in self._names.items()
        }

    def of(self, case: Case, variant: str) -> Mapping[int, Record]:
        """The records by seed of runs that are a result: done, or diverged.

        A run that failed says nothing about the arm (memory, a disk); the study runs it again.
        """
        return self._results.get((case, variant), {})

    @cached_property
    def ended(self) -> list[tuple[Case, str]]:
        """The cases and variants that have results, in order."""
        return [(case, v) for case in self.cases for v in self.variants if self.of(case, v)]

    @cached_property
    def statuses(self) -> dict[str, int]:
        """Number of runs with each status; ``waiting`` are those without a record."""
        counts = Counter[str]()
        for name in dict.fromkeys(spec.hash for spec in self.plan.specs):
            record = self.records.get(name)
            counts["waiting" if record is None else record.status] += 1
        return dict(counts)

    def metric(self, case: Case) -> str:
        """The error by which arms are compared."""
        return self.columns[case.problem].main[0]

    @cached_property
    def main_metric(self) -> str:
        """The error by which arms are compared; where it differs, of each problem."""
        by_metric: dict[str, list[str]] = {}
        # Of a plan without runs yet, the problems that it will have.
        for problem in [case.problem for case in self.cases] or self.columns:
            by_metric.setdefault(self.columns[problem].main[0], []).append(problem)
        first, *others = by_metric
        said = [f"{name} on {', '.join(dict.fromkeys(by_metric[name]))}" for name in others]
        return f"{first}; {'; '.join(said)}" if said else first

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that the suite shows and some record has, each once."""
        asked = [n for c in self.columns.values() for n in (*c.main, *c.further)]
        there = dict.fromkeys(n for record in self.records.values() for n in record.metrics)
        found = with_variants(dict.fromkeys(asked), there)
        return [*found, *dict.fromkeys(n for case in self.cases for n in self.values_shown(case))]

    def values_shown(self, case: Case) -> list[str]:
        """The metrics of a case that are neither errors nor scores; see `bench.task.Columns`."""
        columns = self.columns[case.problem]
        if not columns.values:
            return []
        runs = [self.of(case, variant) for variant in self.variants]
        return columns.values_of(
            n for run in runs for record in run.values() for n in record.metrics
        )

    @cached_property
    def errors_shown(self) -> list[str]:
        """Those of `metrics` of which less is better."""
        asked = {name for columns in self.columns.values() for name in columns.scores}
        others = set(with_variants(asked, self.metrics))
        others |= {name for case in self.cases for name in self.values_shown(case)}
        return [name for name in self.metrics if name not in others]

    @cached_property
    def _units(self) -> dict[str, dict[Case, set[str]]]:
        """The units of each metric on each case."""
        units: dict[str, dict[Case, set[str]]] = {}
        for record in self.records.values():
            case = Case(record.problem, record.model)
            for metric in record.metrics:
                of_case = units.setdefault(metric, {}).setdefault(case, set())
                of_case.add(record.units.get(metric, "1"))
        return units

    def unit(self, metric: str, case: Case | None = None) -> str:
        """Unit of a metric; empty if it has none, or several."""
        by_case = self._units.get(metric, {})
        some = by_case.values() if case is None else [by_case.get(case, set())]
        units = set().union(*some)
        unit = units.pop() if len(units) == 1 else "1"
        return "" if unit == "1" else unit

    def values(self, case: Case, variant: str, metric: str) -> dict[int, float]:
        """The final value by seed; infinite, the worst, for a run that diverged.

        For a score and those of its parts, of which more is better, the worst is −inf. Seeds whose
        run lacks the metric, or is done and has no number for it, are left out; but the
        error by which arms are compared is the worst where it is no number.
        """
        columns = self.columns[case.problem]
        worst = -math.inf if with_variants(columns.scores, [metric]) else math.inf
        found = {}
        for seed, record in self.of(case, variant).items():
            value = record.metrics.get(metric)
            if value is None:
                continue
            if record.status == "diverged":
                found[seed] = worst
            elif value.final is not None:
                found[seed] = value.final
            elif metric == columns.main[0]:
                found[seed] = worst
        return found

    def summary(self, case: Case, variant: str, metric: str) -> Summary:
        """Summary of a metric over the seeds."""
        return summarize(np.array(list(self.values(case, variant, metric).values()), dtype=float))

    def median(self, case: Case, variant: str, metric: str) -> float | None:
        """Median of a metric over the seeds; ``None`` if no run has the metric."""
        values = list(self.values(case, variant, metric).values())
        return float(statistics.median(values)) if values else None

    def twin(self, case: Case, variant: str) -> str | None:
        """The first variant before it that is the same run on a case."""
        before = self.variants[: self.variants.index(variant)]
        return next((other for other in before if self.is_noop(case, variant, other)), None)

    def is_noop(self, case: Case, variant: str, reference: str) -> bool:
        """Whether the variant is the same run as the reference on a case."""
        ours, theirs = (self._names.get((case, name), {}) for name in (variant, reference))
        both = ours.keys() & theirs.keys()
        return bool(both) and all(ours[seed] == theirs[seed] for seed in both)

    def log_ratios(self, case: Case, variant: str, reference: str, metric: str) -> np.ndarray:
        """log(error / error of the reference), one value for each seed that has both.

        Seeds are left out whose two runs use a definition in different versions, or a user's own
        file in different states.

        Infinite if one run diverged; if both did the value is nan.
        """
        pairs = self._pairs(case, variant, reference, metric).values()
        return np.array([log_ratio(ours, theirs) for ours, theirs in pairs], dtype=float)

    def _pairs(
        self, case: Case, variant: str, reference: str, metric: str
    ) -> dict[int, tuple[float, float]]:
        """The two errors by seed that has both, in one version of all definitions."""
        ours, theirs = (self.values(case, name, metric) for name in (variant, reference))
        both = sorted(ours.keys() & theirs.keys())
        seeds = [seed for seed in both if self._comparable(case, (variant, reference), seed)]
        return {seed: (ours[seed], theirs[seed]) for seed in seeds}

    def _lost(self, case: Case, variant: str, reference: str, metric: str) -> tuple[int, int]:
        """In how many of `_pairs` the variant diverged, and the reference."""
        seeds = self._pairs(case, variant, reference, metric)
        ours, theirs = (self.of(case, name) for name in (variant, reference))
        return (
            sum(ours[seed].status == "diverged" for seed in seeds),
            sum(theirs[seed].status == "diverged" for seed in seeds),
        )

    @cached_property
    def _may_conflict(self) -> bool:
        """Whether anything that is used has ever been redefined, or is a user's own."""
        return any(spec.versions or spec.sources for spec in self.plan.specs)

    def _comparable(self, case: Case, variants: Sequence[str], seed: int) -> bool:
        """Whether the runs of a seed use no definition in different versions, and none of a user's
        own files in different states."""
        if not self._may_conflict:
            return True
        specs = [self.runs(case, variant)[seed].spec for variant in variants]
        return not any(conflict(one, other) for one, other in combinations(specs, 2))

    def compare(self, variant: str, reference: str, metric: str | None = None) -> Comparison:
        """A variant against a reference, over all cases in which they differ.

        Args:
            variant: Name of the variant.
            reference: Name of the variant that it is compared with.
            metric: An error; ``None``: the main error of each case.
        """
        cases = [c for c in self.cases if self.runs(c, variant) and self.runs(c, reference)]
        noops = [case for case in cases if self.is_noop(case, variant, reference)]
        by_case = {
            case: self.log_ratios(case, variant, reference, metric or self.metric(case))
            for case in cases
            if case not in noops
        }
        by_case = {case: ratios for case, ratios in by_case.items() if len(ratios)}
        pair = (variant, reference)
        chances = [self.chance(case, *pair) for case in by_case]
        names = [case.problem for case in by_case]
        found = effect(list(by_case.values()), names, choices=chances)
        unseen = [name for name in pair if any(self.unseen(case, name) for case in by_case)]
        claim = _claims([found], [unseen])[0]
        main = metric or self.main_metric
        lost = {case: self._lost(case, *pair, metric or self.metric(case)) for case in by_case}
        return Comparison(variant, reference, main, found, claim, by_case, noops, unseen, lost)

    def chance(self, case: Case, *variants: str) -> Chance:
        """The chance in how the settings of variants were chosen, together."""
        return together([self.chances.get((case, name), NO_CHANCE) for name in variants])

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The comparisons of the plan in the main metric."""
        return self.compare_all(self.plan.comparisons)

    def compare_all(
        self, pairs: Sequence[tuple[str, str]], metric: str | None = None
    ) -> list[Comparison]:
        """Comparisons whose claims are made together.

        Args:
            pairs: Of each, the variant and its reference; the declared one first.
            metric: An error; ``None``: the main error of each case.
        """
        found = [self.compare(*pair, metric) for pair in pairs]
        planned = sum(not c.unseen and not self._only_noops(c) for c in found)
        names = {name for pair in pairs for name in pair}
        said = _claims(
            [c.effect for c in found],
            [c.unseen for c in found],
            planned,
            self._seeds_reached(names),
        )
        return [replace(c, claim=claim) for c, claim in zip(found, said, strict=True)]

    def _only_noops(self, comparison: Comparison) -> bool:
        """Whether the two are the same run wherever they are compared."""
        pair = (comparison.variant, comparison.reference)
        cases = [case for case in self.cases if all(self.runs(case, name) for name in pair)]
        return len(comparison.noops) == len(cases)

    def _seeds_reached(self, variants: Iterable[str]) -> int:
        """The most seeds that a variant has results of on all its cases.

        So many the plan has come to, whatever runs of other variants have failed.
        """
        return max(
            (
                min((len(self.of(c, v)) for c in self.cases if self.runs(c, v)), default=0)
                for v in variants
            ),
            default=0,
        )

    @cached_property
    def factorial_errors(self) -> dict[Case, np.ndarray]:
        """Log errors of the cases with a run of its own for each combination of the factors.

        Each is (2, …, 2, seeds), over the seeds that all combinations have, in one version. Where
        two combinations are the same run, a factor does nothing and its effect cannot be told.
        """
        shape = (2,) * len(self.plan.factors)
        found = {}
        for case in self.cases if self.plan.factors else []:
            names = [list(self._names.get((case, cell), {}).values()) for cell in self.plan.cells]
            every = [name for of_cell in names for name in of_cell]
            if not all(names) or len(set(every)) < len(every):
                continue
            cells = [self.values(case, name, self.metric(case)) for name in self.plan.cells]
            common = sorted(set.intersection(*(set(cell) for cell in cells)))
            seeds = [seed for seed in common if self._comparable(case, self.plan.cells, seed)]
            if seeds:
                logs = [[log_error(cell[seed]) for seed in seeds] for cell in cells]
                found[case] = np.array(logs, dtype=float).reshape(*shape, len(seeds))
        return found

    @cached_property
    def factorial(self) -> list[Term]:
        """Main effects and interactions on the main error, over `factorial_errors`."""
        errors = list(self.factorial_errors.values())
        terms = factorial(self.plan.factors, errors) if errors else []
        if not self.factorial_unseen:
            return terms
        return [term._replace(verdict="undecided") for term in terms]

    @property
    def factorial_unseen(self) -> list[str]:
        """The combinations with a run that was trained on another residual than that of what is
        scored: nothing is claimed of a factorial with one."""
        cells = self.plan.cells if self.plan.factors else []
        return [c for c in cells if any(self.unseen(case, c) for case in self.factorial_errors)]

    def unseen(self, case: Case, variant: str) -> list[str]:
        """How far the residual in training is from the scored function's, in words, of each run in
        which it is another; see `bench.training.residual_ratio`."""
        found = (unseen_equation(r.diagnostics) for r in self.of(case, variant).values())
        return [said for said in found if said is not None]

    def collapsed(self, case: Case, variant: str) -> int:
        """Number of networks that carry no signal, or are no better than the best constant or than
        zero forces, according to their diagnosis."""
        return sum(bool(r.diagnostics.get("collapsed")) for r in self.of(case, variant).values())

    def diverged(self, case: Case, variant: str) -> int:
        """Number of runs that diverged."""
        return sum(r.status == "diverged" for r in self.of(case, variant).values())


def _claims(
    effects: Sequence[Effect],
    unseen: Sequence[Sequence[str]],
    size: int | None = None,
    seeds: int | None = None,
) -> list[Claim]:
    """Claims of a family, to which a comparison with a run that did not see its equation does not
    belong."""
    nothing = effect([])
    seen = [nothing if who else of for of, who in zip(effects, unseen, strict=True)]
    return claims(seen, size, seeds)


def log_error(value: float) -> float:
    """Natural logarithm of an error; of 0, that of the smallest number.

    Infinity is for runs that diverged.
    """
    return math.log(max(value, _SMALLEST)) if math.isfinite(value) else math.inf


def log_ratio(one: float, other: float) -> float:
    """Log ratio of two errors; nan if both are infinite, 0 if both are 0."""
    if one == other:
        return 0.0 if math.isfinite(one) else math.nan
    return log_error(one) - log_error(other)


def _decoder(columns: Columns) -> Callable[[bytes], Record]:
    """Reads what curves are drawn from; the names of `Columns.values` are known from a record."""
    return decode_whole if columns.values else decode_drawn(columns.main[0])
