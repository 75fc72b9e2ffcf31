"""How long runs will take, from measured step times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.execution.limited_child import ChildFailed
from bench.spec.spec import Spec
from bench.store.gc_pause import uncollected
from bench.store.record import FINAL, Record, decode_result
from bench.store.store import Store
from bench.studies.measurement import ALL_S, measure_all
from bench.studies.own import Own
from bench.studies.plan import Plan
from bench.studies.side_by_side import slowdown
from bench.studies.timings import Timings, kind_of
from bench.text.errors import BadInput
from bench.text.formatting import counted

#: Seconds of importing torch and a suite's library, once a process.
START_S = 10.0
#: Problems and models that a line names.
_SPELLED = 3


class Estimate(NamedTuple):
    """How long runs will take.

    Attributes:
        seconds: Those whose length is known, side by side.
        known: Number of runs whose length is known.
        unknown: The runs of unknown length, by the reason why it is unknown.
    """

    seconds: float
    known: int
    unknown: Mapping[str, Sequence[Spec]]

    def text(self) -> str:
        """``about 12 min``, or ``at least 12 min, and 3 runs of unknown length``."""
        count = sum(map(len, self.unknown.values()))
        if not count:
            return f"about {duration(self.seconds)}"
        if not self.known:
            return "of unknown length"
        return f"at least {duration(self.seconds)}, and {counted(count, 'run')} of unknown length"

    def reasons(self) -> list[str]:
        """A line for each reason."""
        return [
            f"unknown, because {why}: {_named(specs)}, {counted(len(specs), 'run')}"
            for why, specs in self.unknown.items()
        ]


def estimate(
    specs: Sequence[Spec], records: Iterable[Record], jobs: int, tell: Callable[[str], None]
) -> Estimate:
    """How long runs will take, `jobs` side by side.

    Args:
        specs: The specs of the runs, each once.
        records: Records of finished runs, from which the time is known.
        jobs: How many runs train side by side.
        tell: Is called with a message when something must be measured.
    """
    found = seconds_of(specs, Timings(records, jobs), tell)
    lasting: list[float] = []
    unknown: dict[str, list[Spec]] = {}
    for spec in specs:
        seconds = found[spec.hash]
        if isinstance(seconds, str):
            unknown.setdefault(seconds, []).append(spec)
        else:
            lasting.append(seconds)
    together = max(sum(lasting) / max(jobs, 1), *lasting) + START_S if lasting else 0.0
    return Estimate(together, len(lasting), unknown)


def seconds_of(
    specs: Iterable[Spec],
    timings: Timings,
    tell: Callable[[str], None],
    limit_s: float = ALL_S,
    beside: bool = False,
) -> dict[str, float | str]:
    """Seconds of each run; where they are unknown, why.

    A run is expected to last as long as runs of the same problem, model and techniques that did all
    their steps on this processor with as many side by side as now: those share the memory's
    bandwidth as it will. Of another number of steps, the steps and evaluations take their share.
    Without such a run, one with another number side by side must do.

    Where there is none, a task is built and stepped a few times, alone, in a process of its own
    (`bench.studies.measurement`). That is done once for all built-in activations, rescalings and
    initialisations, which rarely decide how long a step lasts. What has an object or settings of
    its own is measured apart: once for each model, then on the other problems while there is time;
    where there was none, it is as much slower than the others as where it was measured.

    Args:
        specs: The specs of the runs.
        timings: Of finished runs. Where seeds will be trained as one model, each lasts its share of
            the time of all, if there are runs that were trained so; else as long as alone, which is
            more.
        tell: Is called with a message when something must be measured.
        limit_s: How long measuring may take, and once more for what has something of its own.
        beside: Measure also how much longer steps take with as many side by side.

    Returns:
        Of each spec by its hash seconds, or a reason for a sentence that ends with "because …".
    """
    wanted = {spec.hash: spec for spec in specs}
    own = Own(wanted.values())
    apart = {name: spec for name, spec in wanted.items() if own.has(spec)}
    found: dict[str, float | str] = {}
    lacking: dict[str, Spec] = {}
    for name, spec in wanted.items():
        seconds = timings.seconds(spec, own=name in apart)
        if seconds is None:
            lacking[name] = spec
        else:
            found[name] = seconds
    if lacking:
        tell("measuring a few steps of each problem and model, to say how long it will take")
    kinds: dict[bytes, Spec] = {}
    for name, spec in lacking.items():
        if name not in apart:
            kinds.setdefault(kind_of(spec, exact=False), spec)
    of_own = own.once_first(spec for name, spec in lacking.items() if name in apart)
    measured = measure_all(kinds, limit_s)
    measured_own = measure_all(of_own, limit_s) if of_own else {}
    every = {**kinds, **of_own}
    both = {**measured, **measured_own}
    steppable = [every[key] for key, parts in both.items() if not isinstance(parts, str)]
    slower = _slowdown(steppable, timings.jobs, tell) if beside else 1.0
    for name, spec in lacking.items():
        parts = both[own.kind(spec) if name in apart else kind_of(spec, exact=False)]
        found[name] = parts if isinstance(parts, str) else parts.run_s(spec.training) * slower
    return {**found, **own.filled(apart, found)}


def _slowdown(specs: Sequence[Spec], jobs: int, tell: Callable[[str], None]) -> float:
    """How many times as long the runs last side by side as alone, measured on the first."""
    if not specs:
        return 1.0
    try:
        return slowdown(specs[0], jobs)
    except (BadInput, ChildFailed) as error:
        tell(f"runs side by side may last longer than estimated: not measured, because {error}")
        return 1.0


def say_how_long(plan: Plan, store: Store, jobs: int, rerun: bool) -> None:
    """Say on stderr how many runs a plan has, how many are missing, and how long these will take.

    Args:
        plan: The runs of the study.
        store: The store that has some of them.
        jobs: How many runs train side by side.
        rerun: Finished runs are repeated.
    """
    distinct = {spec.hash: spec for spec in plan.specs}
    with uncollected():
        found = {} if rerun else {name: store.read(name, decode_result) for name in distinct}
    missing = [spec for name, spec in distinct.items() if not _finished(found.get(name))]
    head = f"study {plan.study} on {plan.suite}: {_shape(plan)}"
    if not missing:
        print(f"bench: {head}: all {len(distinct)} runs are in {store.root}", file=sys.stderr)
        return
    found_out = estimate(
        missing,
        store.records(decode_result),
        jobs,
        lambda text: print(f"bench: {text}", file=sys.stderr),
    )
    print(
        f"bench: {head}: {len(distinct)} runs, {len(missing)} to do, {found_out.text()}"
        f" with {jobs} at a time",
        file=sys.stderr,
    )
    for line in found_out.reasons():
        print(f"bench: {line}", file=sys.stderr)
    sys.stderr.flush()


def _finished(record: Record | None) -> bool:
    return record is not None and record.status in FINAL


def _named(specs: Sequence[Spec]) -> str:
    """The problems and models of runs, for people: the first few, and how many more."""
    names = list(dict.fromkeys(f"{spec.problem} with {spec.model}" for spec in specs))
    more = f" and {len(names) - _SPELLED} more" if len(names) > _SPELLED else ""
    return ", ".join(names[:_SPELLED]) + more


def _shape(plan: Plan) -> str:
    """For people: 4 arms × 5 problems × 3 seeds."""
    words = ("arm", "problem", "model", "seed")
    return " × ".join(counted(len({getattr(s, word) for s in plan.specs}), word) for word in words)


def duration(seconds: float) -> str:
    """For people: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for unit, size, least in (("days", 86_400, 2 * 86_400), ("h", 3600, 5400), ("min", 60, 90)):
        if seconds >= least:
            amount = seconds / size
            return f"{amount:.0f} {unit}" if unit == "min" else f"{amount:.1f} {unit}"
    return f"{max(1, round(seconds))} s"
