"""The loss of a protocol: of energies, of forces, and of stresses where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.task import SELECTION
from suites.molecular.protocols import Protocol


class Share(NamedTuple):
    """What fractions of a batch's frames, atoms and stresses a part of it has."""

    frames: float = 1.0
    atoms: float = 1.0
    stresses: float = 1.0


WHOLE = Share()


class EnergyForceLoss:
    """w_E·ε_E + w_F·ε_F + w_S·ε_S with ε the mean absolute or mean squared error.

    Energies count per frame, forces per component, stresses per component of the 3×3 matrices of
    the frames that have one; 0 where no frame of a batch has.

    Args:
        protocol: Weights.
        error: ε, one of `suites.molecular.protocols.ERRORS`.
        factor: One unit of the network, in the labels' unit.
        loss_unit: The unit in which the minimised loss counts errors, likewise.
        energy_unit: The labels' unit.
        stress_weight: w_S; 0: without stresses.
    """

    def __init__(
        self,
        protocol: Protocol,
        error: str,
        factor: float,
        loss_unit: float,
        energy_unit: str,
        stress_weight: float = 0.0,
    ) -> None:
        self._squared = error == "MSE"
        power = 2 if self._squared else 1
        self._weights = [protocol.energy_weight, protocol.force_weight]
        self.names: tuple[str, ...] = (f"{error}_E_batch", f"{error}_F_batch")
        self._units = [energy_unit, f"{energy_unit}/Å"]
        self.has_stress = stress_weight > 0
        if self.has_stress:
            self._weights.append(stress_weight)
            self.names += (f"{error}_stress_batch",)
            self._units.append(f"{energy_unit}/Å³")
        #: By which each term is multiplied in ``loss``, then that of all terms' own unit.
        self.factors: tuple[float, ...] = (
            *(weight * (factor / loss_unit) ** power for weight in self._weights),
            factor**power,
        )

    def __call__(
        self,
        energy_errors: Tensor,
        force_errors: Tensor,
        share: Share = WHOLE,
        stresses: tuple[Tensor, Tensor] | None = None,
        atom_mask: Tensor | None = None,
        factors: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Loss terms in the labels' unit, detached, and ``loss`` in its own, with its graph.

        Args:
            energy_errors: (frames,) prediction less label, in the network's unit.
            force_errors: (atoms, 3), likewise.
            share: Factors on the terms, of a part of a batch.
            stresses: (frames, 3, 3) predictions and labels, likewise, the labels NaN where a frame
                has none; needed if the loss has stresses.
            atom_mask: (atoms,) 1, or 0 for padding; ``None``: all atoms are real.
            factors: `factors` as tensors, which a traced graph takes as inputs; ``None``: as
                numbers, which are a part of it.
        """
        *weights, unit = self.factors if factors is None else factors
        energies, forces = (
            e.square() if self._squared else e.abs() for e in (energy_errors, force_errors)
        )
        if atom_mask is None:
            terms = [energies.mean(), forces.mean()]
        else:
            total = (forces * atom_mask[:, None]).sum()
            terms = [energies.mean(), total / (atom_mask.sum() * forces.shape[1])]
        if self.has_stress:
            assert stresses is not None
            terms.append(self._mean_of_known(*stresses))
        if share != WHOLE:
            terms = [term * part for term, part in zip(terms, share, strict=False)]
        loss = weights[0] * terms[0] + weights[1] * terms[1]
        if self.has_stress:
            loss = loss + weights[2] * terms[2]
        named = zip(self.names, terms, strict=True)
        return {"loss": loss, **{name: term.detach() * unit for name, term in named}}

    def _mean_of_known(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """ε of the frames whose label is known; 0 if none is."""
        known = ~labels.isnan()
        left = torch.where(known, predicted - labels, 0.0)
        total = left.square().sum() if self._squared else left.abs().sum()
        return total / known.sum().clamp(min=1)

    def of_errors(
        self,
        energy_errors: np.ndarray,
        force_errors: np.ndarray,
        stress_errors: np.ndarray | None = None,
    ) -> float:
        """The loss of errors in the labels' unit, in that unit: comparable between rescalings.

        Args:
            energy_errors: (frames,).
            force_errors: (atoms, 3).
            stress_errors: (stresses, 3, 3) of the frames that have one; ``None`` if none has.
        """
        errors = [energy_errors, force_errors]
        if self.has_stress and stress_errors is not None:
            errors.append(stress_errors)
        with np.errstate(over="ignore", invalid="ignore"):
            terms = [float(np.mean(e**2 if self._squared else np.abs(e))) for e in errors]
        return sum(w * term for w, term in zip(self._weights, terms, strict=False))

    def unit(self, name: str) -> str | None:
        """Unit of a loss term; ``None`` if it is none."""
        if name in ("loss", "heldout_loss", "test_loss", "unseen_loss", SELECTION):
            return "weighted"
        if name not in self.names:
            return None
        unit = self._units[self.names.index(name)]
        return f"({unit})²" if self._squared else unit
