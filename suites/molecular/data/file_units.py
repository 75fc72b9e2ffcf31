"""The units of files that ASE reads: given, stated by the file, or ASE's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.text.errors import BadInput
from suites.molecular import units


@dataclass(frozen=True)
class FileUnits:
    """Unit of energies; size of the units of length in Å and of force in `energy` / Å."""

    energy: str
    length: float
    force: float


def given_units(
    path: Path, energy_unit: str | None, length_unit: str | None, force_unit: str | None
) -> FileUnits:
    if energy_unit is None:
        raise BadInput(
            f"{path}: the file does not say its units; give that of its energies"
            f" (allowed: {', '.join(units.ENERGY_UNITS)})"
        )
    units.in_ev(energy_unit)
    length = units.in_angstrom(length_unit or "Ang")
    force = 1.0 / length if force_unit is None else units.force_in(force_unit, energy_unit)
    return FileUnits(energy_unit, length, force)


def program_units(path: Path, form: str | None, *asked: str | None) -> FileUnits:
    """The units of ASE, which converts programs' outputs; what was `asked` must be the same.

    Args:
        path: The file.
        form: ASE's name of its format.
        asked: Units of energies, positions, forces and stresses, None where nothing was said.

    Raises:
        BadInput: It is not.
    """
    for what, option, unit, own in zip(
        ("energies", "positions", "forces", "stresses"),
        ("energy", "length", "force", "stress"),
        asked,
        ("eV", "Ang", "eV/Ang", "eV/Ang^3"),
        strict=True,
    ):
        if unit not in (None, own):
            raise BadInput(
                f"{path}: --{option}-unit {unit}: ASE reads {form} and converts its {what} to"
                f" {own} (allowed: {own}, or no --{option}-unit)"
            )
    return FileUnits("eV", 1.0, 1.0)


def stated_units(
    path: Path,
    metadata: Mapping[str, Any],
    energy_key: str,
    forces_key: str,
    energy_unit: str | None,
    length_unit: str | None,
    force_unit: str | None,
) -> FileUnits:
    """The units of a SchNetPack database; units that were asked for must be the same.

    Raises:
        BadInput: They are not, or one is unknown.
    """
    properties = metadata["_property_unit_dict"]
    try:
        energy = units.energy_unit(str(properties[energy_key]))
        length = units.length_unit(str(metadata.get("_distance_unit")))
        # Energy per length, either of which may differ from the others'.
        per_energy, _, per_length = str(properties[forces_key]).rpartition("/")
        force = units.convert(units.energy_unit(per_energy), energy)
        force /= units.in_angstrom(units.length_unit(per_length))
    except BadInput as error:
        raise BadInput(f"{path}: in the database's metadata: {error}") from error
    for what, own, asked in (
        ("energies", energy, energy_unit),
        ("positions", length, length_unit),
    ):
        if asked not in (None, own):
            raise BadInput(f"{path}: its {what} are in {own} by its metadata, not in {asked}")
    if force_unit is not None and not math.isclose(force, units.force_in(force_unit, energy)):
        raise BadInput(
            f"{path}: its forces are in {properties[forces_key]} by its metadata, not in"
            f" {force_unit}"
        )
    return FileUnits(energy, units.in_angstrom(length), force)
