"""The plan of a study: its runs on one suite under one budget, kept in the store.

It is all that a report needs beside the records, so that one can be made while runs go on, on
another machine, or after the study's file has gone.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.execution.selection import suite_spec
from bench.files.atomic import read_bounded, write_atomically
from bench.spec.options import Options, add_flags
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.spec.versions import differs, newest_versions
from bench.store.store import Store
from bench.studies.definition import Part, Study, Variant, factorial_cells, split_words
from bench.task import Columns, Request, Suite
from bench.text.command_line import Parser
from bench.text.errors import BadInput, unknown

SCHEMA = 1

#: Of a plan; one of a million runs has 1.4 GB.
_MOST_BYTES = 2**31


class PlannedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run.

    Attributes:
        spec: What is run; its arm is the name of the variant.
        command: The command that runs it, into the default store.
    """

    spec: Spec
    command: str

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Problem, model, variant and seed: a plan has one run at each."""
        spec = self.spec
        return spec.problem, spec.model, spec.arm, spec.seed


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The runs of a study and how they are compared.

    Attributes:
        schema: Version of this layout.
        study: Name of the study.
        suite: Name of the suite.
        budget: Name of the budget.
        options: Of the suite, for every run, beside those of the study.
        question: What the study asks.
        command: The command that made or extended the plan.
        comparisons: Pairs (variant, reference).
        factors: Names of the factors; empty where there is no factorial.
        cells: The variant of each combination of the factors, the last factor fastest.
        columns: The metrics of each problem.
        runs: One at each place.
        names: The arm of each short name.
    """

    schema: int
    study: str
    suite: str
    budget: str
    options: str
    question: str
    command: str
    comparisons: list[tuple[str, str]]
    factors: list[str]
    cells: list[str]
    columns: dict[str, Columns]
    runs: list[PlannedRun]
    names: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Name of the plan's file."""
        name = f"{self.study}-{self.suite}-{self.budget}"
        digest = hashlib.sha256(self.options.encode()).hexdigest()[:8]
        return f"{name}-{digest}" if self.options else name

    @property
    def specs(self) -> list[Spec]:
        """What is run, in order."""
        return [run.spec for run in self.runs]

    @property
    def variants(self) -> list[str]:
        """Names of the variants, in order."""
        return list(dict.fromkeys(run.spec.arm for run in self.runs))

    def renamed(self) -> Plan:
        """This plan with the short names of its arms, as reports show them.

        The runs keep their hashes, which have no name of an arm in them.
        """
        short = {arm: name for name, arm in self.names.items()}
        if not short:
            return self

        def of(arm: str) -> str:
            return short.get(arm, arm)

        return msgspec.structs.replace(
            self,
            comparisons=[(of(one), of(other)) for one, other in self.comparisons],
            factors=[of(factor) for factor in self.factors],
            cells=[of(cell) for cell in self.cells],
            runs=[
                msgspec.structs.replace(
                    run, spec=msgspec.structs.replace(run.spec, arm=of(run.spec.arm))
                )
                for run in self.runs
            ],
        )

    def extended(self, old: Plan) -> Plan:
        """This plan with the runs of an old one of the same key.

        A place that both have is this one's. What the study no longer has is left out, and other
        seeds that would be run in another way today, so that no two ways are pooled, and runs of
        definitions that have been redefined, so that none is compared with a new one.
        """
        places = {run.place for run in self.runs}
        ways = {run.place[:3]: _but_seed(run.spec) for run in self.runs}
        variants = self.variants
        versions = newest_versions(self.specs)
        kept = [
            run
            for run in old.runs
            if run.place not in places
            and run.spec.arm in variants
            and ways.get(run.place[:3]) in (None, _but_seed(run.spec))
            and not differs(run.spec, versions)
        ]
        return msgspec.structs.replace(
            self,
            runs=_sorted([*self.runs, *kept], variants),
            columns={**old.columns, **self.columns},
        )


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a study is to be run.

    Attributes:
        problems: Instead of the study's, if any.
        models: Instead of the study's, if any.
        seeds: At least one.
        budget: Name of the budget.
        device: Name of the device, resolved.
        dtype: Of the networks.
        words: Options of training and of the suite for every run, as on a command line.
    """

    seeds: Sequence[int]
    problems: Sequence[str] = ()
    models: Sequence[str] = ()
    budget: str = "quick"
    device: str = "cpu"
    dtype: str = "float32"
    words: Sequence[str] = ()


def make_plan(study: Study, part: Part, suite: Suite, asked: Asked, command: str) -> Plan:
    """The plan of a study on one suite.

    Args:
        study: The study.
        part: Its part on the suite.
        suite: The suite.
        asked: How it is to be run.
        command: The command that makes the same plan, kept in it.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    problems = asked.problems or part.problems or suite.default_problems()
    variants = part.variants()
    names = [str(variant) for variant in variants]
    columns = columns_of(suite, problems)
    if without := [problem for problem in columns if not columns[problem].compared]:
        raise BadInput(
            f"study {study.name!r}: nothing true is known of {', '.join(map(repr, without))}, so"
            " there is no error by which arms could be compared"
        )
    runs = [
        run for variant in variants for run in _runs(study, part, suite, asked, variant, problems)
    ]
    return Plan(
        schema=SCHEMA,
        study=study.name,
        suite=suite.name,
        budget=asked.budget,
        options=shlex.join(asked.words),
        question=study.question,
        command=command,
        comparisons=part.comparisons(),
        factors=list(part.factors),
        cells=list(factorial_cells(variants, part.factors).values()),
        columns=columns,
        runs=_sorted(_distinct(runs), names),
        names=part.named(),
    )


def _runs(
    study: Study,
    part: Part,
    suite: Suite,
    asked: Asked,
    variant: Variant,
    problems: Sequence[str],
) -> Iterator[PlannedRun]:
    """The runs of a variant."""
    variant.arm.check_own()
    words = [*split_words(part.options), *asked.words, *variant.options]
    training, options = parse_options(suite, study.name, words)
    models = asked.models or part.models or suite.default_models(asked.budget)
    for problem in dict.fromkeys(problems):
        for model in dict.fromkeys(models):
            for seed in dict.fromkeys(asked.seeds):
                request = Request(
                    problem=problem,
                    model=model,
                    arm=variant.arm,
                    seed=seed,
                    budget=asked.budget,
                    device=asked.device.partition(":")[0],
                    dtype=asked.dtype,
                    training=training,
                    options=options,
                )
                yield planned_run(suite, request, words, str(variant))


def planned_run(suite: Suite, request: Request, words: Sequence[str], arm: str) -> PlannedRun:
    """The run of a request.

    Args:
        suite: The suite.
        request: What is asked of it.
        words: The options of training and of the suite in `request`, as on a command line.
        arm: What the run's arm is called in a plan.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    spec = msgspec.structs.replace(suite_spec(suite, request), arm=arm)
    return PlannedRun(spec, _command(request, suite, words))


def columns_of(suite: Suite, problems: Iterable[str]) -> dict[str, Columns]:
    """The metrics of each problem, as they are read back from JSON."""
    return {problem: _with_lists(suite.columns(problem)) for problem in dict.fromkeys(problems)}


def _with_lists(columns: Columns) -> Columns:
    *lists, compared = columns
    return Columns._make([*map(list, lists), compared])


def parse_options(
    suite: Suite, study: str, words: Sequence[str]
) -> tuple[TrainingOptions, Options]:
    """Options of training, and of a suite, that the runs of a study may have.

    Raises:
        BadInput: There is no such option.
    """
    parser = Parser(prog=f"options of study {study!r}", add_help=False)
    for kind in (TrainingOptions, suite.options):
        add_flags(parser, kind)
    namespace = parser.parse_args(words)
    return TrainingOptions.read(namespace), suite.options.read(namespace)


def _command(request: Request, suite: Suite, words: Sequence[str]) -> str:
    """The command line of one run."""
    tokens = ["python", "-m", "bench.suite", suite.name, "--no-baseline"]
    tokens += ["--problem", request.problem, "--model", request.model, "--arm", str(request.arm)]
    tokens += ["--seed", str(request.seed), "--budget", request.budget]
    if request.device != "cpu":
        tokens += ["--device", request.device]
    if request.dtype != "float32":
        tokens += ["--dtype", request.dtype]
    return shlex.join([*tokens, *words])


def _but_seed(spec: Spec) -> str:
    """The same for runs that differ in their seeds alone."""
    return msgspec.structs.replace(spec, seed=0).hash


def _distinct(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs, refusing two at one place."""
    found: dict[tuple[str, str, str, int], PlannedRun] = {}
    for run in runs:
        if found.setdefault(run.place, run).spec.hash != run.spec.hash:
            raise BadInput(f"two problems are called {run.spec.problem!r}: study them one by one")
    return list(found.values())


def _sorted(runs: Sequence[PlannedRun], variants: Sequence[str]) -> list[PlannedRun]:
    """In the order in which they are run: all that is compared first, seed by seed.

    So that a report made half-way has whole comparisons.
    """
    problems = list(dict.fromkeys(run.spec.problem for run in runs))
    models = list(dict.fromkeys(run.spec.model for run in runs))

    def rank(run: PlannedRun) -> tuple[int, int, int, int]:
        spec = run.spec
        return (
            spec.seed,
            problems.index(spec.problem),
            models.index(spec.model),
            variants.index(spec.arm),
        )

    return sorted(runs, key=rank)


def _path(store: Store, key: str) -> Path:
    return store.root / "studies" / f"{key}.json"


def save(plan: Plan, store: Store) -> Plan:
    """Write a plan into a store, with the runs of the plan that is there; returns what was written.

    Raises:
        BadInput: The plan that is there cannot be read.
    """
    path = _path(store, plan.key)
    with store.claim(f"study-{plan.key}").held():
        if path.exists():
            plan = plan.extended(_read(path))
        write_atomically(path, msgspec.json.format(msgspec.json.encode(plan), indent=1))
    return plan


def plans(store: Store) -> list[Plan]:
    """The plans of a store, in the order of their keys; an unreadable one is said on stderr."""
    found = []
    for path in sorted((store.root / "studies").glob("*.json")):
        try:
            found.append(_read(path))
        except BadInput as error:
            print(f"bench: ignoring a study: {error}", file=sys.stderr)
    return found


def find_plans(store: Store, study: str, suite: str | None, budget: str | None) -> list[Plan]:
    """The plans of a study, of one suite or budget if asked for.

    Args:
        store: Where they are.
        study: Name of the study, or the key of one plan.
        suite: Name of a suite, or all.
        budget: Name of a budget, or all.

    Raises:
        BadInput: The store has none.
    """
    every = plans(store)
    of_study = [plan for plan in every if study in (plan.study, plan.key)]
    if not of_study:
        raise unknown(f"study in {str(store.root)!r}:", study, {plan.study for plan in every})
    for name, wanted in (("suite", suite), ("budget", budget)):
        there = {getattr(plan, name) for plan in of_study}
        if wanted is not None and wanted not in there:
            raise unknown(f"{name} of the study {study!r}:", wanted, there)
    return [p for p in of_study if suite in (None, p.suite) and budget in (None, p.budget)]


def _read(path: Path) -> Plan:
    try:
        plan = msgspec.json.decode(read_bounded(path, _MOST_BYTES), type=Plan)
    except (OSError, RecursionError, ValueError) as error:
        raise BadInput(f"cannot read {str(path)!r}: {error}") from error
    if plan.schema > SCHEMA:
        raise BadInput(f"{str(path)!r} has schema {plan.schema}, newer than {SCHEMA}")
    for problem in {run.spec.problem for run in plan.runs}:
        if problem not in plan.columns or not plan.columns[problem].main:
            raise BadInput(f"{str(path)!r} does not say how {problem!r} is scored")
    if not plan.runs:
        raise BadInput(f"{str(path)!r} has no runs")
    # Reports are named by it, so it must not lead elsewhere.
    if plan.key != path.stem:
        raise BadInput(f"{str(path)!r} is the plan {plan.key!r}: it has been renamed or edited")
    return plan
