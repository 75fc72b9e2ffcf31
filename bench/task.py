"""What the harness knows of a suite: the interfaces of suites and of their tasks.

Every suite has `Suite` and `Task`. A suite or a task may also have one of the other protocols:
`Batchable`, `Divisible`, `Scaled`, `Illustrated`, `PublishedFigures`, `Comparable`, `Loadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from bench.arm import AXES, Arm
from bench.spec.options import Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.spec.training_options import TrainingOptions
from bench.spec.user_code import source_digest

if TYPE_CHECKING:
    import torch
    from torch import Tensor


#: The name under which the harness records `Evaluation.selection`.
SELECTION = "selection"
#: What the harness itself enters in a row of a run's history.
RESERVED = ("step", "seconds", SELECTION)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a task in its present state.

    Attributes:
        metrics: Metrics by name, in the labels' own units; none has a name of `RESERVED`.
        selection: Loss on held-out data, by which the best state and a setting are chosen; never a
            test error. It is in the labels' own units and has weights that no technique changes, so
            that the same predictions have the same one whatever the network is trained to minimise.
            The harness records it as the metric `SELECTION`.
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
    """The metrics that the final tables show for a problem. A metric that no run has is left out.

    Attributes:
        main: Metrics of the first table. Arms are compared by the first of them, which is an error.
        further: Metrics of a second table.
        scores: Metrics of both tables of which more is better.
        skills: Those of them that are 1 for the exact answer and 0 for the best constant one. Where
            the first is low at the baseline, a comparison is said to be of unconverged runs.
        values: Beginnings of the names of metrics that are neither errors nor scores, as what is
            found of an unknown. They are shown, and nothing is compared by them.
        compared: Whether arms can be compared on the problem: it has an error to compare them by.
    """

    main: Sequence[str]
    further: Sequence[str]
    scores: Sequence[str] = ()
    skills: Sequence[str] = ()
    values: Sequence[str] = ()
    compared: bool = True

    def values_of(self, metrics: Iterable[str]) -> list[str]:
        """Those metrics that are `values`, each once."""
        found = dict.fromkeys(metrics)
        return [name for name in found if name.startswith(tuple(self.values))]


class Task(Protocol):
    """problem × model × arm × seed, built and ready to train."""

    @property
    def description(self) -> Mapping[str, Any]:
        """JSON values for the record: numbers of points and parameters, engine, ground truth."""

    def unit(self, metric: str) -> str:
        """Unit of a metric or loss term, `SELECTION` among them."""

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
    """A `Task` that can compute its batch in parts, in less memory."""

    def most_parts(self) -> int:
        """The most parts into which a batch can be divided without changing what is computed."""

    def divide(self, parts: int) -> None:
        """From now on compute each step and each evaluation in so many parts, one by one.

        The loss and its gradient are those of the whole batch, up to rounding.
        """


@runtime_checkable
class Scaled(Protocol):
    """A `Task` that knows how large its loss is where nothing has been learnt."""

    def zero_loss(self) -> float:
        """The minimised loss of a network whose output is 0; changes nothing.

        A divergence is judged against it: the first loss may be anything.
        """


class Batch(Protocol):
    """Tasks that differ in their seeds alone, built as one model and stepped in lockstep."""

    @property
    def tasks(self) -> Sequence[Task]:
        """A task for each spec, in order.

        Each is, for its seed, what `Suite.build` makes of its spec, except that its own ``step`` is
        not called. Its state can be loaded into a task that was built alone, and the other way
        round; all tasks of a batch get theirs at the same step.
        """

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step of every task.

        Returns:
            What `Task.step` returns, but each value has the shape ``(tasks,)``, a number for each
            task. Later steps leave these tensors as they are. A task whose loss is no longer finite
            disturbs no other.
        """


@dataclass(frozen=True)
class Request:
    """What is asked of a suite for one run.

    Attributes:
        problem: Name of the problem, or what a suite takes instead (a file,
            ``package.module:attribute``).
        model: Name of the network, with a size if wanted.
        arm: The techniques.
        seed: Root of every random stream.
        budget: Name of the budget.
        device: ``cpu`` or ``cuda``.
        dtype: ``float32`` or ``float64``.
        training: Changes of the budget's training.
        options: The suite's own options, of the type `Suite.options`.
    """

    problem: str
    model: str
    arm: Arm
    seed: int
    budget: str
    device: str
    dtype: str
    training: TrainingOptions
    options: Any

    def spec(
        self,
        suite: str,
        *,
        problem: str,
        model: str,
        published: Mapping[str, str],
        rescale: str,
        training: Training,
        settings: Mapping[str, Any],
        own: Iterable[str | None] = (),
        paths: Mapping[str, str] = MappingProxyType({}),
        checks: Sequence[str] = (),
    ) -> Spec:
        """The spec of the run that is asked for.

        Args:
            suite: Name of the suite.
            problem: The problem's own name.
            model: Name and size of the network.
            published: The model's choice on each axis, which stands where the arm says nothing.
            rescale: What the bare token ``rescale`` stands for, and ``rescale-weights`` likewise.
            training: The budget's training with its changes.
            settings: The suite's own settings.
            own: References to a user's own objects, beside those of the arm.
            paths: Files and folders on this machine that the run reads.
            checks: What is verified before training.

        Raises:
            BadInput: A reference does not import.
        """
        axes = self.arm.on(published)
        if axes["rescaling"] in ("rescale", "rescale-weights"):
            axes["rescaling"] += "=" + rescale.partition("=")[2]
        chosen = self.arm.choices().items()
        of_axes = [AXES[axis].reference(choice) for axis, choice in chosen]
        return Spec(
            suite=suite,
            problem=problem,
            model=model,
            arm=str(self.arm),
            axes=axes,
            seed=self.seed,
            budget=self.budget,
            training=training,
            settings=dict(settings),
            device=self.device,
            dtype=self.dtype,
            noops=self.arm.noops(published),
            sources={name: source_digest(name) for name in (*own, *of_axes) if name},
            paths=dict(paths),
            checks=list(checks),
        )


class TrainedRun(NamedTuple):
    """A run that has ended.

    Attributes:
        spec: The spec of the run.
        status: How it ended, as the record says.
        task: `Task.description`, as the record has it.
        weights: The file of the trained network's ``state_dict``, if there is one.
    """

    spec: Spec
    status: str
    task: Mapping[str, Any]
    weights: Path | None


class Suite(Protocol):
    """A family of problems with its own builder. Importing one must not import torch."""

    name: str
    summary: str
    #: Distributions whose versions a result depends on, beside torch, numpy and scipy.
    packages: Sequence[str]
    #: The suite's own options, beside those of training.
    options: type[Options]

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

    def finish(self, runs: Sequence[TrainedRun], options: Any) -> None:
        """Do what the suite's own options ask for once all runs have ended.

        Args:
            runs: All runs of the call.
            options: The suite's own options.

        Raises:
            BadInput: An option cannot be followed.
        """

    def columns(self, problem: str) -> Columns:
        """The metrics that the final tables show for a problem."""


@runtime_checkable
class Batchable(Protocol):
    """A `Suite` that can train several seeds as one model."""

    def together(self, specs: Sequence[Spec]) -> bool:
        """Whether runs of these specs, which differ only in their seeds, can be one model.

        The specs alone decide that, without torch. If all can, any part of them can, too; and their
        training draws nothing from the global generators, which they would have to share.
        """

    def build_together(self, specs: Sequence[Spec], device: torch.device) -> Batch:
        """Build the tasks of specs and their common step, in the context of `Suite.build`."""


@dataclass(frozen=True)
class Field:
    """A scalar on a two-dimensional cut of the domain.

    Attributes:
        name: Name of the output, for instance ``u``.
        axes: Labels of the horizontal and the vertical axis, for instance ``("x", "t")``.
        extent: Coordinates of the first and last column, then of the first and last row: left,
            right, bottom, top.
        at: The place of the cut, for instance ``t = 5``; empty if the domain has no further axis.
        reference: True values, shape ``(vertical, horizontal)``, evenly spaced, the first row at
            the bottom.
        predicted: Predicted values of the same shape.
    """

    name: str
    axes: tuple[str, str]
    extent: tuple[float, float, float, float]
    at: str
    reference: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Parity:
    """Predicted against reference values of one quantity on the test set.

    Attributes:
        name: Name of the quantity, for instance ``energy``.
        unit: Unit of the values.
        reference: True values, shape ``(n,)``, float64.
        predicted: Predicted values of the same shape.
    """

    name: str
    unit: str
    reference: np.ndarray
    predicted: np.ndarray


Illustration = Field | Parity


@runtime_checkable
class Illustrated(Protocol):
    """A `Suite` whose runs can be drawn."""

    def illustrate(
        self, spec: Spec, weights: Mapping[str, Tensor], device: torch.device
    ) -> Sequence[Illustration]:
        """What can be drawn of a trained run, in full resolution, in the context of `Suite.build`.

        Args:
            spec: The spec of the run.
            weights: What `Task.weights` gave at the end of the run.
            device: The device on which to predict.
        """


class Figure(NamedTuple):
    """One published number.

    Attributes:
        metric: Name of the metric here.
        value: What was published.
        unit: Its unit.
        data: The data that it was published for.
    """

    metric: str
    value: float
    unit: str
    data: str


@runtime_checkable
class PublishedFigures(Protocol):
    """A `Suite` that knows published figures."""

    #: Where they are from, as a sentence.
    published_source: str

    def published(self, spec: Spec) -> Sequence[Figure]:
        """The published figures for a run's problem, model and techniques, if there are any."""


@dataclass(frozen=True)
class Contender:
    """One way in which a training step is made.

    Attributes:
        path: Name of the way.
        step: Makes one step.
        difference: Largest relative difference of loss and gradients from the stock library's, in
            float64.
        setup_s: Seconds that it takes to be ready (compiling). No step's time contains them.
        runs: How many runs a step advances. Its time is given for one of them.
    """

    path: str
    step: Callable[[], object]
    difference: float
    setup_s: float = 0.0
    runs: int = 1


class Floor(NamedTuple):
    """The matrix products of a step alone, each as this machine's fastest library makes it.

    Attributes:
        step: Makes the products of one step.
        by: Which library makes which product.
    """

    step: Callable[[], object]
    by: str


@dataclass(frozen=True)
class SpeedCase:
    """One comparison.

    Attributes:
        name: Name of the comparison.
        stock: Makes a training step with the stock library.
        contenders: The same step by the suite, in different ways.
        labels: Further columns of the JSON output: problem, model, arm, …
        floor: The step's matrix products alone, where they are known.
        peers: The same step written by hand with another library, in different forms. The fastest
            is compared.
        without_peer: Why there is no peer, where there could be one.
        left_out: Ways of the suite that this machine does not make, with the reasons.
    """

    name: str
    stock: Callable[[], object]
    contenders: Sequence[Contender]
    labels: Mapping[str, str] = field(default_factory=dict)
    floor: Floor | None = None
    peers: Sequence[Contender] = ()
    without_peer: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Comparable(Protocol):
    """A `Suite` whose training step can be compared with a stock library's."""

    #: What is compared.
    speed_options: type[Options]

    def speed_cases(self, options: Any, dtype: str, device: torch.device) -> Iterable[SpeedCase]:
        """The comparisons, built one after the other.

        Args:
            options: Options of the type `speed_options`.
            dtype: The dtype of the timed steps.
            device: The device of the timed steps.

        Raises:
            BadInput: An option is wrong.
        """


@runtime_checkable
class Loadable(Protocol):
    """A `Suite` whose trained networks can be used from Python."""

    def network(
        self, run: TrainedRun, weights: Mapping[str, Tensor], device: torch.device
    ) -> Callable[..., Any]:
        """A trained network as a function; the suite says of what.

        Called in the context of `Suite.build`.

        Args:
            run: A run that is ``done``.
            weights: What `Task.weights` gave at the end of the run.
            device: The device on which the network computes.
        """
