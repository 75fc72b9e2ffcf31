"""Is the fast engine DeepXDE? Loss and gradients of both in double precision."""

from __future__ import annotations

import math

import torch
from msgspec.structs import replace
from torch import Tensor

from bench.spec.spec import Spec
from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.trial import check_derivatives
from bench.text.errors import typed
from bench.training.stock_speed import TOLERANCE, relative_difference
from suites.pinn.backend import set_dtype
from suites.pinn.curvature import highest_order
from suites.pinn.engine.gradients import StepComputation
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.task import PINNTask, build


def loss_and_gradient(gradient: StepComputation, task: PINNTask) -> list[Tensor]:
    """The loss and its gradient by each parameter, by the suite."""
    result = gradient(task.parameters.vector.detach())
    return [result.loss, *task.parameters.split(result.gradient).values()]


def stock_loss_and_gradient(task: PINNTask) -> list[Tensor]:
    """Loss and gradient by DeepXDE: its ``losses_train``, weighted and added, and autograd."""
    stock = StockEvaluation(task.data, task.net, task.device, unknowns=task.unknowns)
    loss = task.loss.weighted(stock(training=True))
    parameters = task.parameters.parameters
    return [loss.detach(), *torch.autograd.grad(loss, parameters, materialize_grads=True)]


def difference_from_deepxde(task: PINNTask) -> float:
    """Largest relative difference of loss and gradients, see `relative_difference`.

    Args:
        task: A task in double precision.
    """
    found = [_difference(task)]
    # Whatever was compiled was compiled for these parameters: others show what became a constant.
    vector = task.parameters.vector.detach()
    before = vector.clone()
    generator = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(vector.shape, generator=generator, device="cpu", dtype=vector.dtype)
    vector.mul_(1 + 0.1 * noise.to(vector.device))
    try:
        found.append(_difference(task))
    finally:
        vector.copy_(before)
    return max(found, key=lambda difference: (math.isnan(difference), difference))


def _difference(task: PINNTask) -> float:
    theirs = stock_loss_and_gradient(task)
    ours = loss_and_gradient(task.gradient, task)
    if all(bool(t.isfinite().all()) for t in theirs) and not all(
        bool(t.isfinite().all()) for t in ours
    ):
        return math.inf
    return relative_difference(ours, theirs)


def is_rounding(difference: float) -> bool:
    """Whether a difference is only rounding; losses that are not finite cannot be compared."""
    return math.isnan(difference) or difference <= TOLERANCE


class EngineDiffers(Exception):
    """The fast engine's loss or gradients are not DeepXDE's."""


def build_checked(spec: Spec, device: torch.device) -> PINNTask:
    """The task of a spec. Its engine is compared with DeepXDE on request, and if the task has parts
    of a user's own, which no test of this package has seen.

    If the fast engine gets a user's own part wrong, or cannot be compared, DeepXDE trains it as it
    would without this package, and the record says so.

    Raises:
        EngineDiffers: The check was requested, and failed.
        BadInput: The third derivative of an activation that is not built in is wrong, and the
            equations have second ones.
    """
    task = build(spec, device)
    _check_third_derivative(task)
    insist = "engine" in spec.checks
    if task.evaluation.path == StockEvaluation.path or not (insist or spec.sources):
        return task
    try:
        difference = difference_from_deepxde(build(replace(spec, dtype="float64"), device))
    except Exception as error:  # a user's own may not work in double precision
        if insist:
            raise
        set_dtype(spec.dtype)
        task = _by_deepxde(spec, device)
        task.notes["check"] = f"not possible: {typed(error)}"
        task.warnings.append(
            "the fast engine could not be compared with DeepXDE in double precision"
            f" ({typed(error)}), so this run is trained by DeepXDE itself"
        )
        return task
    finally:
        set_dtype(spec.dtype)
    if not is_rounding(difference):
        said = f"the fast engine differs from DeepXDE by {difference:.0e} in double precision"
        if insist:
            raise EngineDiffers(f"{said}; --engine deepxde trains without it")
        task = _by_deepxde(spec, device)
        task.warnings.append(f"{said}, so this run is trained by DeepXDE itself")
    task.notes["difference_from_deepxde"] = difference
    return task


def _by_deepxde(spec: Spec, device: torch.device) -> PINNTask:
    return build(replace(spec, settings={**spec.settings, "engine": "deepxde"}), device)


#: Of this process: activations whose third derivative is right, and specs of any seed without need.
_RIGHT: set[tuple[str, str | None, int, str]] = set()
_NEEDLESS: set[str] = set()


def _check_third_derivative(task: PINNTask) -> None:
    """Of an activation that is not built in; those below are tried before any run begins.

    Once a process: the runs of a study share it.
    """
    spec = task.spec
    token, width = spec.axes["activation"], task.net.width
    if ACTIVATIONS.reference(token) is None:
        return
    activation = token, spec.sources.get(token), width, spec.dtype
    any_seed = replace(spec, seed=0).hash
    if activation in _RIGHT or any_seed in _NEEDLESS:
        return
    if highest_order(task.data, task.net, task.device) < 2:
        _NEEDLESS.add(any_seed)
        return
    check_derivatives(token, make_activation(token, width), width, highest=3)
    _RIGHT.add(activation)
