"""Reference energies of elements, from the isolated atoms of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames

#: Where the reference energies of the elements come from.
REFERENCES = ("isolated", "fitted")

#: Isolated atoms of one element whose energies differ by more, relatively, are different atoms.
_SAME = 1e-6


def isolated_references(frames: Frames) -> dict[int, float]:
    """The energy of an isolated atom of each element that the file has one of, in its unit.

    Raises:
        BadInput: Those of one element have different energies.
    """
    atoms: Sequence[tuple[int, float]] = frames.reading.isolated if frames.reading else ()
    found: dict[int, float] = {}
    for element, energy in atoms:
        if not np.isclose(found.setdefault(element, energy), energy, rtol=_SAME):
            from ase.data import chemical_symbols

            raise BadInput(
                f"{frames.source}: isolated atoms of {chemical_symbols[element]} have the energies"
                f" {found[element]:.10g} and {energy:.10g} {frames.energy_unit}: keep one, or"
                " --references fitted takes none"
            )
    return dict(sorted(found.items()))


def given_references(settings: Mapping[str, Any]) -> dict[int, float]:
    """The energies of isolated atoms, by atomic number, that a spec's settings hold."""
    found = settings.get("references")
    return {int(z): float(e) for z, e in found.items()} if isinstance(found, Mapping) else {}


def element_references(training: Frames, isolated: Mapping[int, float]) -> dict[int, float]:
    """Reference energies of the elements that are known, in the labels' unit.

    Those of isolated atoms stand; the others are fitted to what these leave of the energies by
    least squares over the training frames' compositions.

    Args:
        training: The frames that may be known.
        isolated: Energies of isolated atoms by atomic number.
    """
    elements, counts = training.composition()
    given = np.array([isolated.get(int(z), 0.0) for z in elements])
    open_ = np.array([int(z) not in isolated for z in elements])
    found = given.copy()
    if open_.any():
        left = training.energies - counts @ given
        found[open_] = np.linalg.lstsq(counts[:, open_].astype(float), left, rcond=None)[0]
    return {**isolated, **{int(z): float(e) for z, e in zip(elements, found, strict=True)}}
