"""Predictions and errors of a potential on the parts of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bench.spec.randomness import numpy_generator
from bench.training.gradients import training_mode
from suites.molecular.averaging import Averaging
from suites.molecular.data.batches import FrameTensors
from suites.molecular.data.frames import Frames
from suites.molecular.data.splits import Split
from suites.molecular.data.unseen import unseen_elements
from suites.molecular.groups import SET, group_errors, of_set, set_errors
from suites.molecular.labels import LabelScale, label_scale
from suites.molecular.loss import EnergyForceLoss
from suites.molecular.metrics import (
    BATCH_STATISTICS,
    UNDER_BATCH_STATISTICS,
    force_and_energy_errors,
    stress_errors,
)
from suites.molecular.models.potential import ENERGY, FORCES
from suites.molecular.stress import STRESS, predict_with_stress

#: Frames of an evaluation's batch: what fits a core's cache, and what keeps a GPU busy.
_ROWS = {"cpu": 50, "cuda": 400}
#: Training frames that are scored at most.
_TRAINING_SCORED = 200
_LOSS_NAMES = {
    "train": "loss",
    "val": "heldout_loss",
    "test": "test_loss",
    "unseen": "unseen_loss",
}


def scored_parts(
    frames: Frames, split: Split, seed: int, unseen_apart: bool
) -> tuple[dict[str, Frames], list[str]]:
    """The frames of each part that is scored, and what a reader of the scores must know of them.

    Args:
        frames: All frames.
        split: Which of them are for training, validation and test.
        seed: Of the run.
        unseen_apart: Leave out frames with elements that no training frame has; those of the test
            set are a part of their own, ``unseen``.
    """
    random = numpy_generator(seed, "scored training frames")
    count = min(len(split.train), _TRAINING_SCORED)
    rows = {
        "train": np.sort(random.choice(split.train, count, replace=False)),
        "val": split.val,
        "test": split.test,
        **{of_set("test", name): rows for name, rows in split.further.items()},
    }
    if not unseen_apart:
        return {name: frames.select(of_part) for name, of_part in rows.items()}, []
    unseen = unseen_elements(frames, split)
    rows["val"] = split.val[~unseen.val]
    rows["test"] = split.test[~unseen.test]
    for name, strange in unseen.further.items():
        rows[of_set("test", name)] = split.further[name][~strange]
    if unseen.test.any():
        rows["unseen"] = split.test[unseen.test]
    left_out = ["the validation frames"] if unseen.val.any() else []
    if any(strange.any() for strange in unseen.further.values()):
        left_out.append("the further test sets")
    done = ["scored apart, as unseen_MAE_F, unseen_MAE_E"] if unseen.test.any() else []
    done += [f"left out of {' and '.join(left_out)}"] if left_out else []
    said = f"{unseen.describe()}: {'; '.join(done)}"
    return {name: frames.select(of_part) for name, of_part in rows.items()}, [said]


class Predicted(NamedTuple):
    """Predictions for frames, in the labels' unit, float64.

    Attributes:
        energies: (frames,)
        forces: (atoms, 3)
        stresses: (frames, 3, 3) if a frame has a label of it.
    """

    energies: np.ndarray
    forces: np.ndarray
    stresses: np.ndarray | None


class Scoring:
    """Scores the network that `averaging` keeps.

    Args:
        parts: Frames of each part: ``train``, ``val``, ``test``, perhaps ``unseen``, and further
            test sets by the names of `suites.molecular.groups.of_set`.
        tensors: The same, with labels in the network's unit.
        averaging: Of the network.
        scale: From the network's unit to the labels'.
        loss: Of training.
        batch: Frames of a training batch.
        seed: Of the run.
        device: Type of the device, ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        parts: Mapping[str, Frames],
        tensors: Mapping[str, FrameTensors],
        averaging: Averaging,
        scale: LabelScale,
        loss: EnergyForceLoss,
        *,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        self.parts = parts
        self.tensors = tensors
        #: In how many parts a batch is computed, for memory.
        self.divided = 1
        self._averaging = averaging
        self._scale = scale
        self._loss = loss
        self._batch = batch
        self._seed = seed
        self._device = device

    def predict(self, part: str) -> Predicted:
        """Of the scored network in evaluation mode."""
        count = len(self.tensors[part])
        batches = min(-(-count // _ROWS[self._device]) * self.divided, count)
        self._averaging.scored.eval()
        return self._predicted(part, np.array_split(np.arange(count), batches))

    def _predicted(self, part: str, batches: Sequence[np.ndarray]) -> Predicted:
        """As `predict`, of frames batch by batch, by the scored network in the mode it is in."""
        net, tensors = self._averaging.scored, self.tensors[part]
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
        factor, reference = self._scale.factor, self._scale.reference(frames)
        return Predicted(
            torch.cat(energies).numpy() * factor + reference,
            torch.cat(forces).numpy() * factor,
            torch.cat(stresses).numpy() * factor if stressed else None,
        )

    def errors(self) -> tuple[dict[str, float], float]:
        """Errors and loss of each part, and the loss by which the best state is selected.

        That is the validation loss of energies and forces by the protocol's weights, in the labels'
        unit. The weight of stresses is the run's own choice and decides nothing here.
        """
        metrics: dict[str, float] = {}
        selection = float("nan")
        for name, part in self.parts.items():
            energies, forces, stresses = self.predict(name)
            errors = force_and_energy_errors(
                part.energies, energies, part.forces, forces, part.n_atoms, part.energy_unit
            )
            of_stress = None
            if stresses is not None and part.stresses is not None:
                true, predicted = part.stresses[part.stressed], stresses[part.stressed]
                errors |= stress_errors(true, predicted, part.energy_unit)
                of_stress = predicted - true
            if SET in name:
                metrics |= set_errors(errors, name.partition(SET)[2])
                continue
            prefix = "" if name == "test" else f"{name}_"
            metrics |= {f"{prefix}{metric}": value for metric, value in errors.items()}
            if name == "test":
                metrics |= group_errors(part, energies, forces)
            loss = self._loss.of_errors(energies - part.energies, forces - part.forces, of_stress)
            metrics[_LOSS_NAMES[name]] = loss
            if name == "val":
                selection = self._loss.of_errors(energies - part.energies, forces - part.forces)
        return metrics, selection

    def under_batch_statistics(self) -> dict[str, float]:
        """Test errors with batch norm as in training; nothing without batch norm.

        What a norm seems to do to the scores is in part that training and scoring differ in its
        statistics (S. Ioffe, arXiv 1702.03275): beside the scores under running ones, these tell.
        """
        norms = self._running_norms()
        if not norms:
            return {}
        net, test = self._averaging.scored, self.parts["test"]
        # Neighbours in a trajectory are more alike than the frames of a training batch.
        order = numpy_generator(self._seed, "batch statistics").permutation(len(test))
        with training_mode(net):
            net.eval()
            for norm in norms:
                norm.train()
            energies, forces, _ = self._predicted(
                "test", np.array_split(order, self._test_batches())
            )
        frames = test.select(order)
        errors = force_and_energy_errors(
            frames.energies, energies, frames.forces, forces, frames.n_atoms, frames.energy_unit
        )
        return {f"{name}{BATCH_STATISTICS}": errors[name] for name in UNDER_BATCH_STATISTICS}

    def notes(self) -> list[str]:
        """What a reader of the scores must know of batch norm, if there is one."""
        if not self._running_norms():
            return []
        frames = -(-len(self.parts["test"]) // self._test_batches())
        return [
            f"scores that end in {BATCH_STATISTICS}: batch norm by the statistics of each batch of"
            f" {frames} test frames, as in training, and not by its running ones"
        ]

    def _running_norms(self) -> list[nn.BatchNorm1d]:
        """The norms of the scored network that are scored by running statistics."""
        return [m for m in self._averaging.scored.modules() if isinstance(m, nn.BatchNorm1d)]

    def _test_batches(self) -> int:
        """Batches, about as large as in training, that the test frames are divided into."""
        return max(1, round(len(self.parts["test"]) / self._batch))


def trivial_errors(test: Frames, training: Frames) -> dict[str, float]:
    """Errors of the mean training energy per composition, of no force and no stress."""
    reference = label_scale("offset", "rescale=1", training)
    found = {
        "MAE_E": float(np.abs(test.energies - reference.reference(test)).mean()),
        "MAE_F": float(np.abs(test.forces).mean()),
    }
    if test.stresses is not None and test.stressed.any():
        found["MAE_stress"] = float(np.abs(test.stresses[test.stressed]).mean())
    return found
