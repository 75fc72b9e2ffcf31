"""All runs of a store, arranged as if they had been planned."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from bench.arm import BASELINE
from bench.plugins import load_suite, suite_names
from bench.ranking.apart import apart
from bench.spec.own_files import earlier_files, newest_files
from bench.spec.spec import Spec
from bench.spec.versions import differs, newest_versions
from bench.store.gc_pause import uncollected
from bench.store.record import Record, decode_result
from bench.store.store import Store, out_option
from bench.studies.catalogue import EVERYTHING
from bench.studies.plan import SCHEMA, Plan, PlannedRun, columns_of
from bench.task import Columns
from bench.text.errors import BadInput, unknown
from bench.text.formatting import counted

#: A report's file is named by the budget, which stands in a record.
_PLAIN = re.compile(r"[\w.-]+")


def plans_of_store(store: Store, suite: str | None, budget: str | None) -> list[Plan]:
    """A plan for each suite that has runs, every arm compared with the baseline.

    Only runs of one kind are compared: of those of a problem and model, the most that have the same
    training, settings, device and dtype. Where several have the same arm and seed (other code), the
    one that was started last is taken. Of a definition that has been redefined only runs of the
    highest version are taken, and of a user's own file only those of the state that the run has
    which was started last. The question says how many were left out. Trials of rankings, and
    their runs of other lengths, are no results: they are left out beforehand.

    Args:
        store: The store.
        suite: One suite, or all.
        budget: One budget; needed where a suite has runs of several.

    Raises:
        BadInput: There are no such runs, or of several budgets.
    """
    read = results_of_store(store, suite, budget)
    found = []
    for name, every in sorted(read.by_suite.items()):
        records = [record for record in every if record.spec_hash not in read.retuned]
        counts = Counter(record.budget for record in records)
        if budget is None and len(counts) > 1:
            said = ", ".join(f"{one} ({count} runs)" for one, count in sorted(counts.items()))
            raise BadInput(f"the runs of {name} are of several budgets, name one: {said}")
        of_budget = [record for record in records if budget in (None, record.budget)]
        if of_budget:
            found.append(plan_of(name, of_budget, out_option(store.root)))
    return found


class StoreResults(NamedTuple):
    """Records of a store, without losses and history.

    Attributes:
        by_suite: Those that may be compared, of each installed suite.
        left_out: Of rankings: trials and runs of other lengths, each with what such runs are
            called.
        retuned: See `bench.ranking.apart.Apart`.
    """

    by_suite: Mapping[str, Sequence[Record]]
    left_out: Sequence[tuple[Record, str]]
    retuned: frozenset[str]


def results_of_store(store: Store, suite: str | None, budget: str | None) -> StoreResults:
    """The records of each installed suite.

    Args:
        store: The store.
        suite: One suite, or all.
        budget: A budget that some of them must have. Those of others are not left out.

    Raises:
        BadInput: There are no such runs.
    """
    by_suite: dict[str, list[Record]] = {}
    left_out = []
    names = suite_names()
    aside = apart(store)
    with uncollected():
        for record in store.records(decode_result):
            if record.suite not in names or suite not in (None, record.suite):
                continue
            if (why := aside.why(record)) is None:
                by_suite.setdefault(record.suite, []).append(record)
            else:
                left_out.append((record, why))
    if not by_suite:
        of = "" if suite is None else f" of {suite!r}"
        counts = Counter(why for _, why in left_out)
        but = f" that a report is of: {said_left_out(counts)}" if counts else ""
        raise BadInput(f"no runs{of} in {str(store.root)!r}{but}")
    budgets = {record.budget for records in by_suite.values() for record in records}
    if budget is not None and budget not in budgets:
        raise unknown(f"budget with runs in {str(store.root)!r}:", budget, budgets)
    return StoreResults(by_suite, left_out, aside.retuned)


def said_left_out(counts: Mapping[str, int]) -> str:
    """``tuning trials (12), runs of another length (1)``."""
    return ", ".join(f"{what} ({count})" for what, count in sorted(counts.items()))


def said_earlier(references: Sequence[str]) -> str:
    """What runs are called that have earlier states of a user's own files: ``runs of an earlier
    file of mine:Snake``."""
    return f"runs of an earlier file of {' and '.join(references)}"


def kind_of(spec: Spec) -> bytes:
    """The same for runs of a problem and model that may be compared.

    Where an activation goes is the activation's matter.
    """
    settings = {name: value for name, value in spec.settings.items() if name != "scope"}
    return msgspec.json.encode((spec.training, settings, spec.device, spec.dtype), order="sorted")


def bare_plan(
    suite: str, budget: str, columns: Mapping[str, Columns], runs: Sequence[PlannedRun]
) -> Plan:
    """A plan of runs that were found, which asks and compares nothing.

    Args:
        suite: Name of their suite.
        budget: Name of their budget.
        columns: The metrics of each problem.
        runs: One at each place.
    """
    return Plan(
        schema=SCHEMA,
        study=EVERYTHING,
        suite=suite,
        budget=budget,
        options="",
        question="",
        command="",
        comparisons=[],
        factors=[],
        cells=[],
        columns=dict(columns),
        runs=list(runs),
    )


def plan_of(suite: str, records: Sequence[Record], where: str) -> Plan:
    """A plan of runs of one suite and one budget, as of `plans_of_store`.

    Args:
        suite: Its name.
        records: Of the runs.
        where: The option that names their store, as of `bench.store.store.out_option`.

    Raises:
        BadInput: The budget has no name that a file could have.
    """
    budget = records[0].budget
    if not _PLAIN.fullmatch(budget):
        raise BadInput(f"{budget!r} is no name of a budget")
    versions = newest_versions(record.spec for record in records)
    every, records = records, [r for r in records if not differs(r.spec, versions)]
    superseded = len(every) - len(records)
    if not records:
        raise BadInput(f"each run of {suite} uses a definition that has been redefined since")
    files = newest_files((record.started, record.spec) for record in records)
    earlier = Counter(
        said_earlier(names) for r in records if (names := earlier_files(r.spec, files))
    )
    records = [record for record in records if not earlier_files(record.spec, files)]
    if not records:
        raise BadInput(f"no run of {suite} has the newest state of each of its files")
    kinds: dict[tuple[str, str], Counter[bytes]] = {}
    of_records = [kind_of(record.spec) for record in records]
    for record, kind in zip(records, of_records, strict=True):
        kinds.setdefault((record.problem, record.model), Counter())[kind] += 1
    chosen = {case: counts.most_common(1)[0][0] for case, counts in kinds.items()}
    alike = [
        record
        for record, kind in zip(records, of_records, strict=True)
        if kind == chosen[record.problem, record.model]
    ]
    alike.sort(key=lambda record: record.started)
    newest = {(r.problem, r.model, r.arm, r.seed): r for r in alike}
    arms = sorted(
        {record.arm for record in newest.values()}, key=lambda arm: (arm != BASELINE, arm)
    )
    question = "Which arms differ from the baseline?"
    if left_out := len(records) - len(newest):
        question += (
            f" ({left_out} runs with other settings, or replaced by later ones, are left out.)"
        )
    if superseded:
        question += (
            f" ({counted(superseded, 'run')} of definitions that have been redefined since, left"
            " out.)"
        )
    if earlier:
        question += f" (Left out: {said_left_out(earlier)}.)"
    runs = [
        PlannedRun(record.spec, f"python -m bench.suite reproduce {record.spec_hash}{where}")
        for _, record in sorted(newest.items())
    ]
    return Plan(
        schema=SCHEMA,
        study=EVERYTHING,
        suite=suite,
        budget=budget,
        options="",
        question=question,
        command="",
        comparisons=[(arm, BASELINE) for arm in arms if arm != BASELINE and BASELINE in arms],
        factors=[],
        cells=[],
        columns=columns_of(load_suite(suite), (problem for problem, _ in kinds)),
        runs=sorted(runs, key=lambda run: arms.index(run.spec.arm)),
    )
