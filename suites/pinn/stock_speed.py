"""A training step against stock DeepXDE: ``dde.Model``'s own step on the same data."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from bench.arm import Arm
from bench.spec.spec import Spec
from bench.spec.training_options import TrainingOptions
from bench.task import Contender, Floor, Request, SpeedCase, Suite
from bench.training.product_floor import product_floor
from bench.training.stock_speed import relative_difference
from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.batch import Batched, build_together
from suites.pinn.check import loss_and_gradient, stock_loss_and_gradient
from suites.pinn.engine.evaluation import FastEvaluation
from suites.pinn.options import PINNOptions
from suites.pinn.peers.availability import PeerUnavailable, check_peer, import_jax
from suites.pinn.task import PINNTask, build


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        cases: Problem, and how many initial points instead of the published number.
        arms: Names.
        model: Name.
        compile: Whether to compile, too.
        seeds: How many seeds to train as one model, too, if more than 1.
        dtype: Of the timed steps.
    """

    cases: list[tuple[str, int | None]]
    arms: list[Arm]
    model: str
    compile: bool
    seeds: int
    dtype: str


def speed_cases(suite: Suite, asked: Asked, device: torch.device) -> Iterator[SpeedCase]:
    """A case for each problem and arm, on the published points without labels."""
    for problem, initial in asked.cases:
        for arm in asked.arms:
            exact, specs = (
                [
                    specify(suite, asked, problem, initial, arm, seed, dtype, device)
                    for seed in range(asked.seeds)
                ]
                for dtype in ("float64", asked.dtype)
            )
            yield _case(exact, specs, asked.compile, device)


def specify(
    suite: Suite,
    asked: Asked,
    problem: str,
    initial: int | None,
    arm: Arm,
    seed: int,
    dtype: str,
    device: torch.device,
) -> Spec:
    """The spec of a case: the published points, without labels."""
    request = Request(
        problem,
        asked.model,
        arm,
        seed,
        budget="paper",
        device=device.type,
        dtype=dtype,
        # As many as may be timed, all of them Adam's.
        training=TrainingOptions(steps=1_000_000),
        options=PINNOptions(protocol="paper", supervised=0.0),
    )
    spec = suite.specify(request)
    if initial is not None:
        points = {**spec.settings["points"], "initial": initial}
        spec = msgspec.structs.replace(spec, settings={**spec.settings, "points": points})
    return spec


def _case(
    exact: Sequence[Spec], specs: Sequence[Spec], compiled: bool, device: torch.device
) -> SpeedCase:
    """The first seed alone, in each way, and all seeds as one model."""
    double = build(exact[0], device)
    theirs = stock_loss_and_gradient(double)
    ways = double.gradient.ways if compiled else double.gradient.ways[:1]
    differences = [
        relative_difference(loss_and_gradient(double.gradient.with_(way=way), double), theirs)
        for way in ways
    ]
    if len(exact) > 1:
        differences.append(_difference_together(exact, theirs, device))
    of_peers: dict[str, float] = {}
    without_peer = ""
    try:
        of_peers = _peer_differences(double, theirs)
    except PeerUnavailable as reason:
        without_peer = str(reason)
    spec = specs[0]
    set_dtype(spec.dtype)
    task = build(spec, device)
    stock = StockStep(task)
    # Before a contender trains the task's own weights.
    peers = [_peer(task, form, difference) for form, difference in of_peers.items()]
    contenders = [
        _alone(task, way, difference)
        for way, difference in zip(ways, differences[: len(ways)], strict=True)
    ]
    if len(specs) > 1:
        contenders.append(_together(specs, differences[-1], device))
    name = f"{spec.problem} {spec.arm} i{spec.settings['points']['initial']}"
    labels = {"problem": spec.problem, "model": spec.model, "arm": spec.arm}
    return SpeedCase(name, stock, contenders, labels, _floor(task, device), peers, without_peer)


def _alone(task: PINNTask, way: str, difference: float) -> Contender:
    """The task's step in one of its ways."""
    own = copy.copy(task)
    own.gradient = task.gradient.with_(way=way)
    own.step()
    how = own.gradient.how
    path = f"{task.evaluation.path} {how['executed']}"
    return Contender(path, own.step, difference, how.get("setup_s", 0.0))


def _together(specs: Sequence[Spec], difference: float, device: torch.device) -> Contender:
    """The step of all seeds; its time is given for one."""
    batch = build_together(specs, device)
    batch.step()
    how = batch.tasks[0].gradient.how
    kind = "together" if isinstance(batch, Batched) else "in turn"
    path = f"{len(specs)} seeds {kind} {how['executed']}"
    return Contender(path, batch.step, difference, how.get("setup_s", 0.0), len(specs))


def _difference_together(
    specs: Sequence[Spec], theirs: Sequence[Tensor], device: torch.device
) -> float:
    """Of the first seed's loss and gradient from stock's."""
    batch = build_together(specs, device)
    first = batch.tasks[0]
    if not isinstance(batch, Batched):
        return relative_difference(loss_and_gradient(first.gradient, first), theirs)
    result = batch.gradient(batch.vector)
    ours = [result.loss[0], *first.parameters.split(result.gradient[0]).values()]
    return relative_difference(ours, theirs)


class StockStep:
    """One iteration of ``dde.Model.train`` between its displays.

    Args:
        task: Its data, weights and learning rate; a copy of its network is trained.

    Attributes:
        net: The copy.
    """

    def __init__(self, task: PINNTask) -> None:
        self._data = task.data
        self.net = copy.deepcopy(task.net)
        self._model = dde.Model(task.data, self.net)
        with quiet():
            self._model.compile(
                "adam",
                lr=task.spec.training.lr,
                loss_weights=task.loss.weights.tolist(),
                verbose=0,
            )

    def __call__(self) -> None:
        """One step."""
        state = self._model.train_state
        state.set_data_train(*self._data.train_next_batch(None))
        self._model._train_step(state.X_train, state.y_train, state.train_aux_vars)


def _floor(task: PINNTask, device: torch.device) -> Floor | None:
    """The step's matrix products alone."""
    if not isinstance(task.evaluation, FastEvaluation):
        return None
    weights = [layer.get_parameter("weight") for layer in task.net.linears]
    layers = [(weight.shape[1], weight.shape[0]) for weight in weights]
    rows = round(task.evaluation.row_passes)
    return product_floor(layers, rows, weights[0].dtype, device)


def _peer_differences(task: PINNTask, theirs: Sequence[Tensor]) -> dict[str, float]:
    """Of each form of the step in JAX, from stock's loss and gradient.

    Raises:
        PeerUnavailable: The step has no peer, or JAX cannot run.
    """
    check_peer(task)
    import_jax()
    from suites.pinn.peers.derivatives import FORMS
    from suites.pinn.peers.step import JAXStep

    return {
        name: relative_difference(JAXStep(task, form).loss_and_gradient(), theirs)
        for name, form in FORMS.items()
    }


def _peer(task: PINNTask, name: str, difference: float) -> Contender:
    """The task's step in JAX, in one of its forms."""
    from suites.pinn.peers.derivatives import FORMS
    from suites.pinn.peers.step import JAXStep

    step = JAXStep(task, FORMS[name])
    start = time.perf_counter()
    step()
    return Contender(f"JAX {name}", step, difference, time.perf_counter() - start)
