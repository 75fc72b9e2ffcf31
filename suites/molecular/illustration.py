"""Predicted against reference energies and forces of the test frames."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.spec.spec import Spec
from bench.task import Parity
from suites.molecular.metrics import unit_of
from suites.molecular.task import build


def illustrate(spec: Spec, weights: Mapping[str, Tensor], device: torch.device) -> list[Parity]:
    """Energies of the test frames and all components of their forces, in the labels' unit.

    The mean of the reference energies is subtracted from both, predicted and reference: beside a
    total energy differences could not be seen.

    Args:
        spec: Of the run.
        weights: Of the network that was scored.
        device: Where to predict.
    """
    task = build(spec, device)
    task.averaging.scored.load_state_dict(weights)
    test = task.parts["test"]
    energies, forces = task.predict("test")
    mean = test.energies.mean()
    return [
        Parity("energy", unit_of("MAE_E", task.energy_unit), test.energies - mean, energies - mean),
        Parity(
            "force component",
            unit_of("MAE_F", task.energy_unit),
            test.forces.ravel(),
            forces.ravel(),
        ),
    ]
