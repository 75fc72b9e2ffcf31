"""What the harness knows of a suite: the protocols of suites and of their tasks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.text.errors import BadInput, unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench.store.record import Record
    from bench.store.store import Store


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a task in its present state.

    Attributes:
        metrics: By name, in the labels' own units.
        selection: Loss on held-out data, by which the best state is chosen; never a test error.
    """

    metrics: Mapping[str, float]
    selection: float


@dataclass(frozen=True)
class Diagnosis:
    """What a task finds out about its own health.

    Attributes:
        measurements: JSON values by name.
        warnings: Sentences for the reader of the metrics, each with what to try.
    """

    measurements: Mapping[str, Any]
    warnings: Sequence[str]


class Columns(NamedTuple):
    """The metrics that the final tables show for a problem. One that no run has is left out.

    Attributes:
        main: Those of the first table; arms are compared by the first, an error.
        further: Those of a second table.
        scores: Those of both of which more is better.
    """

    main: Sequence[str]
    further: Sequence[str]
    scores: Sequence[str] = ()


class Task(Protocol):
    """problem × model × arm × seed, built and ready to train."""

    @property
    def description(self) -> Mapping[str, Any]:
        """JSON values for the record: numbers of points and parameters, engine, ground truth."""

    def unit(self, metric: str) -> str:
        """Unit of a metric or loss term."""

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step.

        Returns:
            The loss terms before the step by name, detached scalars on the task's device, in the
            labels' own units, and ``loss``, the weighted sum that is minimised.
        """

    def evaluate(self) -> Evaluation:
        """Score the present state; changes nothing that training depends on."""

    def diagnose(self) -> Diagnosis:
        """Examine the present state; changes nothing that training depends on."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the remaining steps depend on: tensors, numbers, strings, containers."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""

    def weights(self) -> dict[str, Tensor]:
        """The network's own ``state_dict``, on the CPU."""


@runtime_checkable
class Divisible(Protocol):
    """What a `Task` also has that can compute its batch in parts, in less memory."""

    def most_parts(self) -> int:
        """Into how many a batch can be divided without changing what is computed; 1: it cannot."""

    def divide(self, parts: int) -> None:
        """From now on each step and each evaluation goes through so many parts one by one.

        The loss and its gradient are those of the whole batch but for the rounding.
        """


class Batch(Protocol):
    """Tasks that differ in their seeds alone, built as one model and stepped in lockstep."""

    @property
    def tasks(self) -> Sequence[Task]:
        """One a spec, in order.

        Each is, on its seed's part, what `Suite.build` makes of its spec, but that its own ``step``
        is not called. States are exchanged with tasks built alone; all tasks of a batch are given
        theirs at the same step.
        """

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step of every task.

        Returns:
            As of `Task.step`, but with a value for each task: tensors of shape ``(tasks,)``, which
            later steps leave as they are. A task whose loss is no longer finite disturbs no other.
        """


@dataclass(frozen=True)
class Request:
    """What the command line asks of a suite for one run."""

    problem: str
    model: str
    arm: Arm
    seed: int
    budget: str
    device: str
    dtype: str
    options: argparse.Namespace


class Suite(Protocol):
    """A family of problems with its own builder. Importing one must not import torch."""

    name: str
    summary: str
    #: Distributions whose versions a result depends on, beside torch, numpy and scipy.
    packages: Sequence[str]

    @property
    def problems(self) -> Mapping[str, str]:
        """Name and one-line summary of each problem."""

    @property
    def models(self) -> Mapping[str, str]:
        """Name and one-line summary of each model."""

    @property
    def budgets(self) -> Mapping[str, str]:
        """Name and one-line summary of each budget."""

    def default_problems(self) -> Sequence[str]:
        """The problems that are run when none is named."""

    def default_models(self, budget: str) -> Sequence[str]:
        """The models that are run under a budget when none is named."""

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        """Add the suite's own options to its subcommand."""

    def specify(self, request: Request) -> Spec:
        """The spec of one run.

        Raises:
            BadInput: A name, a size or an option is wrong.
        """

    def build(self, spec: Spec, device: torch.device) -> Task:
        """Build the task of a spec.

        Called, like all methods of the task, within `bench.training.device.deterministic`, where
        new tensors are made on the device.
        """

    def definitions(self, spec: Spec) -> Sequence[str]:
        """Where the code that makes a spec's numbers is defined: its roots for
        `bench.spec.code_digest`.

        That is `build`, as ``module:Class.build``, and what that finds under the names in the spec:
        its problem, model, protocol and techniques (`bench.arm.technique_definitions`), each where
        it is defined. A user's own, which `Spec.sources` covers, is not named. It is asked of
        thousands of specs and imports no torch.
        """

    def versions(self, spec: Spec) -> Mapping[str, int]:
        """What `Spec.versions` is for these names now, whatever it says itself."""

    def finish(self, records: Sequence[Record], store: Store, options: argparse.Namespace) -> None:
        """Whatever the suite's own options ask for once all runs have ended.

        Args:
            records: Of all runs of the call.
            store: Where their weights are.
            options: Of the command line.

        Raises:
            BadInput: An option cannot be followed.
        """

    def columns(self, problem: str) -> Columns:
        """The metrics that the final tables show for a problem."""


@runtime_checkable
class Batchable(Protocol):
    """What a `Suite` also has that can train several seeds as one model."""

    def together(self, specs: Sequence[Spec]) -> bool:
        """Whether runs of these specs, which differ in their seeds alone, can be one model.

        Decided from the specs, without torch. If they can, so can a part of them, and their
        training draws nothing from the global generators, of which there is one for all.
        """

    def build_together(self, specs: Sequence[Spec], device: torch.device) -> Batch:
        """Build the tasks of specs and the step that they share; called as `Suite.build` is."""


def suite_names() -> list[str]:
    """Names of the installed suites (entry points of the group ``bench.suites``)."""
    return sorted({point.name for point in entry_points(group="bench.suites")})


def load_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        BadInput: There is none, or it does not import.
    """
    for point in entry_points(group="bench.suites"):
        if point.name == name:
            try:
                suite: Suite = point.load()
            except ImportError as error:
                raise BadInput(f"suite {name!r} does not import: {error}") from error
            return suite
    raise unknown("suite", name, suite_names())
