"""A PINN, built and ready to train."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.spec.randomness import global_numpy_stream
from bench.spec.spec import Spec
from bench.task import Diagnosis, Evaluation
from bench.techniques.offset import NO_OFFSET, label_choices, label_scale
from bench.training.optimization import Optimization
from bench.training.ownership import check_owned
from bench.training.parameters import FlatParameters
from suites.pinn.backend import quiet, set_dtype
from suites.pinn.diagnosis import diagnose
from suites.pinn.engine.choose import Length, choose_evaluation, choose_way
from suites.pinn.engine.evaluation import TaylorEvaluation, by_kernel
from suites.pinn.engine.find_unknowns import add_heldout, find_unknowns
from suites.pinn.engine.gradients import TrainingGradient, loss_and_terms
from suites.pinn.engine.unknowns import PREFIX, Unknowns
from suites.pinn.inspection.kept import check_built, check_unchanged
from suites.pinn.inspection.points import check_points
from suites.pinn.labels import label_statistics
from suites.pinn.loss import Loss, loss_weights
from suites.pinn.metrics import Score
from suites.pinn.models.build import build_network
from suites.pinn.models.catalogue import parse_model
from suites.pinn.options import COMPILE, ENGINES
from suites.pinn.problems.catalogue import BUILT_IN, get_problem
from suites.pinn.problems.dde_kinds import check_kind
from suites.pinn.problems.problem import Points, Problem
from suites.pinn.problems.truth import Truth
from suites.pinn.protocols import get_protocol, protocol_name
from suites.pinn.resampling import Resampling
from suites.pinn.supervision import Labels, draw_labels
from suites.pinn.unknown_metrics import unknown_metrics


def build(spec: Spec, device: torch.device) -> PINNTask:
    """The task of a spec, unchecked: see `suites.pinn.check`.

    Raises:
        BadInput: A file or a user's own object is wrong.
    """
    set_dtype(spec.dtype)
    problem = get_problem(spec.problem)
    root = spec.paths.get("data_root")
    # A user's factory may draw points, and DeepXDE print, whatever is built.
    with quiet(), global_numpy_stream(spec.seed, "truth"):
        truth = problem.truth(
            Path(root) if root else None,
            spec.settings.get("sample", 0),
            spec.settings["fine_truth"],
        )
    points = Points(**spec.settings["points"])
    labels = None if truth is None else draw_labels(truth, spec.settings["supervised"], spec.seed)
    with quiet(), global_numpy_stream(spec.seed, "points"):
        data = problem.data(truth, points, labels.training if labels else None)
    with quiet(), global_numpy_stream(spec.seed, "held-out points"):
        heldout = problem.data(truth, points, labels.heldout if labels else None)
    check_kind(data, problem.name)
    # Of this seed: with few points a condition may have some of one seed and none of another.
    for drawn in (data, heldout):
        check_points(problem, drawn)
    check_unchanged(spec)
    check_built(spec, problem, truth, data)
    return PINNTask(spec, device, problem, truth, labels, data, heldout)


class PINNTask:
    """Implements `bench.task.Task` for a DeepXDE problem.

    Args:
        spec: What is trained.
        device: Where.
        problem: The problem.
        truth: Its ground truth, if it has one.
        labels: The labels that it is given, if any.
        data: ``dde.data.PDE`` with the training points and the labels that are trained on.
        heldout: The same with other points and the held-out labels, by which the best state is
            chosen.

    Attributes:
        supervised: The labels that are trained on, if any.
        unknowns: Of an inverse problem. They are trained as the network's parameters are, at the
            same rate, but are none of these: weight decay and initialisation do not act on them.
    """

    def __init__(
        self,
        spec: Spec,
        device: torch.device,
        problem: Problem,
        truth: Truth | None,
        labels: Labels | None,
        data: Any,
        heldout: Any,
    ) -> None:
        self.spec = spec
        self.device = device
        self.problem = problem
        self.truth = truth
        self.labels = labels
        self.supervised = labels.training if labels else None
        self.data = data
        self.heldout_data = heldout
        #: For the record: what a check of the engine has found.
        self.notes: dict[str, Any] = {}
        #: For the reader of the metrics.
        self.warnings: list[str] = []
        dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        statistics = label_statistics(data, len(problem.outputs))
        offset, rescaling = label_choices(spec.axes, NO_OFFSET)
        self.scales = [label_scale(offset, rescaling, one) for one in statistics]
        self.loss = self._make_loss(dtype)
        points = torch.as_tensor(data.train_x, device=device)
        model = parse_model(spec.model)
        domain = data.geom if get_protocol(protocol_name(spec)).scaled_inputs else None
        self.net = build_network(model, spec.axes, problem, points, self.scales, domain, spec.seed)
        self.unknowns = self._find_unknowns(dtype)
        self.parameters = FlatParameters(self.net, self.unknowns.parameters())
        engine = spec.settings.get("engine", ENGINES[0])
        self.evaluation = choose_evaluation(data, self.net, device, engine, self.unknowns)
        self._heldout = choose_evaluation(heldout, self.net, device, engine, self.unknowns)
        self.loss.check_names(
            problem.name, len(data.bcs), len(self.evaluation(training=False)) - len(data.bcs)
        )
        self.gradient = self._make_gradient()
        self.evaluation = self.gradient.evaluation
        # What is compared with the training loss is computed in the same way.
        if by_kernel(self.evaluation) and isinstance(self._heldout, TaylorEvaluation):
            self._heldout = self._heldout.with_kernel(taped=False)
        self.resampling = Resampling(spec, data, problem.name)
        of_net, *of_unknowns = self.parameters.parts
        self.optimization = Optimization([of_net], spec.training, of_unknowns)
        self.score: Score | None = None
        if truth is not None:
            self.score = Score(truth, problem.outputs, labels, dtype)
        check_owned(self.net, self.parameters)

    def _find_unknowns(self, dtype: torch.dtype) -> Unknowns:
        """The unknowns of the problem, in place wherever its functions compute."""
        if self.spec.problem in BUILT_IN:  # forward problems, by their tests
            return Unknowns()
        unknowns = find_unknowns(
            self.problem, self.data, self.net, self.device, dtype, self.warnings
        )
        add_heldout(unknowns, self.problem, self.heldout_data, self.net)
        if unknowns:
            self.net.compute_inside(unknowns.inside)
        return unknowns

    def _make_loss(self, dtype: torch.dtype) -> Loss:
        """The terms, and their weights in the units of the labels."""
        problem, supervised = self.problem, self.supervised
        labels = problem.data_terms(supervised.outputs) if supervised else ()
        terms = (*problem.terms, *labels)
        conditions = [term for term in terms if term.kind != "residual"]
        if len(conditions) != len(self.data.bcs):
            Loss(terms, torch.ones(0)).check_names(
                problem.name, len(self.data.bcs), problem.n_equations
            )
        of_units = loss_weights(problem, terms, self.data.bcs, self.scales)
        own = self.spec.settings.get("weights", {})
        weights = [w * own.get(term.name, 1.0) for w, term in zip(of_units, terms, strict=True)]
        return Loss(terms, torch.tensor(weights, dtype=dtype, device=self.device))

    def _make_gradient(self) -> TrainingGradient:
        """What a step computes, by the kernel and compiled if that is asked for or pays."""
        spec = self.spec
        asked = spec.settings.get("compile", COMPILE[0])
        total, every = spec.training.total_steps, spec.settings.get("resample", math.inf)
        counts = self.parameters.vector.numel(), len(self.loss.terms)
        length = Length(total, total // every)
        choose = functools.partial(choose_way, asked, self.evaluation, counts, self.device, length)
        way, why = choose()
        return TrainingGradient(
            self.evaluation,
            self.loss.weights,
            self.parameters,
            self._fixed(),
            way,
            asked == "on",
            why,
            choose,
        )

    def _fixed(self) -> dict[str, Tensor]:
        """What of the network is not trained, by name."""
        frozen = {n: p for n, p in self.net.named_parameters() if not p.requires_grad}
        return {**frozen, **dict(self.net.named_buffers())}

    def unit(self, metric: str) -> str:
        """PDE problems are stated in dimensionless numbers; the loss is as it is minimised."""
        return "weighted" if metric in ("loss", "heldout_loss") else "1"

    @property
    def description(self) -> Mapping[str, Any]:
        """Numbers of points and parameters, engine, ground truth, scales."""
        reference = self.truth.reference if self.truth else None
        return {
            "engine": {**self.evaluation.describe(), **self.gradient.how, **self.notes},
            "activation": type(self.net.activations[0]).__name__,
            "normalization": type(self.net.norms[0]).__name__,
            **({"initialization": self.net.initialized} if self.net.initialized else {}),
            "parameters": sum(p.numel() for p in self.net.parameters()),
            **({"unknowns": self._describe_unknowns()} if self.unknowns else {}),
            "rows": len(self.data.train_x),
            "collocation_points": len(self.data.train_x_all),
            "condition_points": dict(
                zip(
                    [term.name for term in self.loss.terms if term.kind != "residual"],
                    self.data.num_bcs,
                    strict=True,
                )
            ),
            "supervised_points": len(self.supervised.rows) if self.supervised else 0,
            **self._describe_heldout(),
            "sampler": self.data.train_distribution,
            **self.resampling.describe(),
            "scales": {
                name: scale.describe()
                for name, scale in zip(self.problem.outputs, self.scales, strict=True)
            },
            "truth": reference
            and {
                "method": reference.method,
                "grid": list(reference.shape),
                "L2RE": reference.error and list(reference.error),
                "order": reference.order,
            },
        }

    def _describe_heldout(self) -> dict[str, int]:
        """The number of held-out labels, where there are any."""
        if self.labels is None or self.labels.heldout is None:
            return {}
        return {"heldout_labels": len(self.labels.heldout.rows)}

    def _describe_unknowns(self) -> dict[str, Any]:
        """Shape, declared value and true value of each."""
        truths = self.problem.unknowns
        return {
            name: {
                "shape": list(start.shape),
                "start": start.tolist(),
                **({"truth": np.asarray(truths[name]).tolist()} if name in truths else {}),
            }
            for name, start in self.unknowns.start.items()
        }

    def losses(self) -> dict[str, Tensor]:
        """Loss terms by name in the problem's units, and ``loss``, which the parameters' vector
        has a gradient of."""
        loss, terms = loss_and_terms(self.parameters, self.gradient)
        return {"loss": loss, **self.loss.named(terms)}

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step; see `bench.task.Task.step`."""
        self._redraw(self.optimization.steps_done)
        if not self.optimization.by_adam:  # a line search asks for several losses
            return self.optimization.step(self.losses)
        result = self.gradient(self.parameters.vector.detach())
        self.optimization.follow(self.parameters.split_parts(result.gradient))
        return {"loss": result.loss, **self.loss.named(result.terms)}

    def _redraw(self, step: int) -> None:
        """New points for the equations, if they are due before that step."""
        if self.resampling.due(step):
            if self.resampling.adaptive:
                self._keep_statistics()
            # The residuals that points are drawn by have the unknowns in them.
            with self.unknowns.using():
                self.resampling.redraw(step, self.net)
            self._follow_points()

    def _follow_points(self) -> None:
        """Evaluate the loss on the points that the data have now."""
        self.gradient = self.gradient.with_(evaluation=self.evaluation.redrawn())
        self.evaluation = self.gradient.evaluation

    def predict(self) -> np.ndarray:
        """The network's prediction on the truth's grid, for the outputs that the truth has."""
        assert self.score is not None
        return self.score.predict(self.net, self.device)

    def _keep_statistics(self) -> None:
        """Score with the statistics of the training rows under the present parameters."""
        self.net.keep_statistics(torch.as_tensor(self.data.train_x, device=self.device))

    def evaluate(self) -> Evaluation:
        """Loss terms on the training and on held-out points, errors against the truth.

        The state is selected by the sum of the held-out terms, each in the unit that the problem
        declares (`Problem.weights`) whatever the protocol and the arm are, so that neither the
        weights of the loss nor a rescaling of the labels decides. Where labels are trained on, the
        terms of held-out labels are among them. A condition at points that the problem itself gives
        (``PointSetBC``, as the observations of an inverse problem) has no others: there its term is
        the one of training. Of the true values of unknowns nothing enters.
        """
        self._keep_statistics()
        training = self.evaluation(training=False).detach()
        heldout = self._heldout(training=False).detach()
        # Without labels, in every run: comparable between runs with few labels and with many.
        of_points = heldout[: len(self.problem.terms)]
        metrics = {
            "loss": float(self.loss.weighted(training)),
            **{name: float(value) for name, value in self.loss.named(training).items()},
            "heldout_loss": float(self.loss.weighted(of_points)),
            **{f"heldout_{name}": float(value) for name, value in self.loss.named(heldout).items()},
        }
        if self.score is not None:
            metrics |= self.score.errors(self.predict())
        check_owned(self.net, self.parameters)
        metrics |= unknown_metrics(self.unknowns, self.problem.unknowns)
        units = [self.problem.weights.get(term.name, 1.0) for term in self.loss.terms]
        selection = heldout.double() @ heldout.new_tensor(units[: len(heldout)]).double()
        return Evaluation(metrics, float(selection))

    def zero_loss(self) -> float:
        """See `bench.task.Scaled`; of the network's own output, before units and transforms."""
        last = list(self.net.linears[-1].parameters())
        kept = [parameter.detach().clone() for parameter in last]
        try:
            for parameter in last:
                parameter.data.zero_()
            return float(self.loss.weighted(self.evaluation(training=False).detach()))
        finally:
            for parameter, before in zip(last, kept, strict=True):
                parameter.data.copy_(before)

    def diagnose(self) -> Diagnosis:
        """Gradient size, signal in each hidden layer, spread of the prediction."""
        self._keep_statistics()
        found = diagnose(self)
        return replace(found, warnings=[*found.warnings, *self.resampling.warnings])

    def state_dict(self) -> dict[str, Any]:
        """Network, unknowns and optimiser, and the points where they follow from the network."""
        self._keep_statistics()
        # Not views of what several seeds share.
        net = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        state: dict[str, Any] = {"net": net, "optimization": self.optimization.state_dict()}
        if self.unknowns:
            state["unknowns"] = self.unknowns.state_dict()
        if self.resampling.adaptive:
            state["points"] = torch.from_numpy(self.resampling.points().copy())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.net.load_state_dict(state["net"])
        if self.unknowns:
            self.unknowns.load_state_dict(state["unknowns"])
        self.optimization.load_state_dict(state["optimization"])
        if not self.resampling.adaptive:
            self._redraw(self.resampling.last(self.optimization.steps_done))
        elif self.resampling.restore(state["points"].numpy()):
            self._follow_points()

    def weights(self) -> dict[str, Tensor]:
        """The network's ``state_dict``, and each unknown under ``unknowns.NAME``."""
        self._keep_statistics()
        found = {**self.net.state_dict(), **self.unknowns.named()}
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Restore the result of `weights`."""
        of_net, of_unknowns = {}, {}
        for name, tensor in weights.items():
            if name.startswith(PREFIX):
                of_unknowns[name.removeprefix(PREFIX)] = tensor
            else:
                of_net[name] = tensor
        self.net.load_state_dict(of_net)
        self.unknowns.load_state_dict(of_unknowns)
