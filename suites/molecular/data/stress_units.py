"""The units of a file's stresses and virials: given, stated by the file, or the energies'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.molecular import units
from suites.molecular.data.file_units import FileUnits
from suites.molecular.data.stresses import NO_STRESS, is_virial


def stress_sizes(
    path: Path,
    keys: Sequence[str],
    scale: FileUnits,
    unit: str | None,
    stated: Mapping[str, object],
) -> dict[str, float]:
    """What a number of each key is: a stress in the energies' unit per Å³, a virial in that unit.

    Args:
        path: The file, for messages.
        keys: Names of the stress and of the virial, those that there are.
        scale: The file's units. A stress is by default the energies' unit per cubed unit of length,
            a virial has that of the energies.
        unit: Of the stresses, one of `suites.molecular.units.PRESSURE_UNITS`, if it was given.
        stated: Unit of each property of a SchNetPack database; nothing of another file.

    Raises:
        BadInput: A unit that the database states is unknown, or `unit` contradicts it.
    """
    energy = units.in_ev(scale.energy)
    found = {}
    for key in keys:
        text = str(stated[key]) if key in stated else None
        if is_virial(key):
            found[key] = 1.0 if text is None else _virial(path, key, text) / energy
        else:
            asked = None if unit is None else units.pressure_in_ev(unit)
            own = None if text is None else _stress(path, key, text, asked is None)
            if own and asked and not math.isclose(own, asked, rel_tol=1e-6):
                raise BadInput(
                    f"{path}: its stresses ({key!r}) are in {shortened(str(text))} by its metadata,"
                    f" not in {unit}"
                )
            known = own if own is not None else asked
            found[key] = 1.0 / scale.length**3 if known is None else known / energy
    return found


def require_use(path: Path, keys: Sequence[str], unit: str | None) -> None:
    """Refuse a unit of stresses of a file in which no stress is read.

    Args:
        path: The file, for messages.
        keys: Names of the stress and of the virial, those that are read.
        unit: The unit, if it was given.

    Raises:
        BadInput: There is no stress.
    """
    if unit is None or any(not is_virial(key) for key in keys):
        return
    if keys:
        raise BadInput(
            f"{path}: --stress-unit {unit}: there is no stress but a virial ({keys[0]!r}),"
            " which has the unit of the energies: leave the option out"
        )
    raise BadInput(f"{path}: --stress-unit {unit}: no stress is read of the file")


def _stress(path: Path, key: str, text: str, needed: bool) -> float | None:
    """The unit in eV/Å³; None if it is unknown and not `needed`."""
    try:
        return units.stress_in_ev(text)
    except BadInput as error:
        if not needed:
            return None
        raise BadInput(
            f"{path}: stresses ({key!r}) are in {shortened(text)!r} by its metadata (read are:"
            f" {', '.join(units.PRESSURE_UNITS)} and an energy per cubed length as Hartree/Bohr^3);"
            f" give the unit by --stress-unit, or leave them out by --stress-key {NO_STRESS}"
        ) from error


def _virial(path: Path, key: str, text: str) -> float:
    """The unit in eV."""
    try:
        return units.in_ev(units.energy_unit(text))
    except BadInput as error:
        raise BadInput(
            f"{path}: virials ({key!r}) are in {shortened(text)!r} by its metadata (allowed:"
            f" {', '.join(units.ENERGY_UNITS)}); leave them out by --stress-key {NO_STRESS}"
        ) from error
