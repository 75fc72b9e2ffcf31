"""From a question to what is run: arms, cases, and what fits into the time."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bench.execution.options import ExecutionOptions, device_name
from bench.plugins import load_suite, suite_names, working_suites
from bench.ranking.alike import sentences
from bench.ranking.contestants import contestants
from bench.ranking.equal_steps import check_equal_steps
from bench.ranking.found import Found
from bench.ranking.options import AUTO, RankOptions
from bench.ranking.ranking import TRIAL_SEEDS, Contestant, find, key_of_question
from bench.ranking.runs import Runs
from bench.ranking.schedule import Case, Costs, Key, costs_of, plan_night
from bench.ranking.session import Planned, Session, runs_done
from bench.ranking.tunable import lbfgs_alone
from bench.ranking.tuned import Tuned
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.store.gc_pause import uncollected
from bench.store.record import decode_result
from bench.store.store import Store
from bench.studies.estimate import seconds_of
from bench.studies.measurement import ALL_S
from bench.studies.timings import Timings
from bench.task import Suite
from bench.text.errors import BadInput, unknown

#: In which order budgets are tried where none is named.
_BUDGETS = ("quick", "short")
#: Share of the time that measuring may take.
_MEASURING = 0.03
#: Characters of a ranking's name.
_LONGEST = 40


@dataclass(frozen=True)
class Question:
    """What is ranked on one suite, before it is known what fits.

    Attributes:
        suite: The suite.
        arms: The reference first, then the candidates.
        choices: The runs under each budget that may be taken, the preferred one first.
        notes: What was left out, in sentences.
    """

    suite: Suite
    arms: Sequence[Contestant]
    choices: Sequence[Runs]
    notes: Sequence[str]


def plan_sessions(
    given: RankOptions,
    training: TrainingOptions,
    where: ExecutionOptions,
    tell: Callable[[str], None],
) -> list[Session]:
    """The rankings that are asked for, one on each suite. Nothing is written.

    Suites share the hours equally.

    Args:
        given: What is ranked.
        training: Changes of the budget's training.
        where: Where runs are carried out and kept.
        tell: Is called with a message when something must be measured.

    Raises:
        BadInput: A name, a value or an option is wrong, or nothing fits into the time.
    """
    given.check()
    where.check()
    device = device_name(where.device)
    store = Store(where.store)
    asked = contestants(given.candidates, given.against)
    told: set[str] = set()

    def tell_once(message: str) -> None:
        if message not in told:
            told.add(message)
            tell(message)

    # All are checked before the first is measured, which takes a while.
    questions = [
        _question(suite, asked, given, training, device, where.dtype) for suite in _suites(given)
    ]
    _refuse_same(questions)
    jobs, together = where.jobs_on(device), where.together_on(device)
    with uncollected():
        timings = Timings(store.records(decode_result), jobs, together)
    return [
        _session(question, given, training, where, store, timings, len(questions), tell_once)
        for question in questions
    ]


def _suites(given: RankOptions) -> list[Suite]:
    """The suites that are named, or all that have the problems that are named."""
    if given.suite:
        return [load_suite(name) for name in dict.fromkeys(given.suite)]
    every = list(working_suites())
    having = [suite for suite in every if all(name in suite.problems for name in given.problems)]
    if not having:
        raise BadInput(
            f"no suite has {' and '.join(map(repr, given.problems))}: name the --suite"
            f" (allowed: {', '.join(suite_names())})"
        )
    return having


def _question(
    suite: Suite,
    arms: Sequence[Contestant],
    given: RankOptions,
    training: TrainingOptions,
    device: str,
    dtype: str,
) -> Question:
    if given.budget != AUTO and given.budget not in suite.budgets:
        raise unknown("budget", given.budget, [AUTO, *suite.budgets])
    budgets = [given.budget]
    if given.budget == AUTO:
        budgets = [name for name in _BUDGETS if name in suite.budgets] or [*suite.budgets][:1]
    problems = given.problems or suite.default_problems()
    for problem in problems:
        if problem in suite.problems and not suite.columns(problem).compared:
            raise BadInput(
                f"nothing true is known of {problem!r}, so there is no error by which arms could"
                " be ranked"
            )
    choices = [
        Runs(
            suite=suite,
            budget=budget,
            device=device,
            dtype=dtype,
            words=given.words_of_runs(training),
            problems=problems,
            models=given.models or suite.default_models(budget),
        )
        for budget in budgets
    ]
    kept, notes = (arms, []) if given.against else _distinct(arms, choices[0])
    choices, unequal = _with_equal_steps(choices, kept)
    for runs in choices:
        _first(runs, kept)  # so that what the suite refuses is refused now
    notes = [*notes, *unequal, *sentences(kept), *_untunable(kept, choices[0])]
    return Question(suite, kept, choices, notes)


def _with_equal_steps(
    choices: Sequence[Runs], arms: Sequence[Contestant]
) -> tuple[list[Runs], list[str]]:
    """The budgets under which all arms train equally long, and a sentence for each other.

    Raises:
        BadInput: There is none.
    """
    found: list[Runs] = []
    refused: list[BadInput] = []
    for runs in choices:
        try:
            check_equal_steps(runs, arms)
        except BadInput as error:
            refused.append(error)
        else:
            found.append(runs)
    if not found:
        raise refused[0]
    return found, [f"a budget is left out: {error}" for error in refused]


def _untunable(arms: Sequence[Contestant], runs: Runs) -> list[str]:
    """A sentence on the arms whose learning rate changes nothing."""
    alone = [
        repr(arm.label) for arm in arms if any(lbfgs_alone(runs.plain(c, arm)) for c in runs.asked)
    ]
    if not alone:
        return []
    return [
        f"no rate is tuned of {', '.join(alone)}: without a step of Adam there is only that of"
        " L-BFGS, which is fixed"
    ]


def _distinct(arms: Sequence[Contestant], runs: Runs) -> tuple[list[Contestant], list[str]]:
    """The arms without the known ones that are the same run as another on every case.

    Returns:
        The arms, and a sentence for each that is left out.
    """
    kept: list[Contestant] = []
    first: dict[tuple[str, ...], Contestant] = {}
    notes: list[str] = []
    for arm in arms:
        same = first.setdefault(tuple(runs.plain(case, arm).hash for case in runs.asked), arm)
        if same is arm or arm.candidate:
            kept.append(arm)
        else:
            notes.append(f"{arm.label} is left out: it is the same run as {same.label} everywhere")
    return kept, notes


def _refuse_same(questions: Sequence[Question]) -> None:
    """Refuse a candidate that changes nothing on any suite.

    Raises:
        BadInput: Whatever it is tuned by, it is the same runs as the reference everywhere.
    """
    for candidate in questions[0].arms:
        if not candidate.candidate:
            continue
        if all(_same(one.choices[0], candidate, one.arms[0]) for one in questions):
            cases = (case for one in questions for case in one.choices[0].asked)
            problems = dict.fromkeys(problem for problem, _ in cases)
            raise BadInput(
                f"{candidate.label} changes nothing on {', '.join(problems)}: it is the same run as"
                f" {questions[0].arms[0].label}"
            )


def _same(runs: Runs, arm: Contestant, reference: Contestant) -> bool:
    """Whether the first trials of two arms are the same runs on every case."""

    def trials(case: Case, one: Contestant) -> set[str]:
        settings = runs.search(case, one).first()
        return {runs.run(case, one, each, TRIAL_SEEDS[0]).spec.hash for each in settings}

    return all(trials(case, arm) == trials(case, reference) for case in runs.asked)


def _session(
    question: Question,
    given: RankOptions,
    training: TrainingOptions,
    where: ExecutionOptions,
    store: Store,
    timings: Timings,
    suites: int,
    tell: Callable[[str], None],
) -> Session:
    seconds, jobs = given.seconds / suites, timings.jobs
    found = Found(store, where.rerun)
    words = shlex.join(given.words_of_runs(training))
    name = name_of(question.arms)
    choices, stays = question.choices, list[str]()
    if not where.rerun and (begun := _begun(question, given, name, words, store)) is not None:
        choices = [begun]
        stays = [
            f"the budget {begun.budget!r} stays, under which the store has this ranking; --budget"
            " takes another"
        ]
    budgets: list[tuple[str, Costs]] = []
    notes: dict[str, list[str]] = {}
    for runs in choices:
        first = _first(runs, question.arms)
        specs = [spec for of_arm in first.values() for spec in of_arm]
        lasting = seconds_of(
            specs, timings, tell, limit_s=max(ALL_S, _MEASURING * seconds), beside=True
        )
        costs, left_out = costs_of(first, lasting)
        tuned = Tuned(runs, question.arms, costs.cases, found)
        done = runs_done(tuned, costs.run_s, given.seeds)
        budgets.append((runs.budget, replace(costs, done=done)))
        notes[runs.budget] = left_out
    several = len(question.arms) > 2
    night = plan_night(budgets, jobs, seconds, given.seeds, several, suites)
    (runs,) = (one for one in choices if one.budget == night.budget)
    planned = Planned(
        runs=runs,
        arms=question.arms,
        night=night,
        costs=dict(budgets)[night.budget],
        name=name,
        options=words,
        command=given.command(question.suite.name, training, where),
        most_seeds=given.seeds,
        hours=given.seconds / 3600,
        jobs=jobs,
        notes=[*question.notes, *stays, *notes[night.budget]],
        suites=suites,
        problems=_named(given.problems, (problem for problem, _ in runs.asked)),
        models=_named(given.models, (model for _, model in runs.asked)),
    )
    return Session(planned, store, where.rerun)


def _named(given: Sequence[str], names: Iterable[str]) -> list[str]:
    """What specs call problems or models, in order; none where none was asked for by name."""
    return sorted(set(names)) if given else []


def _begun(
    question: Question, given: RankOptions, name: str, options: str, store: Store
) -> Runs | None:
    """The runs under the budget that a ranking of the store already has, if there is a choice.

    Else the same command could come to another budget, by a measurement that is a little off, and
    would begin anew.
    """
    if len(question.choices) < 2:
        return None
    for runs in question.choices:
        key = key_of_question(
            name,
            runs.suite.name,
            runs.budget,
            options,
            question.arms,
            runs.dtype,
            runs.kind_of_device,
            runs.sources(question.arms),
            _named(given.problems, (problem for problem, _ in runs.asked)),
            _named(given.models, (model for _, model in runs.asked)),
        )
        if find(store, key) is not None:
            return runs
    return None


def _first(runs: Runs, arms: Iterable[Contestant]) -> dict[Key, list[Spec]]:
    """The first trials of each arm and case on one seed."""
    return {
        (*case, arm.arm): [
            runs.run(case, arm, setting, TRIAL_SEEDS[0]).spec
            for setting in runs.search(case, arm).first()
        ]
        for case in runs.asked
        for arm in arms
    }


def name_of(arms: Sequence[Contestant]) -> str:
    """The name of a ranking: that of its first candidate, in small letters."""
    candidates = [one.label for one in arms if one.candidate]
    plain = re.sub("[^a-z0-9]+", "-", candidates[0].lower()).strip("-")[:_LONGEST]
    return plain or "ranking"
