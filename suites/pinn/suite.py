"""The PINN suite as the harness sees it.

It imports neither torch nor DeepXDE until a task is built.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bench.arm import BASELINE, LATER_AXES, Arm, definition_versions, technique_definitions
from bench.spec.options import Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.task import Batch, Columns, Request, Task, TrainedRun
from bench.text.errors import BadInput, unknown
from suites.pinn.budgets import BUDGETS, SUMMARIES, Budget
from suites.pinn.models.catalogue import ARCHITECTURES, MODELS, parse_model
from suites.pinn.options import PINNOptions, PINNSpeedOptions
from suites.pinn.problems.catalogue import (
    BUILT_IN,
    get_problem,
    problem_definition,
    problem_reference,
    problem_summaries,
)
from suites.pinn.problems.problem import TOTALS, Problem
from suites.pinn.problems.term_weights import term_weights
from suites.pinn.protocols import PROTOCOLS, UNNAMED, Protocol, get_protocol, protocol_name
from suites.pinn.supervision import HELDOUT_SHARE
from suites.pinn.unknown_names import UNKNOWN, error_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.task import Illustration, SpeedCase
    from suites.pinn.trained import Solution

#: Initial points of PDEBench's grid, 128².
_GRID = 16_384
_MOST_INITIAL = 1_000_000
_MOST_SEEDS = 128
#: The options that are settings of a spec where they are given.
_EXECUTION = ("engine", "compile", "resample", "sampler", "rad_k", "rad_c")
#: The normalisations that have never stood after the activation. Where the others stand is the
#: model's since they were moved before it: in this suite that is one version more.
_NEVER_LAST = ("denorm", "pointwise-batchnorm")


class PINNSuite:
    """Implements `bench.task.Suite`."""

    name = "pinn"
    summary = "physics-informed networks on DeepXDE problems"
    packages: Sequence[str] = ("deepxde",)
    options: type[Options] = PINNOptions
    speed_options: type[Options] = PINNSpeedOptions

    @property
    def problems(self) -> Mapping[str, str]:
        """Name and one-line summary of each problem."""
        return problem_summaries()

    @property
    def models(self) -> Mapping[str, str]:
        """Name and one-line summary of each model."""
        return MODELS

    @property
    def budgets(self) -> Mapping[str, str]:
        """Name and one-line summary of each budget."""
        return SUMMARIES

    def default_problems(self) -> Sequence[str]:
        """The paper's five problems."""
        return list(BUILT_IN)

    def default_models(self, budget: str) -> Sequence[str]:
        """The published network."""
        del budget
        return ["fnn"]

    def specify(self, request: Request) -> Spec:
        """The spec of one run.

        Raises:
            BadInput: A name, a size, an option or a data file is wrong.
        """
        from suites.pinn.inspection.kept import inspect_problem

        options: PINNOptions = request.options
        # Before its module is imported here: it may be anything.
        inspected = inspect_problem(
            request.problem, options.data_root, options.sample or 0, request.dtype
        )
        problem = get_problem(request.problem)
        model = parse_model(request.model)
        if request.budget not in BUDGETS:
            raise unknown("budget", request.budget, BUDGETS)
        budget = BUDGETS[request.budget](problem, model)
        protocol = get_protocol(options.protocol)
        root = options.data_root
        supervised = _supervised(problem, protocol, budget.supervised, options.supervised)
        settings: dict[str, Any] = {
            "points": asdict(budget.points),
            "supervised": supervised,
            "fine_truth": budget.fine_truth,
            **_execution(options),
        }
        if options.protocol != UNNAMED:
            settings["protocol"] = options.protocol
        if inspected is not None:
            inspected.check_fit("scaled" if protocol.scaled_inputs else "raw")
            if options.sampler == "rad" and inspected.not_adaptive:
                raise BadInput(inspected.not_adaptive)
            settings["problem_data"] = inspected.digest
            settings["problem_built"] = inspected.built
        labelled: Sequence[int] = range(len(problem.outputs))
        if options.sample is not None and root is None:
            raise BadInput(f"--sample {options.sample} is one of a file: it needs --data-root")
        if root is not None:
            settings["sample"] = options.sample or 0
            truth = problem.truth(root, settings["sample"], budget.fine_truth)
            settings["data"] = truth.digest if truth else None
            labelled = truth.outputs if truth else ()
        labels = problem.data_terms(labelled) if supervised["fraction"] else ()
        if weights := term_weights(problem, protocol, options.weights, labels):
            settings["weights"] = weights
        spec = request.spec(
            self.name,
            problem=request.problem,
            model=str(model),
            published=model.choices,
            # A nonlinear PDE explodes under a large constant, so the bare token is the labels'.
            rescale="rescale=auto",
            training=request.training.override(_training(protocol, budget)),
            settings=settings,
            own=[problem_reference(request.problem)],
            paths={} if root is None else {"data_root": str(root.resolve())},
            checks=["engine"] if options.check_engine else [],
        )
        return replace(spec, versions=dict(self.versions(spec)))

    def speed_cases(
        self, options: PINNSpeedOptions, dtype: str, device: torch.device
    ) -> Iterable[SpeedCase]:
        """A step on the published points, without labels, of each problem and arm.

        Raises:
            BadInput: A name or a number is wrong.
        """
        from suites.pinn.stock_speed import Asked, speed_cases

        if options.initial is not None and not 1 <= options.initial <= _MOST_INITIAL:
            raise BadInput(f"--initial must be from 1 to {_MOST_INITIAL}, got {options.initial}")
        if not 1 <= options.seeds <= _MOST_SEEDS:
            raise BadInput(f"--seeds must be from 1 to {_MOST_SEEDS}, got {options.seeds}")
        for name in options.problems:
            get_problem(name)
        parse_model(options.model)
        cases = [(name, options.initial) for name in options.problems or BUILT_IN]
        if not options.problems and options.initial is None:
            cases.append(("diffusion-reaction-2d", _GRID))
        arms = [Arm.parse(text) for text in options.arms or (BASELINE,)]
        compiled = options.compile == "on"
        return speed_cases(
            self, Asked(cases, arms, options.model, compiled, options.seeds, dtype), device
        )

    def build(self, spec: Spec, device: torch.device) -> Task:
        """Build the task of a spec."""
        from suites.pinn.check import build_checked

        return build_checked(spec, device)

    def together(self, specs: Sequence[Spec]) -> bool:
        """Whether these seeds can be one batched model; see `bench.task.Batchable`."""
        spec = specs[0]
        return (
            # A user's own module may draw numbers, or see other rows.
            not spec.sources
            and spec.axes["normalization"] != "batchnorm"
            and not spec.training.lbfgs_steps
            and not spec.checks
            and not {"engine", "resample"} & spec.settings.keys()
        )

    def build_together(self, specs: Sequence[Spec], device: torch.device) -> Batch:
        """One batched model; where that would not be each seed's own model, the seeds in turn."""
        from suites.pinn.batch import build_together

        return build_together(specs, device)

    def illustrate(
        self, spec: Spec, weights: Mapping[str, Tensor], device: torch.device
    ) -> Sequence[Illustration]:
        """The solution beside the ground truth; see `bench.task.Illustrated`."""
        from suites.pinn.illustration import illustrate

        return illustrate(spec, weights, device)

    def definitions(self, spec: Spec) -> Sequence[str]:
        """See `bench.task.Suite.definitions`; with what trains seeds together, where that may be,
        since a checkpoint goes on either way."""
        name = f"{type(self).__module__}:{type(self).__name__}"
        found = [
            f"{name}.build",
            ARCHITECTURES.references[parse_model(spec.model).name],
            PROTOCOLS.references[protocol_name(spec)],
            "suites.pinn.engine:native/",
        ]
        if self.together([spec]):
            found.append(f"{name}.build_together")
        if definition := problem_definition(spec.problem):
            found.append(definition)
        return [*found, *technique_definitions({**LATER_AXES, **spec.axes})]

    def versions(self, spec: Spec) -> Mapping[str, int]:
        """See `bench.task.Suite.versions`."""
        architecture = ARCHITECTURES[parse_model(spec.model).name]
        found = definition_versions(
            spec.axes,
            model=architecture.version,
            problem=get_problem(spec.problem).version,
            protocol=get_protocol(protocol_name(spec)).version,
        )
        if spec.axes["normalization"] in _NEVER_LAST:
            return found
        return {**found, "normalization": found.get("normalization", 1) + 1}

    def network(
        self, run: TrainedRun, weights: Mapping[str, Tensor], device: torch.device
    ) -> Solution:
        """The solution as a function of points; see `bench.task.Loadable`."""
        from suites.pinn.trained import solution

        return solution(run.spec, weights, device)

    def finish(self, runs: Sequence[TrainedRun], options: PINNOptions) -> None:
        """Nothing to do: no option of this suite asks for anything."""

    def columns(self, problem: str) -> Columns:
        """Errors and the totals of the loss, then the terms of systems."""
        found = get_problem(problem)
        terms = (*found.terms, *found.data_terms(range(len(found.outputs))))
        totals = list(TOTALS.values())
        single = [term.name for term in terms if term.name not in totals]
        solution = ["L2RE", "L2RE_unseen", "skill", "MSE"]
        errors = [error_name(unknown) for unknown in found.unknowns]
        # Without a known solution the error of the unknowns is what arms are compared by.
        main = [*solution, *errors] if found.has_truth or not errors else [*errors, *solution]
        return Columns(
            [*main, *totals],
            single,
            scores=["skill"],
            skills=["skill"],
            values=[] if problem in BUILT_IN else [UNKNOWN],
            compared=found.has_truth or bool(errors),
        )


def _training(protocol: Protocol, budget: Budget) -> Training:
    """How long and how to train."""
    return Training(
        steps=budget.steps,
        lr=protocol.lr,
        schedule=protocol.schedule,
        evaluations=budget.evaluations,
    )


def _supervised(
    problem: Problem, protocol: Protocol, most: int | None, asked: float | None
) -> dict[str, Any]:
    """Which fraction of the scored grid is labelled, how many points at most, how many held out."""
    if asked is None:
        fraction = problem.published.supervised if protocol.labels else 0.0
    else:
        if not 0 <= asked < 1:
            raise BadInput(f"--supervised takes a fraction from 0 to below 1, got {asked}")
        if asked and not problem.takes_labels:
            raise BadInput(
                f"--supervised {asked}: problem {problem.name!r} only has its own labels"
            )
        fraction, most = asked, None
    if not fraction:  # runs without labels keep their names
        return {"fraction": fraction, "most": None}
    return {"fraction": fraction, "most": most, "heldout": HELDOUT_SHARE}


def _execution(options: PINNOptions) -> dict[str, Any]:
    """The settings that are not the default: runs keep their names when options are added."""
    found: dict[str, Any] = {}
    for option in PINNOptions.declared():
        value = getattr(options, option.name)
        if option.name in _EXECUTION and value != option.default:
            found[option.name] = value
    if options.resample is not None and options.resample < 1:
        raise BadInput(f"--resample must be at least 1, got {options.resample}")
    if options.sampler == "rad" and options.resample is None:
        raise BadInput("--sampler rad draws new points: it needs --resample N")
    for name, flag in (("rad_k", "--rad-k"), ("rad_c", "--rad-c")):
        value = getattr(options, name)
        if not 0 <= value < math.inf:
            raise BadInput(f"{flag} must be a number from 0, got {value}")
        if name in found and options.sampler != "rad":
            raise BadInput(f"{flag} {value} is of --sampler rad, which was not given")
    if found.get("compile") == "on" and found.get("engine") == "deepxde":
        raise BadInput("--compile on and --engine deepxde exclude each other")
    return found


SUITE = PINNSuite()
