"""A PINN, built and ready to train."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.optimization import Optimization
from bench.spec import Spec
from bench.streams import global_numpy_stream, numpy_generator, torch_generator
from bench.task import Diagnosis, Evaluation
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import initialize
from bench.techniques.norm_layers import measure_frozen_statistics
from bench.techniques.rescaling import Scale, make_scale
from suites.pinn.backend import dde, set_dtype
from suites.pinn.derivatives import LossEvaluation, StockEvaluation
from suites.pinn.errors import grid_errors
from suites.pinn.labels import label_statistics
from suites.pinn.models import parse_model
from suites.pinn.network import FNN, RescaledOutput
from suites.pinn.problem import TOTALS, Points, Problem, Supervised, Term, Truth
from suites.pinn.problems import get_problem

_ROWS = 65_536
#: A hidden layer whose features vary less than this over the points carries no signal.
_VANISHED = 1e-6
#: A prediction that varies less than this fraction of the truth is a constant.
_CONSTANT = 1e-2


def build(spec: Spec, device: torch.device) -> PINNTask:
    """The task of a spec.

    Raises:
        BadInput: A file or a user's own object is wrong.
    """
    set_dtype(spec.dtype)
    problem = get_problem(spec.problem)
    root = spec.paths.get("data_root")
    truth = problem.truth(
        Path(root) if root else None, spec.settings["sample"], spec.settings["fine_truth"]
    )
    points = Points(**spec.settings["points"])
    supervised = _supervise(truth, spec)
    with global_numpy_stream(spec.seed, "points"):
        data = problem.data(truth, points, supervised)
    with global_numpy_stream(spec.seed, "held-out points"):
        heldout = problem.data(truth, points, None)
    return PINNTask(spec, device, problem, truth, supervised, data, heldout)


def _supervise(truth: Truth | None, spec: Spec) -> Supervised | None:
    fraction, most = spec.settings["supervised"]["fraction"], spec.settings["supervised"]["most"]
    if truth is None or not fraction:
        return None
    points = truth.reference.points()
    count = int(fraction * len(points))
    count = count if most is None else min(count, most)
    choose = numpy_generator(spec.seed, "supervised points")
    rows = np.sort(choose.choice(len(points), count, replace=False))
    return Supervised(points[rows], truth.reference.targets()[rows], truth.outputs, rows)


class PINNTask:
    """Implements `bench.task.Task` for a DeepXDE problem.

    Args:
        spec: What is trained.
        device: Where.
        problem: The problem.
        truth: Its ground truth, if it has one.
        supervised: The labels that it is given, if any.
        data: ``dde.data.PDE`` with the training points.
        heldout: The same with other points, by which the best state is chosen.
    """

    def __init__(
        self,
        spec: Spec,
        device: torch.device,
        problem: Problem,
        truth: Truth | None,
        supervised: Supervised | None,
        data: Any,
        heldout: Any,
    ) -> None:
        self.spec = spec
        self.device = device
        self.problem = problem
        self.truth = truth
        self.supervised = supervised
        labels = problem.data_terms(supervised.outputs) if supervised else ()
        self.terms: tuple[Term, ...] = (*problem.terms, *labels)
        self._data = data
        statistics = label_statistics(data, len(problem.outputs))
        self.scales = [make_scale(spec.axes["rescaling"], s) for s in statistics]
        dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self._weights = torch.tensor(
            loss_weights(problem, self.terms, data.bcs, self.scales), dtype=dtype, device=device
        )
        self.net = self._network()
        self.evaluation: LossEvaluation = StockEvaluation(data, self.net, device)
        self._heldout = StockEvaluation(heldout, self.net, device)
        self._check_terms(data)
        self.optimization = Optimization(list(self.net.parameters()), spec.training)
        if truth is not None:
            self._grid = torch.as_tensor(truth.reference.points(), dtype=dtype)
            self._targets = truth.reference.targets()

    def _network(self) -> FNN:
        """The initialised network on the device."""
        model, axes, problem = parse_model(self.spec.model), self.spec.axes, self.problem
        net = FNN(
            self._data.geom.dim,
            len(problem.outputs),
            model.width,
            model.depth,
            axes["activation"],
            axes["normalization"],
        ).to(self.device)
        x = torch.as_tensor(self._data.train_x, device=self.device)
        initialize(
            INITIALIZATIONS.get(axes["initialization"]),
            net,
            list(net.linears),
            lambda: net(x),
            torch_generator(self.spec.seed, "initialization"),
        )
        measure_frozen_statistics(net, lambda: net(x))
        transform = RescaledOutput(self.scales, problem.output_transform).to(self.device)
        net.apply_output_transform(transform)
        self._mirrored = _mirror_if_dead(net, x)
        return net

    def _check_terms(self, data: Any) -> None:
        """The names must be as many as the losses."""
        n_losses = len(self.evaluation(training=False))
        if n_losses != len(self.terms):
            raise BadInput(
                f"problem {self.problem.name!r} names {len(self.terms)} loss terms"
                f" ({', '.join(term.name for term in self.terms)}) but has {n_losses}:"
                f" {n_losses - len(data.bcs)} equations and {len(data.bcs)} conditions"
            )

    def unit(self, metric: str) -> str:
        """PDE problems are stated in dimensionless numbers."""
        del metric
        return "1"

    @property
    def description(self) -> Mapping[str, Any]:
        """Numbers of points and parameters, engine, ground truth, scales."""
        reference = self.truth.reference if self.truth else None
        return {
            "engine": self.evaluation.path,
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "mirrored_start": self._mirrored,
            "rows": len(self._data.train_x),
            "collocation_points": len(self._data.train_x_all),
            "condition_points": dict(
                zip(
                    [term.name for term in self.terms if term.kind != "residual"],
                    self._data.num_bcs,
                    strict=True,
                )
            ),
            "supervised_points": len(self.supervised.rows) if self.supervised else 0,
            "sampler": self._data.train_distribution,
            "scales": {
                name: {"factor": scale.factor, "offset": scale.offset}
                for name, scale in zip(self.problem.outputs, self.scales, strict=True)
            },
            "truth": reference
            and {
                "method": reference.method,
                "grid": list(reference.shape),
                "L2RE": reference.error,
                "order": reference.order,
            },
        }

    def named(self, terms: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, with the totals of each kind (``Lf``, ``LIC``, …)."""
        named = {term.name: value for term, value in zip(self.terms, terms.unbind(), strict=True)}
        for kind, total in TOTALS.items():
            of_kind = [named[term.name] for term in self.terms if term.kind == kind]
            if of_kind and total not in named:
                named[total] = torch.stack(of_kind).sum()
        return named

    def _losses(self) -> dict[str, Tensor]:
        terms = self.evaluation(training=True)
        return {"loss": (terms * self._weights).sum(), **self.named(terms.detach())}

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step; see `bench.task.Task.step`."""
        return self.optimization.step(self._losses)

    def predict(self) -> np.ndarray:
        """The network's prediction on the truth's grid, for the outputs that the truth has."""
        assert self.truth is not None
        self.net.eval()
        with torch.no_grad():
            parts = [
                self.net(rows.to(self.device))[:, list(self.truth.outputs)].cpu()
                for rows in self._grid.split(_ROWS)
            ]
        return torch.cat(parts).numpy()

    def evaluate(self) -> Evaluation:
        """Loss terms on the training and on held-out points, errors against the truth."""
        training = self.evaluation(training=False).detach()
        heldout = self._heldout(training=False).detach()
        # Held-out data have no supervised points: their terms come last.
        weights = self._weights[: len(heldout)]
        total = float((heldout * weights).sum())
        metrics = {
            "loss": float((training * self._weights).sum()),
            **{name: float(value) for name, value in self.named(training).items()},
            "heldout_loss": total,
            **{
                f"heldout_{term.name}": float(value)
                for term, value in zip(self.terms, heldout, strict=False)
            },
        }
        if self.truth is not None:
            metrics |= grid_errors(
                self.predict(),
                self._targets,
                [self.problem.outputs[output] for output in self.truth.outputs],
                self._unseen(),
            )
        return Evaluation(metrics, total)

    def _unseen(self) -> np.ndarray | None:
        if self.supervised is None:
            return None
        unseen = np.ones(len(self._targets), dtype=bool)
        unseen[self.supervised.rows] = False
        return unseen

    def diagnose(self) -> Diagnosis:
        """Gradient size, signal in each hidden layer, spread of the prediction."""
        gradient = self._gradient_rms()
        signals = self._signals()
        spreads = self._spreads()
        measurements = {
            "gradient_rms": gradient,
            "adam_eps": self.spec.training.eps,
            "hidden_signal": signals,
            "prediction_spread": spreads,
        }
        warnings = [
            *self._sampler_warning(),
            *_collapse(self.spec.axes, signals, spreads),
            *self._eps_warning(gradient),
            *self._truth_warning(),
            *self._supervision_warning(),
        ]
        measurements["collapsed"] = any(text.startswith("collapsed") for text in warnings)
        return Diagnosis(measurements, warnings)

    def _gradient_rms(self) -> float:
        loss = self._losses()["loss"]
        gradients = torch.autograd.grad(loss, list(self.net.parameters()), allow_unused=True)
        flat = torch.cat([g.flatten() for g in gradients if g is not None])
        return float(flat.double().square().mean().sqrt())

    def _signals(self) -> list[float]:
        """Root mean square, over features, of each hidden layer's deviation over the points."""
        found: list[float] = []

        def measure(module: nn.Module, inputs: object, output: Tensor) -> None:
            found.append(float(output.detach().double().var(dim=0, correction=0).mean().sqrt()))

        handles = [layer.register_forward_hook(measure) for layer in self.net.norms]
        try:
            self.net.eval()
            with torch.no_grad():
                self.net(torch.as_tensor(self._data.train_x, device=self.device))
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _spreads(self) -> dict[str, float]:
        """Deviation of the prediction over the truth's, per output whose truth varies."""
        if self.truth is None:
            return {}
        predicted, exact = self.predict().astype(float).std(axis=0), self._targets.std(axis=0)
        return {
            self.problem.outputs[output]: float(predicted[k] / exact[k])
            for k, output in enumerate(self.truth.outputs)
            if exact[k] > 0
        }

    def _eps_warning(self, gradient: float) -> list[str]:
        eps = self.spec.training.eps
        if not gradient < 10 * eps or gradient == 0:
            return []
        return [
            f"Adam's eps {eps:g} dominates gradients of {gradient:.1e} (RMS): the steps are"
            " smaller than the learning rate says; try a smaller --eps or another rescaling"
        ]

    def _sampler_warning(self) -> list[str]:
        """Points that a sampler draws again for every seed are not held out."""
        train = np.unique(self._data.train_x_all, axis=0)
        both = np.unique(np.concatenate([train, self._heldout.data.train_x_all]), axis=0)
        new = (len(both) - len(train)) / len(np.unique(self._heldout.data.train_x_all, axis=0))
        if new > 0.5:
            return []
        return [
            f"the sampler {self._data.train_distribution!r} hardly depends on the seed:"
            f" {1 - new:.0%} of the held-out points are training points; use"
            " train_distribution='pseudo'"
        ]

    def _truth_warning(self) -> list[str]:
        if self.truth is None:
            return ["no ground truth: only loss terms are reported"]
        if self.truth.reference.error is None:
            return ["the ground truth has no error estimate of its own"]
        predicted = self.predict().astype(float)
        texts = []
        for k, output in enumerate(self.truth.outputs):
            exact, own = self._targets[:, k], self.truth.reference.error[k]
            error = float(np.linalg.norm(predicted[:, k] - exact) / np.linalg.norm(exact))
            if math.isfinite(error) and error < 10 * own:
                texts.append(
                    f"the ground truth of {self.problem.outputs[output]} is only known to"
                    f" {own:.1e}, less than 10 times better than the prediction ({error:.1e})"
                )
        return texts

    def _supervision_warning(self) -> list[str]:
        if self.supervised is None:
            return []
        return [
            f"{len(self.supervised.rows)} of the {len(self._targets)} points of the scored grid"
            " were labels in training; L2RE_unseen leaves them out"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Network and optimiser."""
        return {"net": self.net.state_dict(), "optimization": self.optimization.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.net.load_state_dict(state["net"])
        self.optimization.load_state_dict(state["optimization"])

    def weights(self) -> dict[str, Tensor]:
        """The network's ``state_dict``."""
        return dict(self.net.state_dict())


def _mirror_if_dead(net: FNN, x: Tensor) -> bool:
    """Flip the sign of the last layer's weights if the network starts without any gradient.

    A network that ends in a ReLU and starts below it at every point never learns. Its mirror image
    is equally likely under every symmetric initialisation, and starts above it.

    Returns:
        Whether the sign was flipped.
    """
    last = cast(nn.Linear, net.linears[-1])
    with torch.enable_grad():
        gradient = torch.autograd.grad(net(x).sum(), last.bias)[0]
    if gradient.any():
        return False
    with torch.no_grad():
        last.weight.neg_()
    return True


def loss_weights(
    problem: Problem, terms: Sequence[Term], conditions: Sequence[Any], scales: Sequence[Scale]
) -> list[float]:
    """1/S_k² for each equation and 1/C_i² for each condition: every term in the new unit.

    Args:
        problem: Declares S_k.
        terms: All loss terms.
        conditions: DeepXDE's conditions, in the order of their terms.
        scales: C_i of every output.

    Raises:
        BadInput: The labels are rescaled and the problem does not say in which unit a residual or
            an operator condition is.
    """
    factors = [scale.factor for scale in scales]
    residuals = problem.residual_scales(factors)
    if residuals is None or len(residuals) != problem.n_equations:
        if any(factor != 1 for factor in factors):
            raise BadInput(
                f"problem {problem.name!r} declares no unit for its {problem.n_equations} residuals"
                " (residual_scales), so its labels cannot be rescaled"
            )
        residuals = [1.0] * problem.n_equations
    named = [term for term in terms if term.kind != "residual"]
    of_conditions = [
        _condition_scale(term, condition, factors)
        for term, condition in zip(named, conditions, strict=False)
    ]
    return [1 / scale**2 for scale in (*residuals, *of_conditions)]


def _condition_scale(term: Term, condition: Any, factors: Sequence[float]) -> float:
    """The unit of a condition: that of the output that it constrains."""
    if term.output is not None:
        return factors[term.output]
    if isinstance(condition, (dde.icbc.OperatorBC, dde.icbc.PointSetOperatorBC)):
        if any(factor != 1 for factor in factors):
            raise BadInput(
                f"the operator condition {term.name!r} does not say in which output's unit it is"
                " (Term(name, kind, output)), so the labels cannot be rescaled"
            )
        return 1.0
    return factors[np.atleast_1d(condition.component)[0]]


def _collapse(
    axes: Mapping[str, str], signals: Sequence[float], spreads: Mapping[str, float]
) -> list[str]:
    vanished = next((k for k, signal in enumerate(signals) if signal < _VANISHED), None)
    constant = bool(spreads) and all(spread < _CONSTANT for spread in spreads.values())
    if vanished is None and not constant:
        return []
    cause = (
        f"hidden layer {vanished + 1} of {len(signals)} carries no signal ({signals[vanished]:.0e})"
        if vanished is not None
        else "the prediction is constant"
    )
    cure = (
        "try a smaller --lr or another activation"
        if axes["initialization"] == "lsuv"
        else "try the initialisation lsuv"
    )
    return [f"collapsed: {cause}; {cure}"]
