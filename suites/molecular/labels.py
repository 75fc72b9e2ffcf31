"""Energy labels: reference energies per element, and the unit that the network predicts in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.techniques.offset import make_offset
from bench.techniques.rescaling import LabelStatistics, make_scale
from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames
from suites.molecular.references import element_references

#: What brings a GFN2-xTB energy, which is of valence electrons only, to the magnitude of MD17's:
#: kcal/mol for each atom. The energies of the free atoms at MD17's level (PBE+vdW-TS, all
#: electrons; as in SchNetPack's MD17 data set) less GFN2-xTB's of the free atoms, both in their
#: ground states. Ethanol so comes to −97 200 kcal/mol; forces are unchanged.
TOTAL_ENERGY_KCAL_MOL: Mapping[int, float] = {
    1: -66.60,
    6: -22497.28,
    7: -32584.29,
    8: -44705.10,
}


def with_total_energies(frames: Frames) -> Frames:
    """GFN2-xTB frames with `TOTAL_ENERGY_KCAL_MOL` added for each atom."""
    elements, counts = frames.composition()
    constants = np.array([TOTAL_ENERGY_KCAL_MOL[int(element)] for element in elements])
    return replace(frames, energies=frames.energies + counts @ constants)


@dataclass(frozen=True)
class LabelScale:
    """The network predicts ``(E − Σ_atoms e_element − offset) / factor``, and ``F / factor``.

    Attributes:
        factor: C.
        offset: In the labels' unit.
        elements: e of each element, by atomic number, in the labels' unit.
        loss_unit: The loss counts errors in this many of the labels' units; ``None``: in C.
    """

    factor: float
    offset: float
    elements: Mapping[int, float]
    loss_unit: float | None = None

    @property
    def unit(self) -> float:
        """The unit in which the loss counts errors."""
        return self.factor if self.loss_unit is None else self.loss_unit

    def reference(self, frames: Frames) -> np.ndarray:
        """(frames,) float64: the energies that the network does not predict."""
        elements, counts = frames.composition()
        energies = np.array([self.elements.get(int(element), 0.0) for element in elements])
        return counts @ energies + self.offset

    def describe(self) -> dict[str, Any]:
        """JSON values for the record."""
        elements = {str(number): energy for number, energy in self.elements.items()}
        found = {"factor": self.factor, "offset": self.offset, "elements": elements}
        return found if self.loss_unit is None else {**found, "loss_unit": self.loss_unit}

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> LabelScale:
        """The scale that `describe` wrote."""
        elements = {int(number): float(e) for number, e in described["elements"].items()}
        unit = described.get("loss_unit")
        return cls(
            float(described["factor"]),
            float(described["offset"]),
            elements,
            None if unit is None else float(unit),
        )


def label_scale(
    offset: str,
    rescaling: str,
    training: Frames,
    isolated: Mapping[int, float] = MappingProxyType({}),
) -> LabelScale:
    """The scale that an offset and a rescaling give to the energies of the training frames.

    An offset is removed per element: reference energies, which are fitted by least squares to the
    training frames' compositions, stand for the mean energy (and for one composition are it). What
    the offset is beyond the mean stays one. The rescaling acts on what is left.

    Args:
        offset: Choice on the offset axis.
        rescaling: Choice on the rescaling axis.
        training: The frames that may be known.
        isolated: Energies of isolated atoms by atomic number, in the labels' unit, which are the
            references of their elements.

    Raises:
        BadInput: A choice cannot be used, or ``auto`` is to divide by the size of what is left and
            the references leave nothing but rounding.
    """
    statistics = LabelStatistics.of(training.energies, training.energy_unit)
    removed = make_offset(offset, statistics)
    references, beyond, left = {}, 0.0, training.energies
    if removed != 0:
        references = element_references(training, isolated)
        beyond = removed - statistics.mean
        elements, counts = training.composition()
        energies = np.array([references[int(element)] for element in elements])
        left = training.energies - counts @ energies - beyond
    remaining = LabelStatistics.of(left, training.energy_unit, training.energies)
    if removed != 0 and remaining.rms == 0 and rescaling.endswith("=auto"):
        raise BadInput(
            f"{rescaling} divides by the size of the energies without their reference, and the"
            f" references of {len(elements)} elements explain those of {len(training)} training"
            f" frames to rounding ({np.sqrt(np.mean(left**2)):.1e} {training.energy_unit}): give a"
            " number, rescale=C, or keep the energies' unit, rescale=1"
        )
    scale = make_scale(rescaling, remaining)
    return LabelScale(scale.factor, beyond, references, scale.loss_unit)
