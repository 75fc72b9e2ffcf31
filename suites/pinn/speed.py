"""A training step against stock DeepXDE: ``dde.Model``'s own step on the same data."""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec
import torch
from torch import Tensor

from bench.arm import Arm
from bench.device import StepTimer
from bench.options import add_training_arguments
from bench.spec import Spec
from bench.speed import Contender, SpeedCase, relative_difference
from bench.task import Request, Suite
from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.derivatives import StockEvaluation
from suites.pinn.engine.evaluation import FastEvaluation
from suites.pinn.engine.gradients import TrainingGradient
from suites.pinn.task import PINNTask, build

_FLOOR_ROUNDS = 15


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        cases: Problem, and how many initial points instead of the published number.
        arms: Names.
        model: Name.
        compile: Whether to compile, too.
        dtype: Of the timed steps.
    """

    cases: list[tuple[str, int | None]]
    arms: list[Arm]
    model: str
    compile: bool
    dtype: str


def speed_cases(suite: Suite, asked: Asked, device: torch.device) -> Iterator[SpeedCase]:
    """A case for each problem and arm, on the published points without labels."""
    for problem, initial in asked.cases:
        for arm in asked.arms:
            exact, spec = (
                _specify(suite, asked, problem, initial, arm, dtype, device)
                for dtype in ("float64", asked.dtype)
            )
            yield _case(exact, spec, asked.compile, device)


def _specify(
    suite: Suite,
    asked: Asked,
    problem: str,
    initial: int | None,
    arm: Arm,
    dtype: str,
    device: torch.device,
) -> Spec:
    parser = argparse.ArgumentParser()
    suite.add_arguments(parser)
    add_training_arguments(parser)
    # As many steps as may be timed, all of them Adam's.
    options = parser.parse_args(["--supervised", "0", "--steps", "1000000"])
    spec = suite.specify(
        Request(problem, asked.model, arm, 0, "paper", device.type, dtype, options)
    )
    if initial is not None:
        points = {**spec.settings["points"], "initial": initial}
        spec = msgspec.structs.replace(spec, settings={**spec.settings, "points": points})
    return spec


def _case(exact: Spec, spec: Spec, compiled: bool, device: torch.device) -> SpeedCase:
    double = build(exact, device)
    theirs = _stock_loss_and_gradient(double)
    ways = ("off", "on") if compiled and isinstance(double.evaluation, FastEvaluation) else ("off",)
    differences = [
        relative_difference(_loss_and_gradient(double.gradient.with_(compile=way), double), theirs)
        for way in ways
    ]
    set_dtype(spec.dtype)
    task = build(spec, device)
    stock = StockStep(task)
    contenders = []
    for way, difference in zip(ways, differences, strict=True):
        own = copy.copy(task)
        own.gradient = task.gradient.with_(compile=way)
        own.step()
        how = own.gradient.how
        path = f"{task.evaluation.path} {how['executed']}"
        contenders.append(Contender(path, own.step, difference, how.get("setup_s", 0.0)))
    initial = spec.settings["points"]["initial"]
    name = f"{spec.problem} {spec.arm} i{initial}"
    labels = {"problem": spec.problem, "model": spec.model, "arm": spec.arm}
    return SpeedCase(name, stock, contenders, labels, _floor_ms(task, device))


def _loss_and_gradient(gradient: TrainingGradient, task: PINNTask) -> list[Tensor]:
    result = gradient(task.parameters.vector.detach())
    return [result.loss, *task.parameters.split(result.gradient).values()]


def _stock_loss_and_gradient(task: PINNTask) -> list[Tensor]:
    stock = StockEvaluation(task.data, task.net, task.device)
    loss = task.weighted(stock(training=True))
    parameters = task.parameters.parameters
    return [loss.detach(), *torch.autograd.grad(loss, parameters, materialize_grads=True)]


class StockStep:
    """One iteration of ``dde.Model.train`` between its displays.

    Args:
        task: Its data, weights and learning rate; a copy of its network is trained.
    """

    def __init__(self, task: PINNTask) -> None:
        self._data = task.data
        self._model = dde.Model(task.data, copy.deepcopy(task.net))
        with quiet():
            self._model.compile(
                "adam",
                lr=task.spec.training.lr,
                loss_weights=task.weighted_by.tolist(),
                verbose=0,
            )

    def __call__(self) -> None:
        """One step."""
        state = self._model.train_state
        state.set_data_train(*self._data.train_next_batch(None))
        self._model._train_step(state.X_train, state.y_train, state.train_aux_vars)


def _floor_ms(task: PINNTask, device: torch.device) -> float | None:
    """Time of the step's matrix products alone: of every layer, one forward and two backward."""
    if not isinstance(task.evaluation, FastEvaluation):
        return None
    rows = round(task.evaluation.row_passes)
    total = 0.0
    for layer in task.net.linears:
        weight = layer.get_parameter("weight").detach()
        n_out, n_in = weight.shape
        given, gradient = weight.new_ones(rows, n_in), weight.new_ones(rows, n_out)
        products = [
            partial(torch.mm, given, weight.mT, out=torch.empty_like(gradient)),
            partial(torch.mm, gradient, weight, out=torch.empty_like(given)),
            partial(torch.mm, gradient.mT, given, out=torch.empty_like(weight)),
        ]
        total += sum(_seconds(product, device) for product in products)
    return 1e3 * total


def _seconds(product: Callable[[], object], device: torch.device) -> float:
    """Median time of a call, without what launching it costs on a GPU."""
    times = []
    for _ in range(_FLOOR_ROUNDS):
        timer = StepTimer(device)
        with timer.step():
            product()
        times += timer.flush()
    return statistics.median(times)
