"""A potential under an arm, built and ready to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from schnetpack.model import NeuralNetworkPotential
from torch import Tensor, nn

from bench.spec.spec import Spec
from bench.spec.user_code import is_reference
from bench.task import Diagnosis, Evaluation
from bench.techniques.networks import drawing_modules, set_first_weights
from bench.techniques.offset import label_choices
from bench.training.optimization import Optimization
from bench.training.ownership import check_owned
from bench.training.parameters import FlatParameters
from suites.molecular import molecular_dynamics
from suites.molecular.averaging import Averaging
from suites.molecular.compositions import Compositions
from suites.molecular.data.batches import Batches, FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.neighbors import neighbor_pairs
from suites.molecular.data.order import Order, find_order
from suites.molecular.data.splits import Split
from suites.molecular.data.static_batches import TRIPLETS, UNIQUE, StaticFrames
from suites.molecular.data.table_sizes import table_bytes, usual_shapes
from suites.molecular.diagnosis import diagnose
from suites.molecular.engine.captured import CapturedFunction
from suites.molecular.engine.choose import break_even_steps, is_captured, is_compiled
from suites.molecular.engine.compiled import CompiledStep, LossAndGradient
from suites.molecular.engine.step import StepFunction
from suites.molecular.engine.unique_pairs.potential import unique_pair_form
from suites.molecular.exported import ExportedPotential
from suites.molecular.labels import label_scale, with_total_energies
from suites.molecular.loss import WHOLE, EnergyForceLoss, Share
from suites.molecular.metrics import unit_of
from suites.molecular.models.catalogue import OWN_INITIALIZATION
from suites.molecular.models.hooks import trace_forward
from suites.molecular.models.of_spec import spec_model
from suites.molecular.models.potential import (
    ENERGY,
    FORCES,
    build_potential,
    predict_energies,
)
from suites.molecular.options import COMPILE
from suites.molecular.protocols import get_protocol
from suites.molecular.references import given_references
from suites.molecular.scoring import Scoring, scored_parts, trivial_errors
from suites.molecular.simulated import DynamicsTest
from suites.molecular.sources import built_frames
from suites.molecular.stress import STRESS, predict_with_stress
from suites.molecular.stress_check import UNUSED_STRESS, factor_warning, unchecked_stress

#: Frames of the batch that initialisations and the diagnosis look at.
_PROBE = 50
#: Pairs that a batch of a network with batch norm has at least, to be compiled.
_NORMED_PAIRS = 2
#: Bytes that the tables of padded batches may take. A number, and not this machine's memory: the
#: path follows from the spec.
_MOST_BYTES = 8e9


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
    return MolecularTask(spec, device, files.joined(frames, split), split, order)


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
        self.parts, apart = scored_parts(
            frames, split, spec.seed, "unseen_elements" in spec.settings
        )
        self.reading = frames.reading
        #: For the reader of the metrics.
        self.warnings: Sequence[str] = (
            *frames.warnings,
            *apart,
            *unchecked_stress(frames, spec.settings.get("stress_weight", 0.0)),
        )
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
        scored_tensors = {name: self._tensors(part) for name, part in self.parts.items()}
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
        self.parameters = FlatParameters(self.net)
        self.averaging = Averaging(self.net, self.parameters, spec.settings["ema"])
        self.scoring = Scoring(
            self.parts,
            scored_tensors,
            self.averaging,
            self.scale,
            self.loss,
            batch=spec.settings["batch"],
            seed=spec.seed,
            device=device.type,
        )
        self._parts = 1
        self.dynamics = DynamicsTest(spec.settings["md"]) if "md" in spec.settings else None
        self.optimization = Optimization(self.parameters.parts, spec.training)
        self.compiled, self._path = self._choose_path()

    def _tensors(self, frames: Frames, stressed: bool = False) -> FrameTensors:
        """The frames with their labels in the network's unit, computed in float64.

        Args:
            frames: The frames.
            stressed: With their stresses, of which there must be one.
        """
        return FrameTensors(
            frames,
            neighbor_pairs(frames, self.model.size.cutoff),
            *self._labels(frames),
            self.device,
            self.dtype,
            self._stresses(frames, stressed),
        )

    def _labels(self, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
        """Energies and forces in the network's unit."""
        factor = self.scale.factor
        return (frames.energies - self.scale.reference(frames)) / factor, frames.forces / factor

    def _stresses(self, frames: Frames, stressed: bool) -> np.ndarray | None:
        """Stresses in the network's unit, if asked for."""
        if not stressed:
            return None
        assert frames.stresses is not None
        return np.asarray(frames.stresses / self.scale.factor)

    def _choose_path(self) -> tuple[CompiledStep | None, dict[str, Any]]:
        """The compiled step, if steps are compiled, and what decided it, for the record."""
        frames, batch, size = self.training_frames, self.spec.settings["batch"], self.model.size
        asked = self.spec.settings.get("compile", COMPILE[0])
        usual = [TRIPLETS if self.model.name == "dimenet++" else UNIQUE]
        shapes = usual_shapes(frames, self.training.pairs, batch, usual)
        even = break_even_steps(self.training.mean_pairs(batch), size, shapes)
        path = {"compile": asked, "break_even_steps": even}
        inductor = is_compiled(asked, self.device, self.spec.training.total_steps, even)
        captured = is_captured(asked, self.device)
        if not (inductor or captured):
            return None, path
        if self.most_parts() == 1 and self.training.least_pairs(batch) < _NORMED_PAIRS:
            reason = "batches of so few pairs have no batch statistics"
            return None, {**path, "not_compiled": reason}
        form = unique_pair_form(self.net)
        if isinstance(form, str):
            needs = [TRIPLETS] if self.model.name == "dimenet++" else []
            potential, path = None, {**path, "pairs": "each direction", "not_unique": form}
        else:
            needs, potential, path = [UNIQUE], form, {**path, "pairs": "unique"}
        needed = table_bytes(frames, self.training.pairs, needs)
        if needed > _MOST_BYTES:
            return None, {**path, "not_compiled": f"tables would need {needed / 1e9:.0f} GB"}
        static = StaticFrames(
            frames,
            self.training.pairs,
            *self._labels(frames),
            size.cutoff,
            self.device,
            self.dtype,
            self._stresses(frames, self.loss.has_stress),
            needs=needs,
        )
        function = StepFunction(self.net, self.parameters, self.loss, potential)
        compiled = CompiledStep(
            function,
            static,
            self.parameters,
            self.net,
            self._plain,
            insist=asked == "on",
            captured=CapturedFunction(function, inductor) if captured else None,
        )
        return compiled, path

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
            "engine": self._engine(),
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

    def _engine(self) -> dict[str, Any]:
        """Which path the steps take, and why."""
        how = {"executed": "eager"} if self.compiled is None else self.compiled.how
        if self.compiled is not None and self._parts > 1:
            reason = "batches are computed in parts, for memory"
            how = {"executed": "eager", "not_compiled": reason}
        batches = "preloaded" if how["executed"] == "eager" else "padded"
        if how["executed"].endswith("then eager"):
            batches = "padded, then preloaded"
        return {"modules": "schnetpack", "batches": batches, **self._path, **how}

    def _notes(self) -> list[str]:
        """What a reader of the scores must know."""
        notes = self.scoring.notes()
        frames = (self.training_frames, self.parts["test"])
        if any(part.stressed.any() for part in frames) and not self.loss.has_stress:
            notes.append(UNUSED_STRESS)
        if self.dynamics is not None:
            notes.append(self.dynamics.note(self.parts["test"]))
        return notes

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
        if self._parts > 1:
            found = self._in_parts(rows)
        elif self.compiled is not None:
            found = self.compiled(rows)
        else:
            found = self._plain(rows)
        self.optimization.follow([found.gradient])
        self.averaging.update()
        return found.terms

    def most_parts(self) -> int:
        """See `bench.task.Divisible`: batch normalisation sees all frames of a batch at once."""
        coupled = any(isinstance(module, nn.BatchNorm1d) for module in self.net.modules())
        if coupled or is_reference(self.spec.axes["normalization"]):  # whatever that does
            return 1
        return min(self.spec.settings["batch"], len(self.training))

    def divide(self, parts: int) -> None:
        """See `bench.task.Divisible`."""
        self._parts = self.scoring.divided = parts

    def _plain(self, rows: np.ndarray, share: Share = WHOLE) -> LossAndGradient:
        """Loss terms of the frames `rows` as the modules compute them, and the gradient.

        Args:
            rows: Of the training frames.
            share: See `losses`.
        """
        terms = self.losses(self.training.batch(rows), share)
        # A parameter on which the loss does not depend has a gradient of 0.
        gradients = torch.autograd.grad(
            terms["loss"], self.parameters.parameters, materialize_grads=True
        )
        return LossAndGradient(
            {name: term.detach() for name, term in terms.items()}, self.parameters.join(gradients)
        )

    def _in_parts(self, rows: np.ndarray) -> LossAndGradient:
        """As `_plain`, part by part."""
        atoms = int(self.training_frames.n_atoms[rows].sum())
        stressed = self.training_frames.stressed
        with_stress = max(1, int(stressed[rows].sum()))
        total: dict[str, Tensor] = {}
        gradient = torch.zeros_like(self.parameters.vector, requires_grad=False)
        for some in np.array_split(rows, self._parts):
            share = Share(
                len(some) / len(rows),
                int(self.training_frames.n_atoms[some].sum()) / atoms,
                int(stressed[some].sum()) / with_stress,
            )
            terms, part = self._plain(some, share)
            gradient += part
            for name, term in terms.items():
                total[name] = total[name] + term if name in total else term
        return LossAndGradient(total, gradient)

    def predict(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Predicted energies (frames,) and forces (atoms, 3) of a part of the split.

        In the labels' unit, float64.
        """
        return self.scoring.predict(part)[:2]

    def evaluate(self) -> Evaluation:
        """Errors on test, validation and some training frames."""
        metrics, selection = self.scoring.errors()
        check_owned(self.net, self.parameters)
        metrics |= self.under_batch_statistics()
        if self.dynamics is not None:
            # Of an early state it would cost as much and tell nothing.
            if self._ended():
                self._simulate(self.dynamics)
            metrics |= self.dynamics.scores()
        return Evaluation(metrics, selection)

    def _simulate(self, dynamics: DynamicsTest) -> None:
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
        dynamics.run(potential, self.parts["test"], self.spec.seed, str(self.device))

    def under_batch_statistics(self) -> dict[str, float]:
        """Test errors with batch norm as in training; nothing without batch norm."""
        return self.scoring.under_batch_statistics()

    def trivial(self) -> dict[str, float]:
        """Test errors of the mean training energy per composition, of no force and no stress."""
        return trivial_errors(self.parts["test"], self.training_frames)

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
        broken = self.dynamics.warnings() if self.dynamics is not None else []
        return Diagnosis(found.measurements, [*found.warnings, *self._stress_warnings(), *broken])

    def _stress_warnings(self) -> list[str]:
        """See `factor_warning`; of a potential that has learnt from energies and forces alone.

        Of one that learns stresses, see `unchecked_stress`.
        """
        frames = self.parts["train"]
        if frames.stresses is None or self.loss.has_stress or not self._ended():
            return []
        predicted = self.scoring.predict("train").stresses
        if predicted is None:
            return []
        return factor_warning(frames.stresses[frames.stressed], predicted[frames.stressed])

    def _ended(self) -> bool:
        """Whether the last step is done."""
        return self.optimization.steps_done >= self.spec.training.total_steps

    def state_dict(self) -> dict[str, Any]:
        """Network, average, optimiser and place in the data."""
        return {
            # Not views of the vector.
            "net": {name: tensor.clone() for name, tensor in self.net.state_dict().items()},
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
