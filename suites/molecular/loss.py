"""The energy and force loss of a protocol."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from suites.molecular.protocols import Protocol


class EnergyForceLoss:
    """w_E·ε_E + w_F·ε_F with ε the mean absolute or mean squared error.

    Energies count per frame, forces per component.

    Args:
        protocol: Weights.
        error: ε, one of `suites.molecular.protocols.ERRORS`.
        factor: One unit of the network, in the labels' unit.
        loss_unit: The unit in which the minimised loss counts errors, likewise.
        energy_unit: The labels' unit.
    """

    def __init__(
        self, protocol: Protocol, error: str, factor: float, loss_unit: float, energy_unit: str
    ) -> None:
        self._squared = error == "MSE"
        power = 2 if self._squared else 1
        self._weights = (protocol.energy_weight, protocol.force_weight)
        self._minimised = [weight * (factor / loss_unit) ** power for weight in self._weights]
        self._unit = factor**power
        self._energy_unit = energy_unit
        self.names = (f"{error}_E_batch", f"{error}_F_batch")

    def __call__(
        self,
        energy_errors: Tensor,
        force_errors: Tensor,
        share: tuple[float, float] = (1.0, 1.0),
    ) -> dict[str, Tensor]:
        """Loss terms in the labels' unit, detached, and ``loss`` in its own, with its graph.

        Args:
            energy_errors: (frames,) prediction less label, in the network's unit.
            force_errors: (atoms, 3), likewise.
            share: Factors on the terms: of a part of a batch, its fractions of frames and atoms.
        """
        errors = (energy_errors, force_errors)
        terms = [e.square().mean() if self._squared else e.abs().mean() for e in errors]
        if share != (1.0, 1.0):
            terms = [term * part for term, part in zip(terms, share, strict=True)]
        loss = self._minimised[0] * terms[0] + self._minimised[1] * terms[1]
        named = zip(self.names, terms, strict=True)
        return {"loss": loss, **{name: term.detach() * self._unit for name, term in named}}

    def of_errors(self, energy_errors: np.ndarray, force_errors: np.ndarray) -> float:
        """The loss of errors in the labels' unit, in that unit: comparable between rescalings."""
        errors = (energy_errors, force_errors)
        with np.errstate(over="ignore", invalid="ignore"):
            terms = [float(np.mean(e**2 if self._squared else np.abs(e))) for e in errors]
        return self._weights[0] * terms[0] + self._weights[1] * terms[1]

    def unit(self, name: str) -> str | None:
        """Unit of a loss term; ``None`` if it is none."""
        if name in ("loss", "heldout_loss", "test_loss", "unseen_loss"):
            return "weighted"
        if name not in self.names:
            return None
        unit = self._energy_unit if name == self.names[0] else f"{self._energy_unit}/Å"
        return f"({unit})²" if self._squared else unit
