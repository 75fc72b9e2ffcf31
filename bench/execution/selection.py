"""The options that say what is run: problems × models × arms × seeds of one suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from bench.arm import AXES, BASELINE, Arm
from bench.plugins import elsewhere
from bench.spec.options import Doc, Options
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.task import Request, Suite
from bench.text.errors import BadInput

_MOST_SEEDS = 10_000
_AXIS = "choice of {} for every --arm: a name or package.module:attribute"


class Seeds(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which seeds."""

    seeds: Annotated[int | None, Doc("the seeds 0 … N−1", "N", also=("n-seeds", "repeats"))] = None
    seed: Annotated[tuple[int, ...], Doc("a single seed", "K")] = ()

    def numbers(self, default: int = 1) -> Sequence[int]:
        """The seeds that are asked for, each once.

        Args:
            default: The number of seeds where none is named.

        Raises:
            BadInput: A number is out of its range, or both kinds are given.
        """
        if self.seed and self.seeds is not None:
            raise BadInput("--seeds and --seed exclude each other")
        for seed in self.seed:
            if seed < 0:
                raise BadInput(f"--seed must be 0 or more, got {seed}")
        if self.seed:
            return list(dict.fromkeys(self.seed))
        count = default if self.seeds is None else self.seeds
        if not 1 <= count <= _MOST_SEEDS:
            raise BadInput(f"--seeds must be from 1 to {_MOST_SEEDS}, got {count}")
        return range(count)


class Axes(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A choice on an axis for every arm."""

    activation: Annotated[str | None, Doc(_AXIS.format("activation"), "NAME")] = None
    normalization: Annotated[
        str | None, Doc(_AXIS.format("normalization"), "NAME", also=("norm", "normalisation"))
    ] = None
    offset: Annotated[str | None, Doc(_AXIS.format("offset"), "NAME")] = None
    rescaling: Annotated[str | None, Doc(_AXIS.format("rescaling"), "NAME")] = None
    initialization: Annotated[
        str | None, Doc(_AXIS.format("initialization"), "NAME", also=("init", "initialisation"))
    ] = None


class Selection(Seeds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a suite is run."""

    problems: Annotated[
        tuple[str, ...],
        Doc("a problem, or one's own (see the guides)", "NAME", flag="problem"),
    ] = ()
    arms: Annotated[
        tuple[str, ...],
        Doc("techniques joined by +, for instance irelu+featurewise", "ARM", flag="arm"),
    ] = ()
    no_baseline: Annotated[bool, Doc("do not add the baseline")] = False
    models: Annotated[
        tuple[str, ...],
        Doc("a network, or one with its size, as fnn:40x6", "NAME", flag="model"),
    ] = ()
    budget: Annotated[str, Doc("how long to train", "NAME")] = "quick"

    def specs(
        self,
        axes: Axes,
        suite: Suite,
        device: str,
        dtype: str,
        training: TrainingOptions,
        options: Any,
    ) -> list[Spec]:
        """The specs that are asked for.

        Args:
            axes: Choices that all arms get.
            suite: The suite of the runs.
            device: Resolved name of the device.
            dtype: The networks' dtype.
            training: Changes of the budget's training.
            options: The suite's own options.

        Raises:
            BadInput: A name, a size or an option is wrong.
        """
        arms = self._arms(axes)
        problems = list(dict.fromkeys(self.problems or suite.default_problems()))
        models = list(dict.fromkeys(self.models or suite.default_models(self.budget)))
        specs = [
            suite_spec(
                suite,
                Request(
                    problem,
                    model,
                    arm,
                    seed,
                    self.budget,
                    device.partition(":")[0],
                    dtype,
                    training,
                    options,
                ),
            )
            for problem in problems
            for model in models
            for arm in arms
            for seed in self.numbers()
        ]
        named: dict[tuple[str, str, str, int], str] = {}
        for spec in specs:
            label = (spec.problem, spec.model, spec.arm, spec.seed)
            if named.setdefault(label, spec.hash) != spec.hash:
                raise BadInput(f"two problems are called {spec.problem!r}: run them one by one")
        return specs

    def _arms(self, axes: Axes) -> list[Arm]:
        given = [Arm.parse(text) for text in self.arms]
        changes = {axis: choice for axis in AXES if (choice := getattr(axes, axis)) is not None}
        if changes:
            given = given or [Arm()]
            for axis, choice in changes.items():
                given = [arm.override(axis, choice) for arm in given]
        if self.no_baseline and not given:
            raise BadInput(f"--no-baseline leaves nothing to run: name an --arm (or {BASELINE!r})")
        arms = given if self.no_baseline else [Arm(), *given]
        for arm in arms:
            arm.check_own()
        return list(dict.fromkeys(arms))


def suite_spec(suite: Suite, request: Request) -> Spec:
    """`Suite.specify`; the message about a problem or model of another suite says which suite.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    model = request.model.partition(":")[0]
    try:
        return suite.specify(request)
    except BadInput as error:
        for kind, name in (("problem", request.problem), ("model", model)):
            if name not in getattr(suite, f"{kind}s") and (other := elsewhere(kind, name, suite)):
                raise BadInput(f"{kind} {name!r} is in the suite {other!r}") from error
        raise
