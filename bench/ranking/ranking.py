"""A ranking: its arms, the trials by which each was tuned, and the runs by which it is scored.

It is all that a report needs beside the records, so that there is an answer at every moment: while
runs go on, after a night that was cut short, and on another machine.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.files.atomic import read_bounded, write_atomically
from bench.spec.spec import Spec
from bench.store.store import Store
from bench.studies.plan import SCHEMA as PLAN_SCHEMA
from bench.studies.plan import Plan, PlannedRun
from bench.task import Columns
from bench.text.errors import BadInput, unknown

SCHEMA = 1

#: Of a ranking's file.
_MOST_BYTES = 2**31

#: The lengths at which arms are scored, in shares of the budget's steps. Each run has its own decay
#: of the learning rate, so that one of half the length is no prefix of a whole one.
SHARES = (0.25, 0.5, 1.0, 2.0)
#: Targets, in medians of the tuned reference's errors at full length.
TARGETS = (0.5, 1.0, 2.0, 5.0)
#: Seeds of trials. Scored seeds count from 0, and no study has so many that they meet.
TRIAL_SEEDS = (1_000_000, 1_000_001)

#: What is tuned, by name: ``lr`` and other options of training, or a technique that takes a value.
Setting = dict[str, float | str]


class Contestant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm of a ranking.

    Attributes:
        arm: The variant in canonical spelling; see `bench.studies.definition.Variant`.
        name: Its short name; empty: the arm itself.
        tune: Values to try, by name of what is tuned.
        candidate: Whether the ranking was asked for it, and not to compare with it.
    """

    arm: str
    name: str = ""
    tune: dict[str, list[float | str]] = {}
    candidate: bool = False

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        return self.name or self.arm


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run by which an arm is tuned. Its test error decides nothing.

    Attributes:
        spec: What is run; its arm is `Contestant.arm`, whatever is tuned.
        command: The command that runs it.
        setting: What is tried.
    """

    spec: Spec
    command: str
    setting: Setting


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The setting that an arm is scored at on a problem and model.

    Attributes:
        problem: Name of the problem.
        model: Name and size of the network.
        arm: `Contestant.arm`.
        setting: The setting with the least `selection` over the seeds of the trials.
        untuned: The setting that the protocol, or the arm itself, has without tuning.
        at_edge: Whether no worse setting was tried beyond the best, in some direction.
    """

    problem: str
    model: str
    arm: str
    setting: Setting
    untuned: Setting
    at_edge: bool


class Length(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The runs of one length.

    Attributes:
        share: Of the budget's steps.
        runs: At the chosen settings, seed by seed.
    """

    share: float
    runs: list[PlannedRun]


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was planned, and what it took.

    Attributes:
        hours: What was allowed.
        planned_s: What the plan said at the beginning.
        taken_s: Of all sessions that worked on the ranking, so far.
        jobs: Runs side by side.
        begun: UTC time, ISO 8601.
        ended: Of the last session; ``None`` while it goes on.
        notes: What did not fit, in sentences.
    """

    hours: float
    planned_s: float
    taken_s: float
    jobs: int
    begun: str
    ended: str | None = None
    notes: list[str] = []


class Ranking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The runs of a ranking on one suite.

    Attributes:
        schema: Version of this layout.
        name: Of the ranking.
        suite: Name of the suite.
        budget: Name of the budget.
        options: Of training and of the suite, for every run.
        command: The command that made or extended it.
        arms: The reference first, then the candidates.
        columns: The metrics of each problem.
        trials: Of all arms.
        choices: One for each problem, model and arm whose trials have ended.
        lengths: The runs that are scored; share 1 first.
        times: What was planned, and what it took.
        dtype: Of the networks; empty in files from before these three fields.
        device: ``cpu`` or ``cuda``.
        sources: Digest of the source file of each of the arms' own objects.
        problems: Those that were asked for by name, in the order of their names; empty: none was,
            as in files from before these two fields.
        models: Likewise.
    """

    schema: int
    name: str
    suite: str
    budget: str
    options: str
    command: str
    arms: list[Contestant]
    columns: dict[str, Columns]
    trials: list[Trial]
    choices: list[Choice]
    lengths: list[Length]
    times: Times
    dtype: str = ""
    device: str = ""
    sources: dict[str, str] = {}
    problems: list[str] = []
    models: list[str] = []

    @property
    def key(self) -> str:
        """Name of the ranking's file: the same for a longer night with the same question.

        An object of one's own that was edited is another question, and so are other problems or
        models that are asked for by name.
        """
        return key_of_question(
            self.name,
            self.suite,
            self.budget,
            self.options,
            self.arms,
            self.dtype,
            self.device,
            self.sources,
            self.problems,
            self.models,
        )

    @property
    def reference(self) -> Contestant:
        """What the others are compared with."""
        return self.arms[0]

    @property
    def labels(self) -> Mapping[str, str]:
        """What tables and figures call each arm."""
        return {one.arm: one.label for one in self.arms}

    def runs_of(self, share: float) -> list[PlannedRun]:
        """The scored runs of one length; none where there are none yet."""
        return [run for length in self.lengths if length.share == share for run in length.runs]

    def plan(self, share: float = 1.0) -> Plan:
        """The scored runs of one length as those of a study, each arm compared with the reference.

        The first candidate is the declared comparison.
        """
        others = sorted(self.arms[1:], key=lambda one: not one.candidate)
        candidates = ", ".join(one.label for one in self.arms if one.candidate)
        return Plan(
            schema=PLAN_SCHEMA,
            study=self.name,
            suite=self.suite,
            budget=self.budget,
            options=self.options,
            question=f"Where does {candidates} rank?",
            command=self.command,
            comparisons=[(one.arm, self.reference.arm) for one in others],
            factors=[],
            cells=[],
            columns=self.columns,
            runs=self.runs_of(share),
            names={one.name: one.arm for one in self.arms if one.name},
        )


def key_of_question(
    name: str,
    suite: str,
    budget: str,
    options: str,
    arms: Sequence[Contestant],
    dtype: str,
    device: str,
    sources: Mapping[str, str],
    problems: Sequence[str] = (),
    models: Sequence[str] = (),
) -> str:
    """`Ranking.key` of a ranking with these attributes."""
    asked: list[object] = [options, [(one.arm, one.tune) for one in arms]]
    where = [dtype, device, sources]
    if any(where):
        asked += where
    if problems or models:
        asked.append({"problems": problems, "models": models})
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:8]
    return f"{name}-{suite}-{budget}-{digest}"


def _path(store: Store, key: str) -> Path:
    return store.root / "rankings" / f"{key}.json"


def save(ranking: Ranking, store: Store) -> None:
    """Write a ranking into a store, in the place of one with the same key."""
    path = _path(store, ranking.key)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(ranking), indent=1))


def find(store: Store, key: str) -> Ranking | None:
    """The ranking of that key, if the store has one.

    Raises:
        BadInput: It cannot be read.
    """
    path = _path(store, key)
    return _read(path) if path.exists() else None


def rankings(store: Store) -> list[Ranking]:
    """The rankings of a store, in the order of their keys; an unreadable one is said on stderr."""
    found = []
    for path in sorted((store.root / "rankings").glob("*.json")):
        try:
            found.append(_read(path))
        except BadInput as error:
            print(f"bench: ignoring a ranking: {error}", file=sys.stderr)
    return found


def find_rankings(store: Store, name: str, suite: str | None, budget: str | None) -> list[Ranking]:
    """The rankings of a name, of one suite or budget if asked for.

    Args:
        store: Where they are.
        name: Name of the ranking, or the key of one.
        suite: Name of a suite, or all.
        budget: Name of a budget, or all.

    Raises:
        BadInput: The store has none.
    """
    every = rankings(store)
    of_name = [one for one in every if name in (one.name, one.key)]
    if not of_name:
        raise unknown(f"ranking in {str(store.root)!r}:", name, {one.name for one in every})
    for word, wanted in (("suite", suite), ("budget", budget)):
        there = {getattr(one, word) for one in of_name}
        if wanted is not None and wanted not in there:
            raise unknown(f"{word} of the ranking {name!r}:", wanted, there)
    return [r for r in of_name if suite in (None, r.suite) and budget in (None, r.budget)]


def _read(path: Path) -> Ranking:
    try:
        ranking = msgspec.json.decode(read_bounded(path, _MOST_BYTES), type=Ranking)
    except (OSError, RecursionError, ValueError) as error:
        raise BadInput(f"cannot read {str(path)!r}: {error}") from error
    if ranking.schema > SCHEMA:
        raise BadInput(f"{str(path)!r} has schema {ranking.schema}, newer than {SCHEMA}")
    if not ranking.arms:
        raise BadInput(f"{str(path)!r} has no arms")
    # Reports are named by it, so it must not lead elsewhere.
    if ranking.key != path.stem:
        raise BadInput(f"{str(path)!r} is the ranking {ranking.key!r}: it has been renamed")
    return ranking
