"""What a reader of a PINN's metrics must know: collapse, eps, the truth's own error, …"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench.spec.spec import Spec
from bench.task import Diagnosis
from bench.training.concentration import signal_over_rows
from bench.training.gradients import eps_warning, gradient_rms, training_mode
from bench.training.learned import learned_parameters
from bench.training.optimization import Optimization
from bench.training.residual_ratio import RESIDUAL_RATIO, ratio_of
from suites.pinn.curvature import curvature_warning
from suites.pinn.engine.stock import LossEvaluation
from suites.pinn.engine.unknowns import Unknowns
from suites.pinn.loss import Loss
from suites.pinn.metrics import Score
from suites.pinn.models.network import FNN
from suites.pinn.problems.dde_data import other_points
from suites.pinn.problems.problem import Problem
from suites.pinn.supervision import Labels

#: A hidden layer whose features vary less than this over the points carries no signal.
_VANISHED = 1e-6
#: A layer whose gradient is smaller than this fraction of the largest layer's does not learn.
_STARVED = 1e-6
#: A prediction that varies less than this fraction of the truth is a constant.
_CONSTANT = 1e-2
#: A trained network of at most this skill is no better than the best constant prediction.
_NO_SKILL = 0.02
_COUPLING_POINTS = 16


class Examined(Protocol):
    """What is examined of a task; see `suites.pinn.task.PINNTask`."""

    spec: Spec
    device: torch.device
    problem: Problem
    score: Score | None
    loss: Loss
    labels: Labels | None
    net: FNN
    evaluation: LossEvaluation
    optimization: Optimization
    data: Any
    heldout_data: Any
    warnings: list[str]
    unknowns: Unknowns

    def predict(self) -> np.ndarray:
        """The prediction on the truth's grid."""


def diagnose(task: Examined) -> Diagnosis:
    """Examine a task in its present state."""
    gradient, gradients = _gradient_rms(task)
    hidden, output = _signals(task)
    signals = [float(x.double().var(dim=0, correction=0).mean().sqrt()) for x in hidden]
    prediction = None if task.score is None else task.predict().astype(np.float64)
    spreads = {} if prediction is None else _spreads(task, prediction)
    coupling = _batch_coupling(task)
    collapse = _collapse(task.spec.axes, signals, spreads, list(gradients.values()))
    if not collapse and prediction is not None and task.optimization.steps_done:
        assert task.score is not None
        collapse = _no_skill(task.spec.axes, task.score.errors(prediction)["skill"])
    finite = all(bool(parameter.isfinite().all()) for parameter in task.net.parameters())
    return Diagnosis(
        measurements={
            "gradient_rms": gradient,
            "layer_gradient_rms": list(gradients.values()),
            "term_gradient_norms": _term_gradient_norms(task),
            "adam_eps": task.spec.training.eps,
            "hidden_signal": signals,
            "concentration": signal_over_rows(
                {f"hidden layer {k + 1}": x for k, x in enumerate(hidden)}, output
            ),
            "prediction_spread": spreads,
            "batch_coupling": coupling,
            RESIDUAL_RATIO: _residual_ratio(task),
            "collapsed": bool(collapse),
            "learned": learned_parameters(task.net),
        },
        warnings=[
            *task.warnings,
            *collapse,
            *(_explosion(task.spec.axes, signals) if finite else []),
            *eps_warning(gradient, task.spec.training.eps),
            *_coupling_warning(coupling),
            *_sampler_warning(task),
            *curvature_warning(task.data, task.net, task.device),
            *_truth_warnings(task, prediction),
            *_supervision_warning(task),
        ],
    )


def _gradient_rms(task: Examined) -> tuple[float, dict[str, float]]:
    layers = {str(k): layer.weight for k, layer in enumerate(task.net.linears)}
    with training_mode(task.net):
        loss = task.loss.weighted(task.evaluation(training=True))
        return gradient_rms(loss, list(task.net.parameters()), layers)


def _term_gradient_norms(task: Examined) -> dict[str, float]:
    """Norm of the gradient of each loss term before its weight, by which weights can be judged."""
    parameters = [parameter for parameter in task.net.parameters() if parameter.requires_grad]
    with training_mode(task.net):
        values = task.evaluation(training=True)
        found = {}
        for term, value in zip(task.loss.terms, values.unbind(), strict=True):
            gradients = torch.autograd.grad(
                value, parameters, retain_graph=True, materialize_grads=True
            )
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            found[term.name] = float(flat.double().norm())
    return found


def _residual_ratio(task: Examined) -> float | None:
    """The residual in training over that of the scored function, on the training points.

    Of the mean squares of the equation where it is farthest from 1; ``None`` where one is not
    finite.
    """
    with training_mode(task.net):
        # First what is scored: training moves the statistics of batch norm.
        scored = task.evaluation(training=False).detach()
        training = task.evaluation(training=True).detach()
    found = [
        ratio_of(float(training[k]), float(scored[k]))
        for k, term in enumerate(task.loss.terms)
        if term.kind == "residual"
    ]
    if any(ratio is None for ratio in found):
        return None
    known = [ratio for ratio in found if ratio is not None]
    return max(known, key=lambda ratio: abs(math.log(ratio)) if ratio else math.inf, default=None)


def _signals(task: Examined) -> tuple[list[Tensor], Tensor]:
    """The features of each hidden layer at the training points, and the network's own output."""
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        found.append(output)

    last = task.net.linears[-1]
    handles = [layer.register_forward_hook(keep) for layer in (*task.net.hidden_ends, last)]
    try:
        task.net.eval()
        with torch.no_grad():
            task.net(torch.as_tensor(task.data.train_x, device=task.device))
    finally:
        for handle in handles:
            handle.remove()
    return found[:-1], found[-1]


def _batch_coupling(task: Examined) -> float | None:
    """How much of a derivative in training is not the point's own.

    With batch norm ∂yᵢ/∂xⱼ ≠ 0 for i ≠ j, and automatic differentiation of Σᵢ yᵢ, as in every PINN,
    adds these to ∂yⱼ/∂xⱼ. Measured on a few points: ‖the sum − the own‖ / ‖the own‖; ``None``
    without batch norm.
    """
    if not any(isinstance(layer, nn.BatchNorm1d) for layer in task.net.modules()):
        return None
    x = torch.as_tensor(task.data.train_x, device=task.device).detach().clone().requires_grad_()
    rows = torch.linspace(0, len(x) - 1, _COUPLING_POINTS, device=task.device).long().tolist()
    with training_mode(task.net):
        y = task.net(x)
        total = torch.autograd.grad(y.sum(), x, retain_graph=True)[0][rows]
        own = torch.stack(
            [torch.autograd.grad(y[row].sum(), x, retain_graph=True)[0][row] for row in rows]
        )
    return float((total - own).norm() / own.norm())


def _coupling_warning(coupling: float | None) -> list[str]:
    if coupling is None:
        return []
    return [
        f"batch norm couples the points: in training a derivative is off by {coupling:.0%} from the"
        " point's own, so the residual is not the equation's; pointwise-batchnorm and frozenbn keep"
        " it pointwise"
    ]


def _spreads(task: Examined, prediction: np.ndarray) -> dict[str, float]:
    """Deviation of the prediction over the truth's, per output whose truth varies."""
    assert task.score is not None
    predicted, exact = prediction.std(axis=0), task.score.targets.std(axis=0)
    return {
        task.problem.outputs[output]: float(predicted[k] / exact[k])
        for k, output in enumerate(task.score.truth.outputs)
        if exact[k] > 0
    }


def _collapse(
    axes: Mapping[str, str],
    signals: Sequence[float],
    spreads: Mapping[str, float],
    gradients: Sequence[float],
) -> list[str]:
    vanished = next((k for k, signal in enumerate(signals) if signal < _VANISHED), None)
    constant = [name for name, spread in spreads.items() if spread < _CONSTANT]
    limit = _STARVED * max(gradients)
    starved = next((k for k, gradient in enumerate(gradients) if gradient <= limit), None)
    if vanished is not None:
        cause = (
            f"hidden layer {vanished + 1} of {len(signals)} carries no signal"
            f" ({signals[vanished]:.0e})"
        )
    elif constant:
        cause = f"the prediction of {' and '.join(constant)} is constant"
    elif starved is not None:
        cause = (
            f"layer {starved + 1} of {len(gradients)} gets no gradient ({gradients[starved]:.0e})"
        )
    else:
        return []
    return [f"collapsed: {cause}; {_cure(axes)}"]


def _no_skill(axes: Mapping[str, str], skill: float) -> list[str]:
    if not skill <= _NO_SKILL:
        return []
    return [
        f"collapsed: no better than the best constant (skill {skill:.2g}); train longer (--steps),"
        f" or {_cure(axes)}"
    ]


def _explosion(axes: Mapping[str, str], signals: Sequence[float]) -> list[str]:
    """A network with finite weights whose signal overflows cannot learn either."""
    layer = next((k for k, signal in enumerate(signals) if not math.isfinite(signal)), None)
    if layer is None:
        return []
    return [f"exploded: the signal of hidden layer {layer + 1} overflows; {_cure(axes)}"]


def _cure(axes: Mapping[str, str]) -> str:
    if axes["initialization"].partition("=")[0] == "featurewise":
        return "try a smaller --lr or another activation"
    return "try the initialisation featurewise"


def _sampler_warning(task: Examined) -> list[str]:
    """Points that a sampler draws again for every seed are not held out."""
    train = np.unique(task.data.train_x_all, axis=0)
    heldout = np.unique(task.heldout_data.train_x_all, axis=0)
    both = np.unique(np.concatenate([train, heldout]), axis=0)
    shared = 1 - (len(both) - len(train)) / len(heldout)
    if shared < 0.5:
        return []
    return [
        f"the sampler {task.data.train_distribution!r} hardly depends on the seed: {shared:.0%} of"
        f" the held-out points are training points; use {other_points(task.data)}"
    ]


def _truth_warnings(task: Examined, prediction: np.ndarray | None) -> list[str]:
    score = task.score
    if score is None or prediction is None:
        also = " and unknowns" if task.unknowns else ""
        return [f"no ground truth of the solution: only loss terms{also} are reported"]
    if score.truth.reference.error is None:
        return ["the ground truth has no error estimate of its own"]
    texts = []
    for k, output in enumerate(score.truth.outputs):
        exact, own = score.targets[score.scored, k], score.truth.reference.error[k]
        found = prediction[score.scored, k]
        error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        if math.isfinite(error) and error < 10 * own:
            texts.append(
                f"the ground truth of {task.problem.outputs[output]} is only known to {own:.1e},"
                f" less than 10 times better than the prediction ({error:.1e})"
            )
    return texts


def _supervision_warning(task: Examined) -> list[str]:
    if task.labels is None or task.score is None:
        return []
    training, heldout = task.labels.training, task.labels.heldout
    said = (
        f"{len(training.rows)} of the {len(task.score.targets)} points of the scored grid were"
        " labels in training; L2RE_unseen leaves them out"
    )
    if heldout is not None:
        said += f"; {len(heldout.rows)} more are held-out labels, which no score counts"
    return [said]
