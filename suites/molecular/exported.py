"""A trained potential by itself, apart from its run and from the files that hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from schnetpack.model import NeuralNetworkPotential

from suites.molecular.compositions import Compositions
from suites.molecular.labels import LabelScale


@dataclass(frozen=True)
class ExportedPotential:
    """A trained network, and what turns its output into energies.

    Attributes:
        net: The network in evaluation mode.
        scale: The scale of the labels that it was trained on.
        energy_unit: The labels' unit of energy.
        elements: Atomic numbers in the training frames.
        cutoff: Cutoff in Å.
        dtype: The network's dtype.
        title: Problem, model and run, for people.
        compositions: Of the training frames; ``None``: an older file, which does not say.
    """

    net: NeuralNetworkPotential
    scale: LabelScale
    energy_unit: str
    elements: Sequence[int]
    cutoff: float
    dtype: torch.dtype
    title: str
    compositions: Compositions | None = None
