"""The unit of total energies of all electrons, told by the elements.

A molecule's total energy is that of its atoms to a few per mille, and units of energy are at least
a factor of 2 apart. Energies of valence electrons only, or less a reference, match none.
"""

from __future__ import annotations

import numpy as np

from suites.molecular import units
from suites.molecular.data.frames import Frames

#: Energies of the atoms from hydrogen to argon in Hartree, not relativistic (S. J. Chakravorty et
#: al., Phys. Rev. A 47, 3649, 1993).
ATOMS = (
    *(-0.5, -2.9037, -7.4781, -14.6674, -24.6539, -37.8450, -54.5892, -75.0673, -99.7339),
    *(-128.9376, -162.2546, -200.053, -242.346, -289.359, -341.259, -398.110, -460.148, -527.540),
)

#: Methods, binding and relativity change a total energy by less than this.
_TOLERANCE = 0.02


def all_electron_unit(frames: Frames) -> str | None:
    """The unit in which the energies of all frames are those of all electrons.

    None where they are so in no unit, or an element is beyond argon.
    """
    elements, counts = frames.composition()
    if elements.max() > len(ATOMS):
        return None
    hartree = counts @ np.array([ATOMS[element - 1] for element in elements])
    ratios = frames.energies / hartree
    for unit in units.ENERGY_UNITS:
        size = units.convert("Hartree", unit)
        if (np.abs(ratios / size - 1) < _TOLERANCE).all():
            return unit
    return None
