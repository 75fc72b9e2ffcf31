"""A potential under an arm, built and ready to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from bench.training.gradients import training_mode
from bench.training.optimization import Optimization
from bench.training.ownership import check_owned
from suites.molecular import molecular_dynamics
from suites.molecular.averaging import Averaging
from suites.molecular.compositions import Compositions
from suites.molecular.data.batches import Batches, FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.order import Order, find_order
from suites.molecular.data.splits import Split
from suites.molecular.data.unseen import Unseen, unseen_elements
from suites.molecular.diagnosis import diagnose
from suites.molecular.export import ExportedPotential
from suites.molecular.groups import SET, group_errors, of_set, set_errors
from suites.molecular.labels import label_scale, with_total_energies
from suites.molecular.loss import WHOLE, EnergyForceLoss, Share
from suites.molecular.metrics import (
    BATCH_STATISTICS,
    UNDER_BATCH_STATISTICS,
    force_and_energy_errors,
    stress_errors,
    unit_of,
)
from suites.molecular.models.catalogue import OWN_INITIALIZATION
from suites.molecular.models.hooks import trace_forward
from suites.molecular.models.of_spec import spec_model
from suites.molecular.models.potential import (
    ENERGY,
    FORCES,
    build_potential,
    predict_energies,
)
from suites.molecular.molecular_dynamics import TEMPERATURE, TIME_STEP, TRAJECTORIES, Trajectory
from suites.molecular.protocols import get_protocol
from suites.molecular.references import given_references
from suites.molecular.simulated import simulate_from_frames
from suites.molecular.sources import built_frames
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.stress_check import factor_warning

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
UNUSED_STRESS = (
    "the frames have stresses: they are scored, and not trained on without --stress-weight W"
)
#: Training frames that are scored at most.
_TRAINING_SCORED = 200


def build(spec: Spec, device: torch.device) -> MolecularTask:
    """The task of a spec.

    Raises:
        BadInput: A file or a user's own object is wrong.
    """
    frames, files = built_frames(spec)
    if spec.settings["total_energies"]:
        frames = with_total_energies(frames)
    split = files.split(frames, spec.seed, spec.settings["split"])
    order = find_order(frames) if "data" in spec.paths else None
    return MolecularTask(spec, device, files.joined(frames), split, order)


class MolecularTask:
    """Implements `bench.task.Task` for an interatomic potential.

    Args:
        spec: What is trained.
        device: Where.
        frames: All frames, with their labels.
        split: Which of them are for training, validation and test.
        order: Whether the frames of an own file are a trajectory.
    """

    def __init__(
        self,
        spec: Spec,
        device: torch.device,
        frames: Frames,
        split: Split,
        order: Order | None = None,
    ) -> None:
        self.spec = spec
        self.order = order
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
            **{of_set("test", name): frames.select(rows) for name, rows in split.further.items()},
        }
        self.reading = frames.reading
        #: For the reader of the metrics.
        self.warnings: Sequence[str] = frames.warnings
        if "unseen_elements" in spec.settings:
            self._set_unseen_apart(unseen_elements(frames, split))
        self.training_frames = frames.select(split.train)
        self.energy_unit = frames.energy_unit
        self.elements = np.unique(self.training_frames.numbers).tolist()
        self.scale = label_scale(
            *label_choices(spec.axes, self.protocol.offset),
            self.training_frames,
            given_references(spec.settings),
        )
        stress_weight = spec.settings.get("stress_weight", 0.0)
        self.training = self._tensors(self.training_frames, stress_weight > 0)
        self._scored = {name: self._tensors(part) for name, part in self.parts.items()}
        self._batches = Batches(len(self.training), spec.settings["batch"], spec.seed)
        error = spec.settings.get("loss", self.protocol.error)
        self.loss = EnergyForceLoss(
            self.protocol,
            error,
            self.scale.factor,
            self.scale.unit,
            self.energy_unit,
            stress_weight,
        )
        self.net = self._network()
        self.averaging = Averaging(self.net, spec.settings["ema"])
        self._parts = 1
        self._md_steps = int(spec.settings.get("md", 0))
        self._trajectories: list[Trajectory] = []
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        self.optimization = Optimization(trained, spec.training)

    def _set_unseen_apart(self, unseen: Unseen) -> None:
        """Score test frames of elements that no training frame has as a part of their own."""
        test = self.parts["test"]
        masks = {of_set("test", name): mask for name, mask in unseen.further.items()}
        for name, mask in {"val": unseen.val, "test": unseen.test, **masks}.items():
            self.parts[name] = self.parts[name].select(np.flatnonzero(~mask))
        if unseen.test.any():
            self.parts["unseen"] = test.select(np.flatnonzero(unseen.test))
        apart = f"{unseen.describe()}: scored apart, as unseen_MAE_F, unseen_MAE_E"
        if any(mask.any() for mask in masks.values()):
            apart += "; left out of the further test sets"
        self.warnings = [*self.warnings, apart]

    def _tensors(self, frames: Frames, stressed: bool = False) -> FrameTensors:
        """The frames with their labels in the network's unit, computed in float64.

        Args:
            frames: The frames.
            stressed: With their stresses, of which there must be one.
        """
        stresses = None
        if stressed:
            assert frames.stresses is not None
            stresses = frames.stresses / self.scale.factor
        return FrameTensors(
            frames,
            neighbor_pairs(frames, self.model.size.cutoff),
            (frames.energies - self.scale.reference(frames)) / self.scale.factor,
            frames.forces / self.scale.factor,
            self.device,
            self.dtype,
            stresses,
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
        return (
            self.loss.unit(metric)
            or molecular_dynamics.UNITS.get(metric)
            or unit_of(metric, self.energy_unit)
        )

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
            "split": {**self.split.summary(), **(self.order._asdict() if self.order else {})},
            **({"reading": self.reading.describe()} if self.reading else {}),
            "scored": {name: len(part) for name, part in self.parts.items()},
            "energy_unit": self.energy_unit,
            "elements": self.elements,
            "scale": self.scale.describe(),
            "trivial": self.trivial(),
            "compositions": Compositions.of(self.training_frames).describe(),
            **({"notes": notes} if (notes := self._notes()) else {}),
        }

    def _notes(self) -> list[str]:
        """What a reader of the scores must know."""
        notes = [self._statistics_note()] if self._running_norms() else []
        frames = (self.training_frames, self.parts["test"])
        if any(part.stressed.any() for part in frames) and not self.loss.has_stress:
            notes.append(UNUSED_STRESS)
        if self._md_steps:
            notes.append(
                f"MD_...: {self._md_steps} steps of {TIME_STEP:g} fs at constant energy from"
                f" {min(TRAJECTORIES, len(self.parts['test']))} test frames at {TEMPERATURE:g} K;"
                f" MD_stable_steps is {self._md_steps} where nothing broke"
            )
        return notes

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
        """Test errors of the mean training energy per composition, of no force and no stress."""
        test = self.parts["test"]
        reference = label_scale("offset", "rescale=1", self.training_frames)
        found = {
            "MAE_E": float(np.abs(test.energies - reference.reference(test)).mean()),
            "MAE_F": float(np.abs(test.forces).mean()),
        }
        if test.stresses is not None and test.stressed.any():
            found["MAE_stress"] = float(np.abs(test.stresses[test.stressed]).mean())
        return found

    def losses(self, batch: dict[str, Tensor], share: Share = WHOLE) -> dict[str, Tensor]:
        """Loss terms in the labels' unit, and ``loss`` with its graph, in the network's.

        Args:
            batch: Frames.
            share: What part of a batch they are, by which the terms are multiplied.
        """
        energies, forces = batch[ENERGY], batch[FORCES]
        stresses = None
        if self.loss.has_stress:
            labels = batch[STRESS]
            predicted = predict_with_stress(self.net, batch)
            stresses = predicted[STRESS], labels
        else:
            predicted = self.net(batch)
        return self.loss(predicted[ENERGY] - energies, predicted[FORCES] - forces, share, stresses)

    def step(self) -> Mapping[str, Tensor]:
        """One optimisation step; see `bench.task.Task.step`."""
        self.net.train()
        rows = self._batches.next()
        if self._parts == 1:
            batch = self.training.batch(rows)
            terms = self.optimization.step(lambda: self.losses(batch))
        else:
            terms = self.optimization.step(lambda: self._losses_in_parts(rows))
        try:
            self.averaging.update()
        except RuntimeError:  # there is a parameter that was not there when the average began
            check_owned(self.net, self.optimization.parameters)
            raise
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
        stressed = self.training_frames.stressed
        with_stress = max(1, int(stressed[rows].sum()))
        total: dict[str, Tensor] = {}
        gradient = [torch.zeros_like(parameter) for parameter in parameters]
        for some in np.array_split(rows, self._parts):
            batch = self.training.batch(some)
            share = Share(
                len(some) / len(rows),
                len(batch[FORCES]) / atoms,
                int(stressed[some].sum()) / with_stress,
            )
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
        return self._all_predicted(part)[:2]

    def _all_predicted(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """As `predict`, and the stresses (frames, 3, 3) if a frame has a label of it."""
        count = len(self._scored[part])
        batches = min(-(-count // _ROWS[self.device.type]) * self._parts, count)
        self.averaging.scored.eval()
        return self._predicted(part, np.array_split(np.arange(count), batches))

    def _predicted(
        self, part: str, batches: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """As `_all_predicted`, of frames batch by batch, by the scored network in its mode."""
        net, tensors = self.averaging.scored, self._scored[part]
        stressed = self.parts[part].stressed.any()
        energies, forces, stresses = [], [], []
        for rows in batches:
            batch = tensors.batch(rows)
            if stressed:
                found = predict_with_stress(net, batch)
                stresses.append(found[STRESS].detach().double().cpu())
            else:
                found = net(batch)
            energies.append(found[ENERGY].detach().double().cpu())
            forces.append(found[FORCES].detach().double().cpu())
        frames = self.parts[part].select(np.concatenate(batches))
        factor, reference = self.scale.factor, self.scale.reference(frames)
        return (
            torch.cat(energies).numpy() * factor + reference,
            torch.cat(forces).numpy() * factor,
            torch.cat(stresses).numpy() * factor if stressed else None,
        )

    def evaluate(self) -> Evaluation:
        """Errors on test, validation and some training frames."""
        metrics: dict[str, float] = {}
        selection = float("nan")
        for name, part in self.parts.items():
            energies, forces, stresses = self._all_predicted(name)
            prefix = "" if name == "test" else f"{name}_"
            errors = force_and_energy_errors(
                part.energies,
                energies,
                part.forces,
                forces,
                part.n_atoms,
                self.energy_unit,
            )
            of_stress = None
            if stresses is not None and part.stresses is not None:
                true, predicted = part.stresses[part.stressed], stresses[part.stressed]
                errors |= stress_errors(true, predicted, self.energy_unit)
                of_stress = predicted - true
            if SET in name:
                metrics |= set_errors(errors, name.partition(SET)[2])
                continue
            metrics |= {f"{prefix}{metric}": value for metric, value in errors.items()}
            if name == "test":
                metrics |= group_errors(part, energies, forces)
            loss = self.loss.of_errors(energies - part.energies, forces - part.forces, of_stress)
            metrics[_LOSS_NAMES[name]] = loss
            if name == "val":
                selection = loss
        check_owned(self.net, self.optimization.parameters)
        metrics |= self.under_batch_statistics()
        if self._md_steps:
            # Of an early state it would cost as much and tell nothing.
            self._trajectories = self._simulate() if self._ended() else []
            metrics |= molecular_dynamics.scores(self._trajectories)
        return Evaluation(metrics, selection)

    def _simulate(self) -> list[Trajectory]:
        """Molecular dynamics of the scored network, in evaluation mode, from test frames."""
        potential = ExportedPotential(
            net=self.averaging.scored.eval(),
            scale=self.scale,
            energy_unit=self.energy_unit,
            elements=self.elements,
            cutoff=self.model.size.cutoff,
            dtype=self.dtype,
            title=self.spec.title,
        )
        return simulate_from_frames(
            potential, self.parts["test"], self._md_steps, self.spec.seed, str(self.device)
        )

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
            energies, forces, _ = self._predicted(
                "test", np.array_split(order, self._test_batches())
            )
        frames = test.select(order)
        errors = force_and_energy_errors(
            frames.energies, energies, frames.forces, forces, frames.n_atoms, self.energy_unit
        )
        return {f"{name}{BATCH_STATISTICS}": errors[name] for name in UNDER_BATCH_STATISTICS}

    def zero_loss(self) -> float:
        """See `bench.task.Scaled`: of energies and forces of 0, in the network's unit."""
        batch = self.probe()
        stresses = None
        if self.loss.has_stress:
            stresses = torch.zeros_like(batch[STRESS]), batch[STRESS]
        return float(self.loss(-batch[ENERGY], -batch[FORCES], WHOLE, stresses)["loss"])

    def diagnose(self) -> Diagnosis:
        """Gradient size, coupling of frames, what the hooks changed."""
        found = diagnose(self)
        broken = molecular_dynamics.warnings(self._trajectories, self._md_steps)
        return Diagnosis(found.measurements, [*found.warnings, *self._stress_warnings(), *broken])

    def _stress_warnings(self) -> list[str]:
        """See `factor_warning`; of a potential that has learnt from energies and forces alone."""
        frames = self.parts["train"]
        if frames.stresses is None or self.loss.has_stress or not self._ended():
            return []
        predicted = self._all_predicted("train")[2]
        if predicted is None:
            return []
        return factor_warning(frames.stresses[frames.stressed], predicted[frames.stressed])

    def _ended(self) -> bool:
        """Whether the last step is done."""
        return self.optimization.steps_done >= self.spec.training.total_steps

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
