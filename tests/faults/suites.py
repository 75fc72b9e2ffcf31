"""Suites with one fault each, and one without: regressions of a sine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from bench.spec.options import Doc, Options
from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.task import Columns, Request, Task
from bench.text.errors import unknown

if TYPE_CHECKING:
    import torch

_PUBLISHED = {
    "activation": "tanh",
    "normalization": "denorm",
    "rescaling": "rescale=1",
    "initialization": "glorot",
}


class SineOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be chosen."""

    waves: Annotated[int, Doc("waves of the sine", "N")] = 1
    error: Annotated[str, Doc("of the loss", "NAME", ("square", "absolute"))] = "square"


class Sine:
    """What users write: no fault."""

    name = "sine"
    summary = "regressions of a sine"
    packages: Sequence[str] = ()
    options: type[Options] = SineOptions
    problems: Mapping[str, str] = {"sine": "a sine"}
    models: Mapping[str, str] = {"net": "a network of one hidden layer"}
    budgets: Mapping[str, str] = {"quick": "100 steps"}
    task = "faults.sine_tasks:SineTask"

    def default_problems(self) -> Sequence[str]:
        return ["sine"]

    def default_models(self, budget: str) -> Sequence[str]:
        return ["net"]

    def specify(self, request: Request) -> Spec:
        for kind in ("problem", "model", "budget"):
            known, name = getattr(self, f"{kind}s"), getattr(request, kind)
            if name not in known:
                raise unknown(kind, name, known)
        return request.spec(
            self.name,
            problem=request.problem,
            model=request.model,
            published=_PUBLISHED,
            rescale="rescale=auto",
            training=request.training.override(Training(steps=100, lr=1e-2)),
            settings=self.settings(request),
        )

    def settings(self, request: Request) -> dict[str, Any]:
        options = request.options
        return {"waves": options.waves, "error": options.error}

    def build(self, spec: Spec, device: torch.device) -> Task:
        from bench.spec.user_code import load

        built: Task = load(self.task)(spec)
        return built

    def finish(self, runs: Any, options: Any) -> None:
        pass

    def columns(self, problem: str) -> Columns:
        return Columns(["error"], ["largest"])


def _with(task: str) -> Sine:
    """A suite with another task."""
    suite = Sine()
    suite.task = f"faults.sine_tasks:{task}"
    return suite


# Of what it says of itself.


class Named(Sine):
    summary = "two\nlines"
    problems: Mapping[str, str] = {"sine": "two\nlines"}


class Empty(Sine):
    models: Mapping[str, str] = {}


class Undefined(Sine):
    def default_problems(self) -> Sequence[str]:
        return ["cosine"]


class _Clashing(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    steps: Annotated[int, Doc("as of the harness", "N")] = 1


class Clashing(Sine):
    options = _Clashing


class _Silent(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    waves: Annotated[int, Doc("", "N")] = 1


class Silent(Sine):
    options = _Silent


class _Forgetful(SineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def words(self) -> list[str]:
        return []


class ForgetfulOptions(Sine):
    options = _Forgetful


# Of its specs.


class Elsewhere(Sine):
    def specify(self, request: Request) -> Spec:
        return Spec(**{**_fields(super().specify(request)), "suite": "cosine"})


class Fickle(Sine):
    def settings(self, request: Request) -> dict[str, Any]:
        return {**super().settings(request), "drawn": random.random()}


class Seedless(Sine):
    def specify(self, request: Request) -> Spec:
        return Spec(**{**_fields(super().specify(request)), "seed": 0})


class Tuples(Sine):
    def settings(self, request: Request) -> dict[str, Any]:
        return {**super().settings(request), "layers": (8, 8)}


class Paths(Sine):
    def settings(self, request: Request) -> dict[str, Any]:
        return {**super().settings(request), "folder": object()}


class Axisless(Sine):
    def specify(self, request: Request) -> Spec:
        spec = super().specify(request)
        axes = {axis: choice for axis, choice in spec.axes.items() if axis != "rescaling"}
        return Spec(**{**_fields(spec), "axes": axes})


class Armless(Sine):
    def specify(self, request: Request) -> Spec:
        return Spec(**{**_fields(super().specify(request)), "axes": _PUBLISHED})


class Lenient(Sine):
    def specify(self, request: Request) -> Spec:
        return request.spec(
            self.name,
            problem=request.problem,
            model=request.model,
            published=_PUBLISHED,
            rescale="rescale=auto",
            training=Training(steps=100),
            settings={},
        )


class KeyErrors(Sine):
    def specify(self, request: Request) -> Spec:
        assert self.problems[request.problem] and self.models[request.model]
        assert self.budgets[request.budget]
        return super().specify(request)


def _fields(spec: Spec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


# Of its tables.


class StrangeMain(Sine):
    def columns(self, problem: str) -> Columns:
        return Columns(["L2RE"], [])


class StrangeColumn(Sine):
    def columns(self, problem: str) -> Columns:
        return Columns(["error"], ["largest", "smallest"])


class ScoreFirst(Sine):
    def columns(self, problem: str) -> Columns:
        return Columns(["error"], ["largest"], ["error"])


class StrangeScore(Sine):
    def columns(self, problem: str) -> Columns:
        return Columns(["error"], ["largest"], ["skill"])


# Of what it may have besides.


class InTurn:
    """Implements `bench.task.Batch`: each task steps in turn."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        self.tasks = tasks

    def step(self) -> Mapping[str, Any]:
        import torch

        each = [task.step() for task in self.tasks]
        return {name: torch.stack([losses[name] for losses in each]) for name in each[0]}


class Together(Sine):
    """No fault: seeds are trained together."""

    def together(self, specs: Sequence[Spec]) -> bool:
        return True

    def build_together(self, specs: Sequence[Spec], device: torch.device) -> InTurn:
        return InTurn([self.build(spec, device) for spec in specs])


class OneSeedForAll(Together):
    def build_together(self, specs: Sequence[Spec], device: torch.device) -> InTurn:
        return InTurn([self.build(specs[0], device) for _ in specs])


SINE, TOGETHER, ONE_SEED_FOR_ALL = Sine(), Together(), OneSeedForAll()
NAMED, EMPTY, UNDEFINED = Named(), Empty(), Undefined()
CLASHING, SILENT, FORGETFUL_OPTIONS = Clashing(), Silent(), ForgetfulOptions()
ELSEWHERE, FICKLE, SEEDLESS, TUPLES, PATHS = Elsewhere(), Fickle(), Seedless(), Tuples(), Paths()
AXISLESS, ARMLESS, LENIENT, KEY_ERRORS = Axisless(), Armless(), Lenient(), KeyErrors()
STRANGE_MAIN, STRANGE_COLUMN = StrangeMain(), StrangeColumn()
SCORE_FIRST, STRANGE_SCORE = ScoreFirst(), StrangeScore()

# Those whose fault is in the task.
LOSSLESS, NUMBERS, ATTACHED = _with("Lossless"), _with("Numbers"), _with("Attached")
INFINITE, CHANGING, REUSED = _with("Infinite"), _with("Changing"), _with("Reused")
TENSOR_METRIC, UNITLESS = _with("TensorMetric"), _with("Unitless")
SELECTIONLESS, SELECTIVE = _with("Selectionless"), _with("Selective")
DRAWN, STILL, SEEDLESS_TASK = _with("Drawn"), _with("Still"), _with("Seedless")
ONE_ACTIVATION, DEAF = _with("OneActivation"), _with("Deaf")
EVALUATES_A_BATCH = _with("EvaluatesABatch")
EVALUATES_WITH_A_HIDDEN_DRAW = _with("EvaluatesWithAHiddenDraw")
UNSTEADY, DIAGNOSES_IN_PLACE = _with("Unsteady"), _with("DiagnosesInPlace")
WITHOUT_OPTIMIZER, WITH_A_GENERATOR = _with("WithoutOptimizer"), _with("WithAGenerator")
NO_JSON, LIST_OF_WEIGHTS = _with("NoJSON"), _with("ListOfWeights")
DIVIDED, DIVIDED_TWICE = _with("Divided"), _with("DividedTwice")
