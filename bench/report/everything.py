"""All runs of a store, arranged as if they had been planned."""

from __future__ import annotations

from collections.abc import Iterable

from bench.arm import BASELINE
from bench.commands.execution import out_option
from bench.errors import BadInput, unknown
from bench.plan import SCHEMA, Plan, PlannedRun
from bench.record import Record
from bench.store import Store
from bench.studies import EVERYTHING


def plans_of_store(store: Store, suite: str | None, budget: str | None) -> list[Plan]:
    """A plan for each suite that has runs, every arm compared with the baseline.

    Where several runs have the same problem, model, arm and seed (other steps, other code), the one
    that was started last is taken, and the question says how many were left out.

    Args:
        store: The store.
        suite: One suite, or all.
        budget: One budget; needed where a suite has runs of several.

    Raises:
        BadInput: There are no runs, or of several budgets.
    """
    by_suite: dict[str, list[Record]] = {}
    for record in store.records():
        by_suite.setdefault(record.suite, []).append(record)
    if not by_suite:
        raise BadInput(f"no runs in {str(store.root)!r}")
    if suite is not None and suite not in by_suite:
        raise unknown(f"suite with runs in {str(store.root)!r}:", suite, by_suite)
    return [
        _plan(name, records, budget, out_option(store.root))
        for name, records in sorted(by_suite.items())
        if suite in (None, name)
    ]


def _plan(suite: str, records: Iterable[Record], budget: str | None, where: str) -> Plan:
    by_budget: dict[str, list[Record]] = {}
    for record in records:
        by_budget.setdefault(record.budget, []).append(record)
    if budget is None and len(by_budget) > 1:
        counts = ", ".join(f"{name} ({len(found)} runs)" for name, found in by_budget.items())
        raise BadInput(f"the runs of {suite} are of several budgets, name one: {counts}")
    chosen = budget or next(iter(by_budget))
    if chosen not in by_budget:
        raise unknown(f"budget with runs of {suite}:", chosen, by_budget)
    of_budget = sorted(by_budget[chosen], key=lambda record: record.started)
    newest = {(r.problem, r.model, r.arm, r.seed): r for r in of_budget}
    left_out = len(of_budget) - len(newest)
    arms = sorted(
        {record.arm for record in newest.values()}, key=lambda arm: (arm != BASELINE, arm)
    )
    question = "Which arms differ from the baseline?"
    if left_out:
        question += (
            f" ({left_out} runs are left out, which have the problem, model, arm and seed of a"
            " later one.)"
        )
    runs = [
        PlannedRun(record.spec, f"python -m bench.suite reproduce {record.spec_hash}{where}")
        for _, record in sorted(newest.items())
    ]
    return Plan(
        schema=SCHEMA,
        study=EVERYTHING,
        suite=suite,
        budget=chosen,
        options="",
        question=question,
        command="",
        comparisons=[(arm, BASELINE) for arm in arms if arm != BASELINE and BASELINE in arms],
        factors=[],
        cells=[],
        runs=sorted(runs, key=lambda run: arms.index(run.spec.arm)),
    )
