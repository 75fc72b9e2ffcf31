"""A leaderboard: the arms of a store that ran under equal conditions, against the baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from bench.arm import BASELINE
from bench.plugins import load_suite
from bench.ranking.ranking import Ranking, rankings
from bench.report.answer import RANKS
from bench.report.family import compared
from bench.report.leaderboard.likeness import Conditions, at_one_rate, case_of, comparable
from bench.report.leaderboard.tuned import Tuned, said_setting, tuned_runs
from bench.report.results import Case, Comparison, Results
from bench.report.whole_store import bare_plan, results_of_store
from bench.store.record import Record
from bench.store.store import Store
from bench.studies.plan import Plan, PlannedRun, columns_of

#: What the name of an entry that was tuned ends with.
_TUNED = " (tuned)"
_LONE = "runs without a partner of the same seed"


@dataclass(frozen=True)
class Entry:
    """An arm of a leaderboard, tuned or at one rate.

    Attributes:
        arm: The arm.
        tuned: What was chosen for it on each case; ``None``: it is at one rate.
    """

    arm: str
    tuned: Mapping[Case, Tuned] | None = None

    @property
    def name(self) -> str:
        """Of its variant in the results."""
        return self.arm if self.tuned is None else f"{self.arm}{_TUNED}"

    @property
    def reference(self) -> str:
        """The variant that it is compared with: the baseline, tuned if the entry is."""
        return BASELINE if self.tuned is None else f"{BASELINE}{_TUNED}"

    @property
    def at_edge(self) -> int:
        """On how many cases a better setting may lie beyond those that were tried."""
        return sum(one.choice.at_edge for one in (self.tuned or {}).values())

    def setting(self, case: Case, results: Results) -> str:
        """What its runs on a case are trained with: ``lr 0.001``."""
        if self.tuned is not None and case in self.tuned:
            return said_setting(self.tuned[case].choice.setting)
        runs = results.runs(case, self.name).values()
        return ", ".join(dict.fromkeys(f"lr {run.spec.training.lr:g}" for run in runs))


@dataclass(frozen=True)
class Board:
    """The entries of equal conditions.

    Attributes:
        conditions: What all runs have in common.
        results: Of the entries as variants.
        entries: By the name of their variant, the baselines first.
        left_out: How many runs of these conditions were left out, by what they are called.
    """

    conditions: Conditions
    results: Results
    entries: Mapping[str, Entry]
    left_out: Mapping[str, int]

    @cached_property
    def every(self) -> list[Comparison]:
        """Every entry with the baseline, by verdict and then by its ratio; without pairs last.

        All are one family; see `bench.statistics.undeclared`.
        """
        others = [entry for entry in self.entries.values() if entry.arm != BASELINE]
        found = compared(self.results, [(entry.name, entry.reference) for entry in others])
        return sorted(found, key=_place)

    @property
    def comparisons(self) -> list[Comparison]:
        """Those of `every` that have a pair."""
        return [comparison for comparison in self.every if comparison.effect.pairs]


def _place(comparison: Comparison) -> tuple[int, bool, float, str]:
    """Verdict, then ratio; where there is none (all diverge) after those that have one."""
    estimate = comparison.effect.estimate
    without = estimate != estimate
    rank = RANKS.index(comparison.outcome) if comparison.effect.pairs else len(RANKS)
    return rank, without, 0.0 if without else estimate, comparison.variant


def read_boards(store: Store, suite: str | None = None, budget: str | None = None) -> list[Board]:
    """The leaderboards of a store, one for each set of equal conditions.

    Args:
        store: The store.
        suite: One suite, or all.
        budget: One budget, or all.

    Raises:
        BadInput: There are no such runs.
    """
    read = results_of_store(store, suite, budget)
    of_store = rankings(store)
    aside: dict[Conditions, Counter[str]] = {}
    for record, why in read.left_out:
        aside.setdefault(Conditions.of(record), Counter())[why] += 1
    groups: dict[Conditions, list[Record]] = {}
    for records in read.by_suite.values():
        for record in records:
            if budget in (None, record.budget):
                groups.setdefault(Conditions.of(record), []).append(record)
    return [
        make_board(conditions, group, of_store, read.retuned, aside.get(conditions, {}))
        for conditions, group in sorted(groups.items())
    ]


def make_board(
    conditions: Conditions,
    records: Sequence[Record],
    of_store: Iterable[Ranking],
    retuned: Container[str],
    aside: Mapping[str, int],
) -> Board:
    """The leaderboard of runs with equal conditions.

    Args:
        conditions: These.
        records: Of the runs, without trials and other lengths.
        of_store: The rankings of their store.
        retuned: Hashes of runs that are results of a ranking alone.
        aside: How many trials and other lengths there are, by what they are called.
    """
    why: dict[str, str] = {}
    alike = comparable(records, why)
    by_hash = {record.spec_hash: record for record in alike}
    asked = (conditions.suite, conditions.budget)
    tuned = tuned_runs([one for one in of_store if (one.suite, one.budget) == asked], by_hash)
    at_rate = at_one_rate([r for r in alike if r.spec_hash not in retuned], why)
    entries = {entry.name: entry for entry in _entries(at_rate, tuned)}
    runs = [PlannedRun(record.spec, "") for record in at_rate if record.arm in entries]
    for entry in entries.values():
        for one in (entry.tuned or {}).values():
            runs += [_named(run, entry.name) for run in one.runs.values()]
    used = {run.spec.hash for run in runs}
    lone = {record.spec_hash: _LONE for record in at_rate if record.spec_hash not in used}
    left_out = Counter(aside) + Counter(
        said for name, said in {**why, **lone}.items() if name not in used
    )
    ordered = sorted(entries.values(), key=lambda one: (one.arm != BASELINE, one.name))
    return Board(
        conditions,
        Results(_plan(conditions, runs, [one.name for one in ordered]), by_hash),
        {one.name: one for one in ordered},
        left_out,
    )


def _entries(at_rate: Sequence[Record], tuned: Mapping[tuple[Case, str], Tuned]) -> Iterator[Entry]:
    """The arms at one rate and the tuned ones.

    An arm is not there twice if all of its pairs with the baseline are those of the tuned arm:
    further runs without a partner change nothing.
    """
    by_arm: dict[str, list[Record]] = {}
    for record in at_rate:
        by_arm.setdefault(record.arm, []).append(record)
    partners = {(case_of(r), r.seed): r for r in by_arm.get(BASELINE, [])}
    own = set()
    for arm in by_arm.keys() - {BASELINE}:
        places = [(record, partners.get((case_of(record), record.seed))) for record in by_arm[arm]]
        pairs = [(ours, theirs) for ours, theirs in places if theirs is not None]
        runs = [run for pair in pairs for run in pair] or by_arm[arm]
        if not all(_is_tuned(run, tuned) for run in runs):
            own.add(arm)
    if own or not tuned:
        yield from (Entry(arm) for arm in {*own, BASELINE} & by_arm.keys())
    for arm in {arm for _, arm in tuned}:
        yield Entry(arm, {case: one for (case, name), one in tuned.items() if name == arm})


def _is_tuned(record: Record, tuned: Mapping[tuple[Case, str], Tuned]) -> bool:
    """Whether a run is that of its tuned arm, too."""
    of_arm = tuned.get((case_of(record), record.arm))
    run = None if of_arm is None else of_arm.runs.get(record.seed)
    return run is not None and run.spec.hash == record.spec_hash


def _named(run: PlannedRun, name: str) -> PlannedRun:
    return PlannedRun(msgspec.structs.replace(run.spec, arm=name), run.command)


def _plan(conditions: Conditions, runs: Sequence[PlannedRun], names: Sequence[str]) -> Plan:
    """The runs as those of a study, in an order that depends on them alone."""

    def place(run: PlannedRun) -> tuple[int, str, str, int]:
        spec = run.spec
        return names.index(spec.arm), spec.problem, spec.model, spec.seed

    problems = sorted({run.spec.problem for run in runs})
    columns = columns_of(load_suite(conditions.suite), problems)
    return bare_plan(conditions.suite, conditions.budget, columns, sorted(runs, key=place))
