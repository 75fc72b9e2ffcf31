"""Energies and forces that contradict each other, in unit or sign.

Forces are −∂E/∂R, so between two similar frames the energy changes by the forces' work. Where these
differ by one factor, a unit is not what it is taken for. Where no frames are similar, the energies
of the elements tell the unit of energies of all electrons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from suites.molecular import units
from suites.molecular.data.all_electrons import all_electron_unit
from suites.molecular.data.frames import Frames
from suites.molecular.data.similar_frames import similar_pairs

#: Fewest pairs that tell anything.
_PAIRS = 8
#: Least correlation of work and energy that tells anything.
_CORRELATION = 0.9
#: A factor that the quartiles of the pairs put farther than this from 1 is none of noise: that of
#: thermal frames at 500 K is right to 5 %.
_TOLERANCE = 1.2
#: A cause explains a factor to this.
_EXPLAINED = 1.12


@dataclass(frozen=True)
class Assumed:
    """The units that a file was taken to have.

    Attributes:
        energy: Of its energies, one of `units.ENERGY_UNITS`.
        length: Of its positions, one of `units.LENGTH_UNITS`.
        force: Of its forces, one of `units.FORCE_UNITS`.
    """

    energy: str
    length: str
    force: str


def label_warnings(frames: Frames, assumed: Assumed) -> list[str]:
    """Sentences about labels that contradict each other, or the elements.

    Args:
        frames: The frames as they were read.
        assumed: The units that the file was taken to have.
    """
    return [*_energy_warning(frames), *_force_warning(frames, assumed)]


def _energy_warning(frames: Frames) -> list[str]:
    found = all_electron_unit(frames)
    if found in (None, frames.energy_unit):
        return []
    return [
        f"the energies are those of the elements with all their electrons in {found}, and are taken"
        f" for {frames.energy_unit} (a factor of {units.convert(frames.energy_unit, found):.4g}):"
        f" --energy-unit {found}?"
    ]


def force_factor(frames: Frames) -> tuple[float, int] | None:
    """What the forces are of those that the energies' differences say, and of how many pairs.

    1 where energies and forces belong together; None where too few frames are similar, or the
    similar ones are too far apart to tell.
    """
    found = similar_pairs(frames)
    half = max(_PAIRS, len(found.energy) // 2)
    work, energy = found.work[:half], found.energy[:half]
    some = (work != 0) & (energy != 0)
    work, energy = work[some], energy[some]
    if len(energy) < _PAIRS:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        correlation = work @ energy / np.sqrt((work @ work) * (energy @ energy))
        low, factor, high = np.quantile(work / energy, [0.25, 0.5, 0.75])
    # Not a number where labels are as large as numbers can be.
    if not abs(correlation) >= _CORRELATION or np.sign(low) != np.sign(high):
        return None
    near_one = low < _TOLERANCE and high > 1 / _TOLERANCE
    return (1.0 if near_one else float(factor)), len(energy)


def _force_warning(frames: Frames, assumed: Assumed) -> list[str]:
    found = force_factor(frames)
    if found is None or found[0] == 1.0:
        return []
    factor, pairs = found
    causes = _causes(factor, assumed, int(frames.n_atoms.max()))
    said = f": as of {' or '.join(causes)}" if causes else ", and no pair of units explains that"
    return [
        f"energies and forces contradict each other: the forces are {factor:.3g} times what the"
        f" energies of {pairs} pairs of similar frames ask for{said}"
    ]


def _causes(factor: float, assumed: Assumed, atoms: int) -> list[str]:
    """What explains a factor, the likeliest two, in words.

    Args:
        factor: Of the forces.
        assumed: The units that the file was taken to have.
        atoms: Of the largest frame.
    """
    sign = "" if factor > 0 else "gradients, which have the other sign, and "
    found = []
    for ratio, changes, text in _candidates(assumed, atoms, factor < 0):
        off = abs(np.log(abs(factor) / ratio))
        if off <= np.log(_EXPLAINED):
            # A cause of one change is likelier than one of two, and few have labels in meV.
            likely = off + 0.05 * changes + 0.1 * ("meV" in text)
            found.append((likely, f"{sign}{text}" if changes else text))
    found.sort()
    # One that is much less likely than another explains nothing.
    return [text for likely, text in found[:2] if likely < found[0][0] + 0.04]


def _candidates(assumed: Assumed, atoms: int, negative: bool) -> Iterator[tuple[float, int, str]]:
    """Factors of the forces, the number of units that are wrong, and what is wrong."""
    if negative:
        yield 1.0, 0, "gradients taken for forces, which have the other sign"
    yield float(atoms), 1, "energies per atom taken for those of a frame"
    keep = f"--force-unit {assumed.force}"
    for unit in units.ENERGY_UNITS:
        text = f"energies in {unit} taken for {assumed.energy} (--energy-unit {unit} {keep})"
        if unit != assumed.energy:
            yield units.convert(unit, assumed.energy), 1, text
    for unit in units.LENGTH_UNITS:
        text = f"positions in {unit} taken for {assumed.length} (--length-unit {unit} {keep})"
        if unit != assumed.length:
            yield units.in_angstrom(assumed.length) / units.in_angstrom(unit), 1, text
    taken = assumed.force.rpartition("/")[::2]
    for unit in units.FORCE_UNITS:
        changes = sum(a != b for a, b in zip(unit.rpartition("/")[::2], taken, strict=True))
        text = f"forces in {unit} taken for {assumed.force} (--force-unit {unit})"
        if changes:
            yield units.force_in(assumed.force, "eV") / units.force_in(unit, "eV"), changes, text
