"""What of a ranking fits into a night: budget, cases, seeds and lengths.

Nothing here reads a file or a clock, so that one question has one answer.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.ranking.ranking import SHARES, TRIAL_SEEDS
from bench.spec.spec import Spec
from bench.studies.estimate import START_S, duration
from bench.text.errors import BadInput
from bench.text.formatting import counted

#: Problem and model.
Case = tuple[str, str]
#: Problem, model and `bench.ranking.ranking.Contestant.arm`.
Key = tuple[str, str, str]

#: Settings that are tried beyond the first round, for each arm and case. The best of three is at an
#: edge about every second time, and each further step finds the edge again with the same odds:
#: ½ + ¼ + … = 1.
EXTENSIONS = 1.0
#: Scored seeds: the least, those of a full answer (with which several arms may claim), and those
#: that are worth more than more lengths.
LEAST_SEEDS, FULL_SEEDS, MANY_SEEDS = 3, 5, 10
#: Scored seeds are run in blocks up to these numbers; at each, claims may be looked at.
LOOKS = (3, 5, 10, 20)
#: Seeds of the other lengths: of a full answer, and at most.
FULL_LENGTH_SEEDS, MOST_LENGTH_SEEDS = 3, 5
#: Runs of full length that one seed of the other lengths costs.
_OTHER_LENGTHS = sum(share for share in SHARES if share != 1.0)


class Done(NamedTuple):
    """What the store has of an arm on a case, stage by stage, in runs of full length.

    What is done of one stage is no credit to another.

    Attributes:
        trials: Of the trials that the arm does not share with one before it.
        tuned: Whether the trials have ended.
        seeds: Scored seeds.
        lengths: Runs of the other lengths: one of half the steps is ½.
    """

    trials: float = 0.0
    tuned: bool = False
    seeds: float = 0.0
    lengths: float = 0.0


@dataclass(frozen=True)
class Costs:
    """What the runs of a ranking cost under one budget.

    An arm that is the same run as another on a case is named for one of them alone, since it costs
    nothing twice.

    Attributes:
        run_s: Seconds of one run at full length, in the order of preference of the cases. Of seeds
            that are trained together, the share of one.
        settings: How many settings the first round of trials has. `EXTENSIONS` are expected beyond
            it, unless there is only one setting or none.
        done: What the store already has.
    """

    run_s: Mapping[Key, float]
    settings: Mapping[Key, int]
    done: Mapping[Key, Done] = field(default_factory=dict)

    @property
    def cases(self) -> list[Case]:
        """In the order of preference."""
        return list(dict.fromkeys((problem, model) for problem, model, _ in self.run_s))


@dataclass(frozen=True)
class Night:
    """What is run in a night.

    Attributes:
        budget: Name of the budget.
        cases: In the order of preference.
        seeds: Scored seeds of each arm and case, at full length.
        length_seeds: How many of them are also run at the other lengths.
        seconds: How long all of it takes, `done` runs left out.
        notes: What does not fit, in sentences; those of `passed` first.
        passed: Those of the budgets that were passed over.
    """

    budget: str
    cases: list[Case]
    seeds: int
    length_seeds: int
    seconds: float
    notes: list[str]
    passed: Sequence[str] = ()


class _Step(NamedTuple):
    """One of the plans from the smallest to the largest; each contains the one before it."""

    cases: Sequence[Case]
    seeds: int
    length_seeds: int


class _Ladder:
    """All plans under a budget, from the smallest to the largest, and how long each takes."""

    def __init__(self, budget: str, costs: Costs, jobs: int, most_seeds: int) -> None:
        if not costs.run_s:
            raise ValueError("a night needs the cost of at least one run")
        self.budget = budget
        self.full = _Step(
            costs.cases, min(FULL_SEEDS, most_seeds), min(FULL_LENGTH_SEEDS, most_seeds)
        )
        self.steps = list(_steps(costs, self.full, most_seeds))
        self.seconds = [_seconds(step, costs, jobs) for step in self.steps]

    def highest(self, seconds: float) -> int:
        """Number of the largest plan that fits; -1: none does."""
        return bisect.bisect_right(self.seconds, seconds) - 1

    def to(self, wanted: _Step) -> float:
        """Seconds of the smallest plan that contains `wanted`."""
        return next(
            seconds
            for step, seconds in zip(self.steps, self.seconds, strict=True)
            if {*wanted.cases} <= {*step.cases}
            and wanted.seeds <= step.seeds
            and wanted.length_seeds <= step.length_seeds
        )


def plan_night(
    budgets: Sequence[tuple[str, Costs]],
    jobs: int,
    seconds: float,
    most_seeds: int,
    several: bool,
    suites: int = 1,
) -> Night:
    """The most that fits into some hours.

    The first budget is taken under which the full answer fits: all cases, the trials of every arm,
    `FULL_SEEDS` scored seeds, and the other lengths on `FULL_LENGTH_SEEDS`. Time that is left goes
    into seeds up to `MANY_SEEDS`, then lengths up to `MOST_LENGTH_SEEDS`, then seeds. If the full
    answer fits under none, the last budget is taken, and given up are, in this order: the other
    lengths, seeds down to `LEAST_SEEDS`, and cases, the most expensive first.

    More time, or more runs side by side, never give less.

    Args:
        budgets: Name and costs of each, the preferred one first.
        jobs: How many runs train side by side.
        seconds: How long the night is; of several suites, the share of one.
        most_seeds: Of scored runs; at least 1. With less than `FULL_SEEDS` it stands in their
            place.
        several: Whether more than one arm is compared with the reference.
        suites: How many suites share the whole call's time equally. Sentences speak of that, since
            it is what can be asked for.

    Returns:
        The plan. What does not fit is in its notes, each with what it would need.

    Raises:
        BadInput: Not even one case fits. The message has the hours that it needs.
    """
    if jobs < 1 or most_seeds < 1:
        raise ValueError(f"jobs and most_seeds are at least 1, got {jobs} and {most_seeds}")
    passed: list[str] = []
    for budget, costs in budgets:
        ladder = _Ladder(budget, costs, jobs, most_seeds)
        needed = ladder.to(ladder.full)
        if needed <= seconds:
            break
        if budget != budgets[-1][0]:
            passed.append(
                f"the budget {budget!r} does not fit: the full answer with it would need"
                f" {_more(needed - seconds, suites)}"
            )
    highest = ladder.highest(seconds)
    if highest < 0:
        raise _too_short(ladder, seconds, jobs, suites)
    return _night(ladder, highest, seconds, several, suites, passed)


def plan_again(
    night: Night,
    costs: Costs,
    jobs: int,
    seconds: float,
    most_seeds: int,
    several: bool,
    suites: int = 1,
) -> Night:
    """The most that fits into the rest of a night, once trials have shown what runs cost.

    Given up are the same as by `plan_night`, in the same order; where nothing fits, the smallest
    plan stays, since its trials have been run.

    Args:
        night: The plan so far.
        costs: Of its budget, with what has been done.
        jobs: How many runs train side by side.
        seconds: What is left of the night.
        most_seeds: As of `plan_night`, and so are the others.
        several: Whether more than one arm is compared with the reference.
        suites: How many suites share the time.
    """
    ladder = _Ladder(night.budget, costs, jobs, most_seeds)
    highest = max(ladder.highest(seconds), 0)
    return _night(ladder, highest, seconds, several, suites, night.passed)


def changes(before: Night, now: Night) -> list[str]:
    """What a plan that was made again gives up or adds, in a few words each."""
    found = []
    for verb, ours, theirs in (("given up", before, now), ("added", now, before)):
        if cases := [f"{p} with {m}" for p, m in ours.cases if (p, m) not in theirs.cases]:
            found.append(f"{', '.join(cases)} {verb}")
    if before.seeds != now.seeds:
        found.append(f"{counted(now.seeds, 'seed')} instead of {before.seeds}")
    if before.length_seeds != now.length_seeds:
        found.append(
            f"other lengths on {counted(now.length_seeds, 'seed')} instead of {before.length_seeds}"
        )
    return found


def _night(
    ladder: _Ladder, at: int, seconds: float, several: bool, suites: int, passed: Sequence[str]
) -> Night:
    """One of the plans of a ladder, with what it does not have."""
    step = ladder.steps[at]
    notes = [*passed, *_missing(ladder, step, seconds, suites)]
    if several and step.seeds < FULL_SEEDS:
        notes.append(
            f"with {counted(step.seeds, 'seed')} no comparison but the first may claim anything:"
            f" several need {FULL_SEEDS}"
        )
    return Night(
        budget=ladder.budget,
        cases=list(step.cases),
        seeds=step.seeds,
        length_seeds=step.length_seeds,
        seconds=ladder.seconds[at],
        notes=notes,
        passed=passed,
    )


def remaining_s(night: Night, costs: Costs, jobs: int, done: Mapping[Key, Done]) -> float:
    """Seconds from now until all of a night has been run.

    Args:
        night: The plan.
        costs: Of its budget; better ones than when it was made, if runs have shown them.
        jobs: How many runs train side by side.
        done: As `Costs.done`, now.
    """
    now = Costs(costs.run_s, costs.settings, done)
    return _seconds(_Step(night.cases, night.seeds, night.length_seeds), now, jobs)


def costs_of(
    first: Mapping[Key, Sequence[Spec]], seconds: Mapping[str, float | str]
) -> tuple[Costs, list[str]]:
    """The costs of a ranking from those of its specs.

    A case on which it is unknown how long an arm takes is left out for all arms, since arms are
    compared on equal cases.

    Args:
        first: The first round of trials of each arm and case on one seed: a spec for each setting.
        seconds: Of each spec by its hash, or why they are unknown; of
            `bench.studies.estimate.seconds_of`.

    Returns:
        The costs, and a sentence for each case that is left out.

    Raises:
        BadInput: No case is left.
    """
    why: dict[Case, str] = {}
    for (problem, model, arm), specs in first.items():
        reason = next((s for s in (seconds[x.hash] for x in specs) if isinstance(s, str)), None)
        if reason is not None:
            why.setdefault((problem, model), f"how long {arm!r} takes is unknown, because {reason}")
    notes = [
        f"{problem} with {model} is left out for all arms: {text}"
        for (problem, model), text in why.items()
    ]
    run_s: dict[Key, float] = {}
    settings: dict[Key, int] = {}
    paid: dict[Case, set[str]] = {}
    for key, specs in first.items():
        case = key[:2]
        hashes = {spec.hash for spec in specs}
        known = paid.setdefault(case, set())
        if case in why or hashes <= known:
            continue
        run_s[key] = sum(float(seconds[name]) for name in hashes) / len(hashes)
        settings[key] = len(hashes - known)
        known |= hashes
    if not run_s:
        raise BadInput("; ".join(notes) or "there is nothing to rank")
    return Costs(run_s, settings), notes


def _steps(costs: Costs, full: _Step, most_seeds: int) -> Iterator[_Step]:
    """From one case to all, then more seeds and lengths."""
    price = dict.fromkeys(costs.cases, 0.0)
    for key, run_s in costs.run_s.items():
        price[key[:2]] += run_s * _rest(_Step(costs.cases, LEAST_SEEDS, 0), costs, key)
    # A stable sort: of equal ones the preferred comes first.
    cheapest = sorted(price, key=price.__getitem__)
    least = min(LEAST_SEEDS, full.seeds)
    for count in range(1, len(cheapest) + 1):
        chosen = set(cheapest[:count])
        yield _Step([case for case in costs.cases if case in chosen], least, 0)
    seeds, lengths = least, 0
    for wanted_seeds, wanted_lengths in (
        (full.seeds, 0),
        (full.seeds, full.length_seeds),
        (MANY_SEEDS, full.length_seeds),
        (MANY_SEEDS, MOST_LENGTH_SEEDS),
        (most_seeds, MOST_LENGTH_SEEDS),
    ):
        while seeds < min(wanted_seeds, most_seeds):
            seeds += 1
            yield _Step(costs.cases, seeds, lengths)
        while lengths < min(wanted_lengths, seeds):
            lengths += 1
            yield _Step(costs.cases, seeds, lengths)


def _trials(costs: Costs, key: Key) -> float:
    """Runs by which an arm is tuned on a case, with the extensions that are expected."""
    settings = costs.settings[key]
    return (settings + (EXTENSIONS if settings > 1 else 0.0)) * len(TRIAL_SEEDS)


def _rest(step: _Step, costs: Costs, key: Key) -> float:
    """Runs of full length that an arm still needs on a case."""
    done = costs.done.get(key, Done())
    # While trials have not ended at least one is missing, however many there were.
    trials = 0.0 if done.tuned else max(_trials(costs, key) - done.trials, 1.0)
    seeds = max(step.seeds - done.seeds, 0.0)
    return trials + seeds + max(_OTHER_LENGTHS * step.length_seeds - done.lengths, 0.0)


def _seconds(step: _Step, costs: Costs, jobs: int) -> float:
    """How long a plan takes at most where its runs have the lengths that are expected.

    Trials, their extensions, each block of seeds and the other lengths follow each other. Within
    each, no process waits while there are runs that have not begun, so all have ended after
    ``longest + (work - longest) / jobs`` (R. Graham, Bounds on multiprocessing timing anomalies,
    1969, equation 3).
    """
    cases = set(step.cases)
    work, longest = 0.0, 0.0
    for key, run_s in costs.run_s.items():
        if key[:2] not in cases:
            continue
        longest = max(longest, run_s)
        work += run_s * _rest(step, costs, key)
    others = step.length_seeds > 0
    whole = 3 + sum(look < step.seeds for look in LOOKS)
    stages = whole + others
    waits = min(work, longest * (whole + max(SHARES) * others))
    return waits + (work - waits) / jobs + stages * START_S if work else 0.0


def _more(seconds: float, suites: int) -> str:
    """The time that is missing of the whole call."""
    shared = f", all {suites} suites together" if suites > 1 else ""
    return f"about {duration(suites * seconds)} more{shared}"


def _missing(ladder: _Ladder, step: _Step, seconds: float, suites: int) -> list[str]:
    """A sentence for each thing that the full answer has and a plan does not."""
    full, notes = ladder.full, []

    def more(wanted: _Step) -> str:
        return f"would need {_more(ladder.to(wanted) - seconds, suites)}"

    for problem, model in (case for case in full.cases if case not in step.cases):
        wanted = _Step([(problem, model)], step.seeds, 0)
        notes.append(f"{problem} with {model} does not fit: it {more(wanted)}")
    if step.seeds < full.seeds:
        wanted = _Step(full.cases, full.seeds, 0)
        whole = "" if step.cases == full.cases else " of all problems and models"
        notes.append(
            f"{counted(step.seeds, 'seed')} instead of {full.seeds}:"
            f" {full.seeds}{whole} {more(wanted)}"
        )
    if step.length_seeds < full.length_seeds:
        what = "no runs at other lengths"
        if step.length_seeds:
            what = f"runs at other lengths have {counted(step.length_seeds, 'seed')}"
        notes.append(
            f"{what}, so that time to a target is known less well: {full.length_seeds} seeds"
            f" of them {more(full)}"
        )
    return notes


def _too_short(ladder: _Ladder, seconds: float, jobs: int, suites: int) -> BadInput:
    ((problem, model),) = ladder.steps[0].cases
    least = ladder.steps[0].seeds
    hours = math.ceil(suites * ladder.seconds[0] / 36) / 100
    shared = f" of the whole call, which {suites} suites share" if suites > 1 else ""
    side = "one at a time" if jobs == 1 else f"{jobs} at a time"
    return BadInput(
        f"{suites * seconds / 3600:g} hours are too short: the smallest plan ({problem} with"
        f" {model}, the trials and {counted(least, 'seed')} of every arm under the budget"
        f" {ladder.budget!r}, {side}) needs about {hours:g} hours{shared}; a shorter budget, fewer"
        " arms, fewer values to tune, a smaller problem or model, or more runs side by side would"
        " help"
    )
