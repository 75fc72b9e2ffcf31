"""What a reader of a potential's metrics must know: eps, coupled frames, hooks without effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from schnetpack import properties
from torch import Tensor, nn

from bench.spec.spec import Spec
from bench.task import Diagnosis
from bench.techniques.trial import is_piecewise_linear
from bench.training.concentration import signal_over_rows
from bench.training.gradients import eps_warning, gradient_rms, training_mode
from bench.training.learned import learned_parameters
from bench.training.optimization import Optimization
from suites.molecular.averaging import Averaging
from suites.molecular.data.frames import Frames
from suites.molecular.metrics import BATCH_STATISTICS
from suites.molecular.models.catalogue import Model
from suites.molecular.models.hooks import (
    ForwardTrace,
    activation_name,
    activation_sites,
    own_activation,
    width_of,
)
from suites.molecular.models.potential import ENERGY, FORCES, predict_energies

#: Predicted forces that vary less than this fraction of the true ones are none.
_VANISHED = 1e-5
#: Forces whose error is this fraction of that of zero forces have learnt nothing.
_NO_BETTER = 0.98
#: A force error under running statistics that is this many times that under batch statistics is in
#: good part the difference between them.
_MISMATCHED = 2.0
#: Forces in training that other frames change by less than this fraction are their own.
_COUPLED = 0.01
#: Relaxed structures and symmetric ones have none.
_NO_FORCES = "all forces of the test frames are 0: their error tells nothing of a potential"


class Examined(Protocol):
    """What is examined of a task; see `suites.molecular.task.MolecularTask`."""

    spec: Spec
    model: Model
    net: nn.Module
    trace: ForwardTrace
    averaging: Averaging
    optimization: Optimization
    initialized: Mapping[str, Any]
    parts: dict[str, Frames]
    warnings: Sequence[str]

    def probe(self) -> dict[str, Tensor]:
        """A batch of training frames."""

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms, and ``loss`` with its graph."""

    def predict(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Predicted energies and forces of a part of the split."""

    def under_batch_statistics(self) -> dict[str, float]:
        """Test errors with batch norm as in training; empty without batch norm."""

    def trivial(self) -> dict[str, float]:
        """Errors of a prediction that has learnt nothing."""

    def unit(self, metric: str) -> str:
        """Unit of a metric."""


def diagnose(task: Examined) -> Diagnosis:
    """Examine a task in its present state."""
    with training_mode(task.net):
        loss = task.losses(task.probe())["loss"]
        layers = {
            path: module.weight
            for path, module in task.net.named_modules()
            if isinstance(module, nn.Linear)
        }
        gradient, of_layers = gradient_rms(loss, list(task.net.parameters()), layers)
    coupling = _frame_coupling(task)
    forces, true = task.predict("test")[1], task.parts["test"].forces
    # Where all true forces are 0, nothing is better than 0.
    spread = float(forces.std() / true.std()) if true.any() else math.nan
    error = float(np.abs(forces - true).mean())
    useless = bool(true.any()) and error >= _NO_BETTER * task.trivial()["MAE_F"]
    eps = task.spec.training.eps
    return Diagnosis(
        measurements={
            "gradient_rms": gradient,
            "layer_gradient_rms": of_layers,
            "adam_eps": eps,
            "force_spread": spread,
            "frame_coupling": coupling,
            "concentration": _concentration(task),
            "collapsed": spread < _VANISHED or (useless and task.optimization.steps_done > 0),
            "learned": learned_parameters(task.averaging.scored),
        },
        warnings=[
            *task.warnings,
            *([] if true.any() else [_NO_FORCES]),
            *_force_warning(task, spread, error, useless),
            *eps_warning(gradient, eps),
            *_coupling_warning(coupling),
            *_mismatch_warning(task, forces),
            *_hook_warnings(task),
            *_flat_warning(task),
        ],
    )


def _concentration(task: Examined) -> dict[str, Any]:
    """How the signal of each linear layer, its own activation included, is spread over its rows."""
    found: dict[str, Tensor] = {}
    paths = {id(module): path for path, module in task.net.named_modules()}

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        found[paths[id(module)]] = output

    handles = [layer.register_forward_hook(keep) for layer in task.trace.linears]
    try:
        with training_mode(task.net), torch.no_grad():
            predict_energies(task.net, task.probe())
    finally:
        for handle in handles:
            handle.remove()
    *hidden, last = (paths[id(layer)] for layer in task.trace.linears)
    return signal_over_rows({path: found[path] for path in hidden}, found[last])


def _force_warning(task: Examined, spread: float, error: float, useless: bool) -> list[str]:
    """A sentence about predicted forces that vanish or are worth nothing.

    Args:
        task: The task.
        spread: Their deviation over the true ones'.
        error: Their mean absolute error on the test frames.
        useless: Whether it is that of zero forces.
    """
    if spread < _VANISHED:
        return [
            f"collapsed: the predicted forces vary by {spread:.0e} of the true ones; try"
            f" {_cure(task)}"
        ]
    if not useless:
        return []
    return [
        f"{'collapsed: ' if task.optimization.steps_done else ''}the forces are no better than zero"
        f" forces: MAE_F {error:.3g} against {task.trivial()['MAE_F']:.3g} {task.unit('MAE_F')}"
    ]


def _cure(task: Examined) -> str:
    if task.spec.axes["initialization"].partition("=")[0] == "featurewise":
        return "a smaller --lr or another activation"
    return "the initialisation featurewise"


def _frame_coupling(task: Examined) -> float | None:
    """How much of a force in training comes from other frames of the batch.

    With batch norm a frame's energy depends on the others, and −∂ΣE/∂R, which is what every
    implementation computes, adds their derivatives. Measured on a few frames as
    ‖−∂ΣE/∂R − (−∂E_own/∂R)‖ / ‖−∂E_own/∂R‖; ``None`` without batch norm.
    """
    if not any(isinstance(module, nn.BatchNorm1d) for module in task.net.modules()):
        return None
    with training_mode(task.net):
        batch = task.probe()
        rows = batch[properties.idx_m] == 0
        found = task.net(batch)
        own = -torch.autograd.grad(found[ENERGY][0], batch[properties.R])[0][rows]
        difference = float((found[FORCES].detach()[rows] - own).norm())
        return difference / float(own.norm()) if difference else 0.0


def _coupling_warning(coupling: float | None) -> list[str]:
    if coupling is None or coupling < _COUPLED:
        return []
    return [
        f"batch norm couples the frames of a batch: in training a force is off by {coupling:.0%}"
        " from its own frame's; frozenbn keeps frames apart"
    ]


def _mismatch_warning(task: Examined, forces: np.ndarray) -> list[str]:
    """A sentence about forces, (atoms, 3), whose error is that of the running statistics."""
    under = task.under_batch_statistics().get(f"MAE_F{BATCH_STATISTICS}")
    running = float(np.abs(forces - task.parts["test"].forces).mean())
    if under is None or not running > _MISMATCHED * under:
        return []
    return [
        "batch norm is scored with other statistics than it was trained with: MAE_F is"
        f" {running:.3g} under the running ones and {under:.3g} under those of batches"
        f" {task.unit('MAE_F')}; what removing the norm gains is in part this; frozenbn has one"
        " kind of statistics"
    ]


def _flat_warning(task: Examined) -> list[str]:
    """A sentence if activations have no second derivative, which forces are trained through."""
    sites = activation_sites(task.net).values()
    flat = [
        activation_name(site.activation)
        for site in sites
        if is_piecewise_linear(own_activation(site), width_of(site) or 1)
    ]
    if not flat:
        return []
    return [
        f"activation {', '.join(dict.fromkeys(flat))} is piecewise linear at {len(flat)} of"
        f" {len(sites)} places: its second derivative is 0, so that forces jump where a neuron"
        " switches, and their loss has no gradient through its slopes; take a smooth activation"
    ]


def _hook_warnings(task: Examined) -> list[str]:
    """Techniques that an arm names and that found no place, or only some."""
    return [
        *_activation_warning(task),
        *_normalization_warning(task),
        *_initialization_warning(task),
    ]


def _initialization_warning(task: Examined) -> list[str]:
    left = task.initialized.get("left")
    if not left:
        return []
    return [
        f"{task.spec.axes['initialization']} sets {task.initialized['layers']} of"
        f" {len(task.trace.linears)} linear layers; the others have no bias, or no activation"
        " behind them, and start as published"
    ]


def _activation_warning(task: Examined) -> list[str]:
    name, architecture = task.spec.axes["activation"], task.model.architecture
    if name == architecture.activation:
        return []
    sites = list(activation_sites(task.net))
    within = architecture.replaced if task.spec.settings["scope"] == "published" else ()
    changed = [path for path in sites if not within or path.startswith(tuple(within))]
    if not all(path.startswith("output_modules.") for path in changed):
        return []
    left = len(sites) - len(changed)
    why = (
        f"{left} of the representation stay as published; --scope all changes them"
        if left
        else "the representation has none that is not a gate"
    )
    return [f"{name} is only in the read-out ({', '.join(changed)}): {why}"]


def _normalization_warning(task: Examined) -> list[str]:
    name, architecture = task.spec.axes["normalization"], task.model.architecture
    if name in ("denorm", architecture.normalization) or task.trace.normalizations:
        return []
    return [f"{name} found no place in {task.model.name}: nothing is normalised"]
