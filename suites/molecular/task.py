"""A potential under an arm, built and ready to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor, nn

from bench.spec.randomness import numpy_generator
from bench.spec.spec import Spec
from bench.spec.user_code import is_reference
from bench.task import Diagnosis, Evaluation
from bench.techniques.networks import drawing_modules, set_first_weights
from bench.techniques.offset import label_choices
from bench.text.errors import BadInput
from bench.training.gradients import training_mode
from bench.training.optimization import Optimization
from suites.molecular.averaging import Averaging
from suites.molecular.data.batches import Batches, FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.splits import Split, split_of
from suites.molecular.data.unseen import Unseen, unseen_elements
from suites.molecular.diagnosis import diagnose
from suites.molecular.labels import label_scale, with_total_energies
from suites.molecular.loss import EnergyForceLoss
from suites.molecular.metrics import (
    BATCH_STATISTICS,
    UNDER_BATCH_STATISTICS,
    force_and_energy_errors,
    unit_of,
)
from suites.molecular.models.catalogue import OWN_INITIALIZATION, Model, Size, parse_model
from suites.molecular.models.hooks import trace_forward
from suites.molecular.models.potential import (
    ENERGY,
    FORCES,
    build_potential,
    predict_energies,
)
from suites.molecular.problems.catalogue import DataOptions, get_problem, load_frames
from suites.molecular.protocols import get_protocol

#: Frames of the batch that initialisations and the diagnosis look at.
_PROBE = 50
#: Frames of an evaluation's batch: what fits a core's cache, and what keeps a GPU busy.
_ROWS = {"cpu": 50, "cuda": 400}
_LOSS_NAMES = {
    "train": "loss",
    "val": "heldout_loss",
    "test": "test_loss",
    "unseen": "unseen_loss",
}
#: Training frames that are scored at most.
_TRAINING_SCORED = 200


def build(spec: Spec, device: torch.device) -> MolecularTask:
    """The task of a spec.

    Raises:
        BadInput: A file or a user's own object is wrong.
    """
    settings = spec.settings
    root, own = spec.paths.get("data_root"), spec.paths.get("data")
    frames = load_frames(
        get_problem(own or spec.problem),
        DataOptions(Path(root) if root else None, **settings["file"]),
    )
    if frames.digest != settings["data"]:
        raise BadInput(f"{frames.source}: the file has changed since the run was asked for")
    if settings["total_energies"]:
        frames = with_total_energies(frames)
    return MolecularTask(spec, device, frames, split_of(frames, spec.seed, settings["split"]))


def spec_model(spec: Spec) -> Model:
    """The model of a spec, with its whole size."""
    protocol = get_protocol(spec.settings["protocol"])
    return parse_model(spec.model, Size(**spec.settings["size"]), protocol.offset)


class MolecularTask:
    """Implements `bench.task.Task` for an interatomic potential.

    Args:
        spec: What is trained.
        device: Where.
        frames: All frames, with their labels.
        split: Which of them are for training, validation and test.
    """

    def __init__(self, spec: Spec, device: torch.device, frames: Frames, split: Split) -> None:
        self.spec = spec
        self.device = device
        self.protocol = get_protocol(spec.settings["protocol"])
        self.split = split
        self.source = frames.source
        self.dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self.model = spec_model(spec)
        chosen = numpy_generator(spec.seed, "scored training frames")
        scored = min(len(split.train), _TRAINING_SCORED)
        self.parts = {
            "train": frames.select(np.sort(chosen.choice(split.train, scored, replace=False))),
            "val": frames.select(split.val),
            "test": frames.select(split.test),
        }
        #: For the reader of the metrics.
        self.warnings: Sequence[str] = frames.warnings
        if "unseen_elements" in spec.settings:
            self._set_unseen_apart(unseen_elements(frames, split))
        self.training_frames = frames.select(split.train)
        self.energy_unit = frames.energy_unit
        self.elements = np.unique(self.training_frames.numbers).tolist()
        self.scale = label_scale(
            *label_choices(spec.axes, self.protocol.offset), self.training_frames
        )
        self.training = self._tensors(self.training_frames)
        self._scored = {name: self._tensors(part) for name, part in self.parts.items()}
        self._batches = Batches(len(self.training), spec.settings["batch"], spec.seed)
        error = spec.settings.get("loss", self.protocol.error)
        self.loss = EnergyForceLoss(
            self.protocol, error, self.scale.factor, self.scale.unit, self.energy_unit
        )
        self.net = self._network()
        self.averaging = Averaging(self.net, spec.settings["ema"])
        self._parts = 1
        self.optimization = Optimization(list(self.net.parameters()), spec.training)

    def _set_unseen_apart(self, unseen: Unseen) -> None:
        """Score test frames of elements that no training frame has as a part of their own."""
        val, test = self.parts["val"], self.parts["test"]
        self.parts["val"] = val.select(np.flatnonzero(~unseen.val))
        self.parts["test"] = test.select(np.flatnonzero(~unseen.test))
        if unseen.test.any():
            self.parts["unseen"] = test.select(np.flatnonzero(unseen.test))
        apart = f"{unseen.describe()}: scored apart, as unseen_MAE_F, unseen_MAE_E"
        self.warnings = [*self.warnings, apart]

    def _tensors(self, frames: Frames) -> FrameTensors:
        """The frames with their labels in the network's unit, computed in float64."""
        return FrameTensors(
            frames,
            neighbor_pairs(frames, self.model.size.cutoff),
            (frames.energies - self.scale.reference(frames)) / self.scale.factor,
            frames.forces / self.scale.factor,
            self.device,
            self.dtype,
        )

    def _network(self) -> NeuralNetworkPotential:
        """The initialised network on the device.

        LSUV leaves the last linear layer unscaled; DimeNet++ has one read-out a block, and those
        before the last are scaled like any other layer.
        """
        axes, seed = self.spec.axes, self.spec.seed
        # On the CPU so that the weights do not depend on the device.
        with drawing_modules(seed), torch.device("cpu"):
            net = build_potential(
                self.model,
                axes["activation"],
                axes["normalization"],
                self.spec.settings["scope"],
                self.dtype,
            )
        net = net.to(self.device)
        with trace_forward(net) as self.trace, torch.no_grad():
            predict_energies(net.eval(), self.probe())
        net.train()
        own = axes["initialization"] == OWN_INITIALIZATION
        self.initialized = set_first_weights(
            net,
            self.trace.linears,
            lambda: predict_energies(net, self.probe()),
            None if own else axes["initialization"],
            seed,
        )
        return net

    def probe(self) -> dict[str, Tensor]:
        """A batch of training frames, the same at every call."""
        count = len(self.training)
        return self.training.batch(np.linspace(0, count - 1, min(_PROBE, count)).astype(np.int64))

    def unit(self, metric: str) -> str:
        """Unit of a metric or loss term."""
        return self.loss.unit(metric) or unit_of(metric, self.energy_unit)

    @property
    def description(self) -> Mapping[str, Any]:
        """Network, frames, split, scale."""
        return {
            "engine": "schnetpack modules, preloaded batches",
            "activations": self.trace.activations,
            "normalizations": self.trace.normalizations,
            **({"initialization": self.initialized} if self.initialized else {}),
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "size": asdict(self.model.size),
            "source": self.source,
            "split": self.split.summary(),
            "scored": {name: len(part) for name, part in self.parts.items()},
            "energy_unit": self.energy_unit,
            "elements": self.elements,
            "scale": self.scale.describe(),
            "trivial": self.trivial(),
            **({"notes": [self._statistics_note()]} if self._running_norms() else {}),
        }

    def _running_norms(self) -> list[nn.BatchNorm1d]:
        """The norms of the scored network that are scored by running statistics."""
        return [m for m in self.averaging.scored.modules() if isinstance(m, nn.BatchNorm1d)]

    def _test_batches(self) -> int:
        """Batches, about as large as in training, that the test frames are divided into."""
        return max(1, round(len(self.parts["test"]) / self.spec.settings["batch"]))

    def _statistics_note(self) -> str:
        frames = -(-len(self.parts["test"]) // self._test_batches())
        return (
            f"scores that end in {BATCH_STATISTICS}: batch norm by the statistics of each batch of"
            f" {frames} test frames, as in training, and not by its running ones"
        )

    def trivial(self) -> dict[str, float]:
        """Test errors of the mean training energy per composition, and of zero forces."""
        test = self.parts["test"]
        reference = label_scale("offset", "rescale=1", self.training_frames)
        return {
            "MAE_E": float(np.abs(test.energies - reference.reference(test)).mean()),
            "MAE_F": float(np.abs(test.forces).mean()),
        }

    def losses(
        self, batch: dict[str, Tensor], share: tuple[float, float] = (1.0, 1.0)
    ) -> dict[str, Tensor]:
        """Loss terms in the labels' unit, and ``loss`` with its graph, in the network's.

        Args:
            batch: Frames.
            share: What fraction of the frames and of the atoms of a batch they are, by which the
                energy's and the forces' terms are multiplied.
        """
        energies, forces = batch[ENERGY], batch[FORCES]
        predicted = self.net(batch)
        return self.loss(predicted[ENERGY] - energies, predicted[FORCES] - forces, share)

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step; see `bench.task.Task.step`."""
        self.net.train()
        rows = self._batches.next()
        if self._parts == 1:
            batch = self.training.batch(rows)
            terms = self.optimization.step(lambda: self.losses(batch))
        else:
            terms = self.optimization.step(lambda: self._losses_in_parts(rows))
        self.averaging.update()
        return terms

    def most_parts(self) -> int:
        """See `bench.task.Divisible`: batch normalisation sees all frames of a batch at once."""
        coupled = any(isinstance(module, nn.BatchNorm1d) for module in self.net.modules())
        if coupled or is_reference(self.spec.axes["normalization"]):  # whatever that does
            return 1
        return min(self.spec.settings["batch"], len(self.training))

    def divide(self, parts: int) -> None:
        """See `bench.task.Divisible`."""
        self._parts = parts

    def _losses_in_parts(self, rows: np.ndarray) -> dict[str, Tensor]:
        """As `losses` of the frames `rows`, part by part; ``loss`` has the whole gradient."""
        parameters = self.optimization.parameters
        atoms = int(self.training_frames.n_atoms[rows].sum())
        total: dict[str, Tensor] = {}
        gradient = [torch.zeros_like(parameter) for parameter in parameters]
        for some in np.array_split(rows, self._parts):
            batch = self.training.batch(some)
            share = len(some) / len(rows), len(batch[FORCES]) / atoms
            terms = self.losses(batch, share)
            found = torch.autograd.grad(terms["loss"], parameters, allow_unused=True)
            for whole, part in zip(gradient, found, strict=True):
                if part is not None:
                    whole += part
            for name, term in terms.items():
                total[name] = total[name] + term.detach() if name in total else term.detach()
        # Linear in the parameters, with this gradient.
        products = [(p * g).sum() for p, g in zip(parameters, gradient, strict=True)]
        carrier = torch.stack(products).sum()
        return {**total, "loss": total["loss"] + (carrier - carrier.detach())}

    def predict(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Predicted energies (frames,) and forces (atoms, 3) of a part of the split.

        In the labels' unit, float64.
        """
        count = len(self._scored[part])
        batches = min(-(-count // _ROWS[self.device.type]) * self._parts, count)
        self.averaging.scored.eval()
        return self._predicted(part, np.array_split(np.arange(count), batches))

    def _predicted(self, part: str, batches: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, of frames batch by batch, by the scored network in the mode it is in."""
        net, tensors = self.averaging.scored, self._scored[part]
        energies, forces = [], []
        for rows in batches:
            found = net(tensors.batch(rows))
            energies.append(found[ENERGY].detach().double().cpu())
            forces.append(found[FORCES].detach().double().cpu())
        frames = self.parts[part].select(np.concatenate(batches))
        factor, reference = self.scale.factor, self.scale.reference(frames)
        return torch.cat(energies).numpy() * factor + reference, torch.cat(forces).numpy() * factor

    def evaluate(self) -> Evaluation:
        """Errors on test, validation and some training frames."""
        metrics: dict[str, float] = {}
        selection = float("nan")
        for name, part in self.parts.items():
            energies, forces = self.predict(name)
            prefix = "" if name == "test" else f"{name}_"
            errors = force_and_energy_errors(
                part.energies,
                energies,
                part.forces,
                forces,
                part.n_atoms,
                self.energy_unit,
            )
            metrics |= {f"{prefix}{metric}": value for metric, value in errors.items()}
            loss = self.loss.of_errors(energies - part.energies, forces - part.forces)
            metrics[_LOSS_NAMES[name]] = loss
            if name == "val":
                selection = loss
        return Evaluation(metrics | self.under_batch_statistics(), selection)

    def under_batch_statistics(self) -> dict[str, float]:
        """Test errors with batch norm as in training; nothing without batch norm.

        What a norm seems to do to the scores is in part that training and scoring differ in its
        statistics (S. Ioffe, arXiv 1702.03275): beside the scores under running ones, these tell.
        """
        norms = self._running_norms()
        if not norms:
            return {}
        net, test = self.averaging.scored, self.parts["test"]
        # Neighbours in a trajectory are more alike than the frames of a training batch.
        order = numpy_generator(self.spec.seed, "batch statistics").permutation(len(test))
        with training_mode(net):
            net.eval()
            for norm in norms:
                norm.train()
            energies, forces = self._predicted("test", np.array_split(order, self._test_batches()))
        frames = test.select(order)
        errors = force_and_energy_errors(
            frames.energies, energies, frames.forces, forces, frames.n_atoms, self.energy_unit
        )
        return {f"{name}{BATCH_STATISTICS}": errors[name] for name in UNDER_BATCH_STATISTICS}

    def zero_loss(self) -> float:
        """See `bench.task.Scaled`: of energies and forces of 0, in the network's unit."""
        batch = self.probe()
        return float(self.loss(-batch[ENERGY], -batch[FORCES], (1.0, 1.0))["loss"])

    def diagnose(self) -> Diagnosis:
        """Gradient size, coupling of frames, what the hooks changed."""
        return diagnose(self)

    def state_dict(self) -> dict[str, Any]:
        """Network, average, optimiser and place in the data."""
        return {
            "net": self.net.state_dict(),
            "averaging": self.averaging.state_dict(),
            "optimization": self.optimization.state_dict(),
            "batches": self._batches.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.net.load_state_dict(state["net"])
        self.averaging.load_state_dict(state["averaging"])
        self.optimization.load_state_dict(state["optimization"])
        self._batches.load_state_dict(state["batches"])

    def weights(self) -> dict[str, Tensor]:
        """``state_dict`` of the network that is scored."""
        return {name: t.cpu() for name, t in self.averaging.scored.state_dict().items()}
