"""A PINN, built and ready to train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.spec.randomness import global_numpy_stream, numpy_generator, stream_seed, torch_generator
from bench.spec.spec import Spec
from bench.task import Diagnosis, Evaluation
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import initialize
from bench.techniques.norm_layers import measure_frozen_statistics
from bench.techniques.rescaling import make_scale
from bench.text.errors import BadInput
from bench.training.optimization import Optimization
from suites.pinn.backend import quiet, set_dtype
from suites.pinn.diagnosis import diagnose
from suites.pinn.engine.gradients import TrainingGradient, loss_and_terms
from suites.pinn.engine.parameters import FlatParameters
from suites.pinn.engine.stock import make_evaluation
from suites.pinn.labels import label_statistics
from suites.pinn.loss import loss_weights
from suites.pinn.metrics import grid_errors
from suites.pinn.models.catalogue import parse_model
from suites.pinn.models.network import FNN, RescaledOutput
from suites.pinn.options import COMPILE, ENGINES
from suites.pinn.problems.catalogue import get_problem
from suites.pinn.problems.problem import TOTALS, Points, Problem, Term
from suites.pinn.problems.truth import Supervised, Truth

_ROWS = 65_536


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
    supervised = _supervise(truth, spec)
    with quiet(), global_numpy_stream(spec.seed, "points"):
        data = problem.data(truth, points, supervised)
    with quiet(), global_numpy_stream(spec.seed, "held-out points"):
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
        self.data = data
        conditions = [term.name for term in self.terms if term.kind != "residual"]
        self._check_names("conditions", conditions, len(data.bcs))
        statistics = label_statistics(data, len(problem.outputs))
        self.scales = [make_scale(spec.axes["rescaling"], s) for s in statistics]
        dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self.weighted_by = torch.tensor(
            loss_weights(problem, self.terms, data.bcs, self.scales), dtype=dtype, device=device
        )
        self.net = self._network()
        self.parameters = FlatParameters(self.net)
        engine = spec.settings.get("engine", ENGINES[0])
        self.evaluation = make_evaluation(data, self.net, device, engine)
        #: For the record: what a check of the engine has found.
        self.notes: dict[str, Any] = {}
        #: For the reader of the metrics.
        self.warnings: list[str] = []
        self.heldout_data = heldout
        self._heldout = make_evaluation(heldout, self.net, device, engine)
        equations = [term.name for term in self.terms if term.kind == "residual"]
        n_losses = len(self.evaluation(training=False))
        self._check_names("equations", equations, n_losses - len(data.bcs))
        self.optimization = Optimization([self.parameters.vector], spec.training)
        self.gradient = TrainingGradient(
            self.evaluation,
            self.weighted_by,
            self.parameters,
            self._fixed(),
            spec.settings.get("compile", COMPILE[0]),
            min(spec.training.total_steps, spec.settings.get("resample", math.inf)),
        )
        if truth is not None:
            self._grid = torch.as_tensor(truth.reference.points(), dtype=dtype)
            self.targets = truth.reference.targets()

    def _fixed(self) -> dict[str, Tensor]:
        """What of the network is not trained, by name."""
        frozen = {n: p for n, p in self.net.named_parameters() if not p.requires_grad}
        return {**frozen, **dict(self.net.named_buffers())}

    def _network(self) -> FNN:
        """The initialised network on the device."""
        model, axes, problem = parse_model(self.spec.model), self.spec.axes, self.problem
        # A user's activation or normalisation may have random parameters of its own.
        x = torch.as_tensor(self.data.train_x, device=self.device)
        features = problem.input_transform(x)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.spec.seed, "modules"))
            net = FNN(
                features.shape[1],
                len(problem.outputs),
                model.width,
                model.depth,
                axes["activation"],
                axes["normalization"],
            ).to(self.device)
        if features is not x:
            net.apply_feature_transform(problem.input_transform)
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
        return net

    def _check_names(self, kind: str, names: list[str], count: int) -> None:
        """There must be as many names as losses."""
        if len(names) != count:
            raise BadInput(
                f"problem {self.problem.name!r} names {len(names)} {kind} ({', '.join(names)}) but"
                f" has {count}"
            )

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
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "rows": len(self.data.train_x),
            "collocation_points": len(self.data.train_x_all),
            "condition_points": dict(
                zip(
                    [term.name for term in self.terms if term.kind != "residual"],
                    self.data.num_bcs,
                    strict=True,
                )
            ),
            "supervised_points": len(self.supervised.rows) if self.supervised else 0,
            "sampler": self.data.train_distribution,
            "scales": {
                name: {"factor": scale.factor, "offset": scale.offset}
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

    def named(self, terms: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, with the totals of each kind (``Lf``, ``LIC``, …).

        Args:
            terms: The first of `terms`; held-out data lack those of supervised points. Further
                axes stay.
        """
        present = self.terms[: len(terms)]
        named = {term.name: value for term, value in zip(present, terms.unbind(), strict=True)}
        for kind, total in TOTALS.items():
            of_kind = [named[term.name] for term in present if term.kind == kind]
            if of_kind and total not in named:
                named[total] = torch.stack(of_kind).sum(dim=0)
        return named

    def weighted(self, terms: Tensor) -> Tensor:
        """The loss that is minimised.

        Args:
            terms: The first of `terms`; held-out data lack those of supervised points.
        """
        return (terms * self.weighted_by[: len(terms)]).sum()

    def losses(self) -> dict[str, Tensor]:
        """Loss terms by name in the problem's units, and ``loss``, which the parameters' vector
        has a gradient of."""
        loss, terms = loss_and_terms(self.parameters.vector, self.gradient)
        return {"loss": loss, **self.named(terms)}

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step; see `bench.task.Task.step`."""
        self._redraw(self.optimization.steps_done)
        return self.optimization.step(self.losses)

    def _redraw(self, step: int) -> None:
        """New points for the equations, if they are due before that step."""
        every = self.spec.settings.get("resample")
        if every and step and step % every == 0:
            with quiet(), global_numpy_stream(self.spec.seed, f"points of step {step}"):
                self.data.resample_train_points(pde_points=True, bc_points=False)
            self.evaluation = self.evaluation.redrawn()
            self.gradient = self.gradient.with_(compile="off", evaluation=self.evaluation)

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
        total = float(self.weighted(heldout))
        metrics = {
            "loss": float(self.weighted(training)),
            **{name: float(value) for name, value in self.named(training).items()},
            "heldout_loss": total,
            **{f"heldout_{name}": float(value) for name, value in self.named(heldout).items()},
        }
        if self.truth is not None:
            metrics |= grid_errors(
                self.predict(),
                self.targets,
                [self.problem.outputs[output] for output in self.truth.outputs],
                self._unseen(),
            )
        return Evaluation(metrics, total)

    def _unseen(self) -> np.ndarray | None:
        if self.supervised is None:
            return None
        unseen = np.ones(len(self.targets), dtype=bool)
        unseen[self.supervised.rows] = False
        return unseen

    def diagnose(self) -> Diagnosis:
        """Gradient size, signal in each hidden layer, spread of the prediction."""
        return diagnose(self)

    def state_dict(self) -> dict[str, Any]:
        """Network and optimiser."""
        # Not views of what several seeds share.
        net = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        return {"net": net, "optimization": self.optimization.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.net.load_state_dict(state["net"])
        self.optimization.load_state_dict(state["optimization"])
        if every := self.spec.settings.get("resample"):
            self._redraw(max(self.optimization.steps_done - 1, 0) // every * every)

    def weights(self) -> dict[str, Tensor]:
        """The network's ``state_dict``."""
        return {name: tensor.cpu().clone() for name, tensor in self.net.state_dict().items()}
