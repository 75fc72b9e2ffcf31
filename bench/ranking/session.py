"""A ranking on one suite while it is worked on: what is run next, and what is kept."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from bench.execution.find_or_run import trained
from bench.ranking.extending import extended
from bench.ranking.found import Found
from bench.ranking.outdated import Today, without_outdated
from bench.ranking.ranking import (
    SCHEMA,
    SHARES,
    Choice,
    Contestant,
    Length,
    Ranking,
    Times,
    Trial,
    find,
    save,
)
from bench.ranking.runs import Runs
from bench.ranking.schedule import (
    LOOKS,
    Case,
    Costs,
    Done,
    Key,
    Night,
    changes,
    plan_again,
    remaining_s,
)
from bench.ranking.trials import has_ended, lacks_selection, refuse_negative
from bench.ranking.tuned import Tuned
from bench.spec.spec import Spec
from bench.store.record import timestamp
from bench.store.store import Store
from bench.studies.plan import PlannedRun, columns_of, parse_options
from bench.task import SELECTION, Columns
from bench.text.errors import BadInput
from bench.text.formatting import times_text

#: The lengths beside the whole one.
_OTHERS = tuple(share for share in SHARES if share != 1.0)


class Round(NamedTuple):
    """Runs that are carried out by one call.

    Attributes:
        title: What they are, for people.
        specs: In the order in which they are begun.
        trials: Whether arms are tuned by them.
        planned: Whether they belong to the plan, and are not for the time that is left.
    """

    title: str
    specs: Sequence[Spec]
    trials: bool = False
    planned: bool = True


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A ranking on one suite as it is planned.

    Attributes:
        runs: Makes its runs.
        arms: The reference first, then the candidates.
        night: What fits.
        costs: Of its budget.
        name: Of the ranking.
        options: Of training and of the suite, for every run.
        command: The command that made it.
        most_seeds: Of scored runs, where time is left.
        hours: What all suites may take.
        jobs: Runs side by side.
        notes: What was left out or decided whatever fits, in sentences.
        suites: How many suites share the hours.
        problems: Those that were asked for by name, as `Ranking.problems`.
        models: Likewise.
    """

    runs: Runs
    arms: Sequence[Contestant]
    night: Night
    costs: Costs
    name: str
    options: str
    command: str
    most_seeds: int
    hours: float
    jobs: int
    notes: Sequence[str] = ()
    suites: int = 1
    problems: Sequence[str] = ()
    models: Sequence[str] = ()


class Session:
    """Works on a ranking, round by round: `first_rounds`, `plan_again`, `planned_rounds`,
    `spare_rounds`.

    Everything is decided by the records that there are, so that a session that continues another
    comes to what one alone would have come to.

    Args:
        planned: The ranking.
        store: Where its runs and itself are kept.
        rerun: Nothing that is there counts.

    Attributes:
        planned: The ranking as it was planned.
        night: What fits; made again once trials have shown what runs cost.
        worked_s: How long this session's own rounds have taken.
        refused: Why it cannot go on, if it cannot.

    Raises:
        BadInput: The store has a ranking of this key that cannot be read.
    """

    def __init__(self, planned: Planned, store: Store, rerun: bool = False) -> None:
        self.planned = planned
        self.night = planned.night
        self.store = store
        self.found = Found(store, rerun)
        self.tuned = Tuned(planned.runs, planned.arms, planned.night.cases, self.found)
        self.worked_s = 0.0
        self.refused: str | None = None
        self._today = Today(planned.runs, list(planned.arms))
        self._started = timestamp()
        self._changes: list[str] = []
        self._scored: dict[tuple[float, int], None] = {}
        self._before: Times | None = None
        if (old := find(store, self.key)) is not None:
            self._before = old.times

    def first_rounds(self) -> Iterator[Round]:
        """The first trials of all cases: these show what runs cost."""
        yield Round("trials of the first settings", _specs(self.tuned.first()), trials=True)

    def planned_rounds(self) -> Iterator[Round]:
        """The rest of the plan; each round is decided by the records of those before it."""
        night = self.night
        if added := [s for s in _specs(self.tuned.first()) if not self._has_ended(s)]:
            yield Round("trials of the first settings", added, trials=True)
        while further := [s for s in _specs(self.tuned.trials()) if not self._has_ended(s)]:
            yield Round("trials beside the best", further, trials=True)
        yield from self._seeds(0, night.seeds, planned=True)
        if others := [(share, seed) for seed in range(night.length_seeds) for share in _OTHERS]:
            yield Round("other lengths", self._score(others))

    def spare_rounds(self) -> Iterator[Round]:
        """What the time that is left goes into."""
        yield from self._seeds(self.night.seeds, self.planned.most_seeds, planned=False)

    def plan_again(self, seconds: float) -> None:
        """Plan what is left, once trials have shown what runs cost; what changes is said and kept.

        Without such trials of this session the plan stays.

        Args:
            seconds: What is left for this ranking.
        """
        planned, before = self.planned, self.night
        if not (shown := self._shown_s()):
            return
        costs = replace(planned.costs, run_s={**planned.costs.run_s, **shown})
        tuned = Tuned(planned.runs, planned.arms, costs.cases, self.found)
        costs = replace(costs, done=runs_done(tuned, costs.run_s, planned.most_seeds))
        several = len(planned.arms) > 2
        self.night = plan_again(
            before,
            costs,
            planned.jobs,
            seconds,
            planned.most_seeds,
            several,
            planned.suites,
        )
        self.tuned = replace(self.tuned, cases=self.night.cases)
        if said := changes(before, self.night):
            key, factor = max(
                ((key, s / planned.costs.run_s[key]) for key, s in shown.items()),
                key=lambda one: abs(math.log(one[1])),
            )
            self._changes.append(
                f"the plan was made again after the first trials: {'; '.join(said)}. Runs of"
                f" {key[2]!r} on {key[0]} take {times_text(factor)} the time that was expected"
            )
            self._tell(self._changes[-1])

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While it lasts, the session's own time goes on."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.worked_s += time.monotonic() - begun

    @property
    def notes(self) -> list[str]:
        """What did not fit, was left out or was decided, in sentences."""
        return [*self.planned.notes, *self.night.notes, *self._changes]

    def _tell(self, text: str) -> None:
        print(f"bench: {self.planned.runs.suite.name}: {text}", file=sys.stderr, flush=True)

    def _seeds(self, first: int, last: int, planned: bool) -> Iterator[Round]:
        bounds = [first, *(look for look in LOOKS if first < look < last), last]
        for low, high in itertools.pairwise(bounds):
            if low < high:
                specs = self._score([(1.0, seed) for seed in range(low, high)])
                yield Round(f"scored seeds up to {high}", specs, planned=planned)

    def _score(self, wanted: Iterable[tuple[float, int]]) -> list[Spec]:
        """Runs of lengths and seeds of all arms at their chosen settings; the ranking has them."""
        pairs, choices = list(wanted), self.tuned.choices()
        self._scored.update(dict.fromkeys(pairs))
        return [run.spec for share, seed in pairs for run in self._runs(choices, share, seed)]

    def _runs(self, choices: Sequence[Choice], share: float, seed: int) -> list[PlannedRun]:
        """The scored runs of a length and a seed."""
        arms = {one.arm: one for one in self.planned.arms}
        return [
            self.planned.runs.run(
                (choice.problem, choice.model), arms[choice.arm], choice.setting, seed, share
            )
            for choice in choices
        ]

    def stale(self, round_: Round) -> list[Spec]:
        """Trials of a round that code has made which did not yet keep what they are tuned by."""
        records = ((spec, self.found.get(spec.hash)) for spec in round_.specs)
        return [
            spec
            for spec, record in records
            if round_.trials and record is not None and lacks_selection(record)
        ]

    def check(self, round_: Round) -> None:
        """Refuse to go on from a round by whose trials nothing can be tuned.

        Raises:
            BadInput: A trial that was just run has no loss on held-out data, or one below 0.
        """
        if round_.trials:
            refuse_negative(self.found.get(spec.hash) for spec in round_.specs)
        if without := self.stale(round_):
            raise BadInput(
                f"the run {without[0].hash} has no {SELECTION!r}, by which settings are selected"
            )

    def _has_ended(self, spec: Spec) -> bool:
        return has_ended(self.found.get(spec.hash))

    def remaining_s(self) -> float:
        """Seconds until all of the plan has been run."""
        planned = self.planned
        costs = replace(planned.costs, run_s=self._run_s())
        of_night = [key for key in costs.run_s if key[:2] in self.night.cases]
        done = runs_done(self.tuned, of_night, planned.most_seeds)
        return remaining_s(self.night, costs, planned.jobs, done)

    def expected_s(self, specs: Iterable[Spec]) -> dict[str, float]:
        """How long runs are expected to last, by hash."""
        run_s = self._run_s()
        found: dict[str, float] = {}
        for spec in specs:
            case = (spec.problem, spec.model)
            # An arm without a cost of its own is the same run as another on the case.
            of_case = [seconds for key, seconds in run_s.items() if key[:2] == case]
            whole_s = run_s.get((*case, spec.arm), max(of_case))
            found.setdefault(spec.hash, whole_s * self._share(spec))
        return found

    def _run_s(self) -> dict[Key, float]:
        """Seconds of a run at full length: of those of this session, if there are any."""
        return {**self.planned.costs.run_s, **self._shown_s()}

    def _shown_s(self) -> dict[Key, float]:
        """Median seconds of a run at full length, of those that this session has made."""
        made: dict[Key, list[float]] = {}
        for record in self.found.made():
            spec, timing = record.spec, record.timing
            key = (spec.problem, spec.model, spec.arm)
            # What was found in the store may be of another machine.
            ours = record.status == "done" and record.started >= self._started
            if ours and key in self.planned.costs.run_s:
                seconds = timing.build_s + timing.train_s + timing.evaluate_s
                whole_s = seconds / self._share(spec) / record.seeds_together
                made.setdefault(key, []).append(whole_s)
        return {key: statistics.median(seconds) for key, seconds in made.items()}

    def _share(self, spec: Spec) -> float:
        """Length of a run, in shares of the budget's steps."""
        (arm,) = (one for one in self.planned.arms if one.arm == spec.arm)
        whole = self.planned.runs.plain((spec.problem, spec.model), arm)
        return spec.training.total_steps / whole.training.total_steps

    @cached_property
    def key(self) -> str:
        """Name of the ranking's file."""
        return self.ranking().key

    def ranking(self, ended: bool = False) -> Ranking:
        """The ranking so far, as this session knows it.

        Args:
            ended: Whether the session is over.
        """
        planned, night, runs = self.planned, self.night, self.planned.runs
        choices = self.tuned.choices()
        lengths = []
        for share in (1.0, *_OTHERS):
            seeds = [seed for at, seed in self._scored if at == share]
            of_length = [run for seed in seeds for run in self._runs(choices, share, seed)]
            lengths.append(Length(share, of_length))
        before = self._before
        taken_s = before.taken_s if before else 0.0
        return Ranking(
            schema=SCHEMA,
            name=planned.name,
            suite=runs.suite.name,
            budget=night.budget,
            options=planned.options,
            command=planned.command,
            arms=list(planned.arms),
            columns=_columns(runs, night.cases),
            trials=self.tuned.trials(),
            choices=choices,
            lengths=[length for length in lengths if length.runs],
            times=Times(
                hours=planned.hours,
                planned_s=taken_s + planned.night.seconds,
                taken_s=taken_s + self.worked_s,
                jobs=planned.jobs,
                begun=before.begun if before else self._started,
                ended=timestamp() if ended else None,
                notes=self.notes,
            ),
            dtype=runs.dtype,
            device=runs.kind_of_device,
            sources=self._sources,
            problems=list(planned.problems),
            models=list(planned.models),
        )

    @cached_property
    def _sources(self) -> dict[str, str]:
        return self.planned.runs.sources(self.planned.arms)

    def finish(self) -> None:
        """Do what the suite's own options ask for once the runs have ended, for the scored ones."""
        runs = self.planned.runs
        every = (self.found.get(run.spec.hash) for run in self.ranking().runs_of(1.0))
        records = [record for record in every if record is not None]
        options = parse_options(runs.suite, self.planned.name, runs.words)[1]
        runs.suite.finish(trained(records, self.store), options)

    def save(self, ended: bool = False) -> Ranking:
        """Write the ranking into the store, with what an earlier one had; returns what is written.

        Args:
            ended: Whether the session is over.

        Raises:
            BadInput: The ranking that is there cannot be read.
        """
        ranking = self.ranking(ended)
        with self.store.claim(f"ranking-{ranking.key}").held():
            if (old := find(self.store, ranking.key)) is not None:
                old, outdated = without_outdated(old, self._today)
                if outdated:
                    self._say_outdated(outdated)
                    ranking = self.ranking(ended)
                ranking = extended(ranking, old)
            save(ranking, self.store)
        return ranking

    def _say_outdated(self, cases: Iterable[Case]) -> None:
        where = ", ".join(f"{problem} with {model}" for problem, model in cases)
        self._changes.append(
            f"of the ranking that was here runs are left out on {where}: settings, data or"
            " definitions have changed since"
        )
        self._tell(self._changes[-1])


def runs_done(tuned: Tuned, keys: Iterable[Key], most_seeds: int) -> dict[Key, Done]:
    """What has a result, of each case and arm.

    Args:
        tuned: How far the arms have been tuned.
        keys: The cases and arms, in their order.
        most_seeds: Scored seeds that are looked for.
    """
    arms = {one.arm: one for one in tuned.arms}
    done: dict[Key, Done] = {}
    paid: dict[Case, set[str]] = {}
    for key in keys:
        problem, model, name = key
        case, arm = (problem, model), arms[name]
        known = paid.setdefault(case, set())
        trials = {trial.spec.hash for trial in tuned.of(case, arm)} - known
        known |= trials
        tried = float(sum(map(tuned.found.has_result, trials)))
        choice = tuned.choice(case, arm)
        if choice is None:
            done[key] = Done(tried)
            continue
        seeds = lengths = 0.0
        for seed in range(most_seeds):
            runs = {s: tuned.runs.run(case, arm, choice.setting, seed, s).spec for s in SHARES}
            if not tuned.found.has_result(runs.pop(1.0).hash):
                break  # they are run in order
            seeds += 1
            lengths += sum(s for s, spec in runs.items() if tuned.found.has_result(spec.hash))
        done[key] = Done(tried, True, seeds, lengths)
    return done


def _specs(trials: Iterable[Trial]) -> list[Spec]:
    return [trial.spec for trial in trials]


def _columns(runs: Runs, cases: Iterable[Case]) -> dict[str, Columns]:
    """The metrics of each problem, by what specs call it."""
    asked = {problem: runs.asked[problem, model][0] for problem, model in cases}
    found = columns_of(runs.suite, asked.values())
    return {problem: found[name] for problem, name in asked.items()}
