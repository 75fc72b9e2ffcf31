"""A trained potential as a function of atoms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from bench.task import TrainedRun
from suites.molecular.calculator import PotentialCalculator
from suites.molecular.export import described, rebuilt


class Prediction(NamedTuple):
    """What a potential says of a configuration.

    Attributes:
        energy: In eV.
        forces: In eV/Å, shape ``(atoms, 3)``.
    """

    energy: float
    forces: np.ndarray


class Potential:
    """A trained potential as a function of atoms.

    Args:
        calculator: ASE's calculator of it, for molecular dynamics and relaxation.
    """

    def __init__(self, calculator: PotentialCalculator) -> None:
        self.calculator = calculator

    @property
    def module(self) -> nn.Module:
        """The network, in SchNetPack's interface."""
        return self.calculator.potential.net

    def __call__(self, atoms: Atoms) -> Prediction:
        """Energy and forces of a configuration.

        Raises:
            BadInput: It has an element that the potential has never seen.
        """
        self.calculator.calculate(atoms)
        found = self.calculator.results
        return Prediction(found["energy"], found["forces"])

    def __repr__(self) -> str:
        return f"<potential {self.calculator.potential.title}>"


def potential(run: TrainedRun, weights: Mapping[str, Tensor], device: torch.device) -> Potential:
    """The potential that a run has trained.

    Args:
        run: That is ``done``.
        weights: Of the network that was scored.
        device: Where it computes.
    """
    content = {**described(run), "weights": dict(weights)}
    return Potential(PotentialCalculator(rebuilt(content), str(device)))
