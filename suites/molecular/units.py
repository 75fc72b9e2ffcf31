"""Units of energy and length, by ASE's constants (CODATA 2014)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bench.text.errors import BadInput, unknown

#: Names of the units that labels may have.
ENERGY_UNITS = ("eV", "meV", "kcal/mol", "kJ/mol", "Hartree", "Rydberg")
#: Names of the units of pressure that stresses may have, beside an energy per cubed length.
PRESSURE_UNITS = ("eV/Ang^3", "GPa", "kbar")
#: Names of the units that positions may have.
LENGTH_UNITS = ("Ang", "Bohr", "nm")
#: Names of the units that forces may have.
FORCE_UNITS = tuple(f"{energy}/{length}" for energy in ENERGY_UNITS for length in LENGTH_UNITS)

# Other names that data files use (SchNetPack's, sGDML's); in lower case.
_ENERGY_ALIASES = {
    **dict.fromkeys(("ha", "eh", "hartrees"), "Hartree"),
    **dict.fromkeys(("ry", "rydbergs"), "Rydberg"),
    "electronvolt": "eV",
}
_LENGTH_ALIASES = {
    # Unicode has two signs for Å.
    **dict.fromkeys(("a", "å", "\u212b", "angs", "angstrom", "angstroms"), "Ang"),
    **dict.fromkeys(("a0", "bohrs"), "Bohr"),
    **dict.fromkeys(("nanometer", "nanometre"), "nm"),
}

# An energy over a cubed length, in both spellings.
_CUBED = re.compile(r"(?P<energy>.+)/\(?(?P<length>[^/^()]+)\^3\)?")
_THRICE = re.compile(r"(?P<energy>.+)/(?P<length>[^/^]+)/(?P=length)/(?P=length)")


def in_ev(unit: str) -> float:
    """One `unit` of energy in eV.

    Raises:
        BadInput: The unit is none of those known, with the nearest match.
    """
    # Imported here because the command line, which need not start ASE, imports this module.
    from ase import units

    if unit not in ENERGY_UNITS:
        raise unknown("unit of energy", unit, ENERGY_UNITS)
    values = (1.0, 1e-3, units.kcal / units.mol, units.kJ / units.mol, units.Ha, units.Ry)
    return float(dict(zip(ENERGY_UNITS, values, strict=True))[unit])


def convert(source: str, target: str) -> float:
    """Factor that turns a number of `source` into one of `target`.

    Raises:
        BadInput: A unit is unknown.
    """
    return in_ev(source) / in_ev(target)


def in_angstrom(unit: str) -> float:
    """One `unit` of length in Å.

    Raises:
        BadInput: The unit is none of those known, with the nearest match.
    """
    from ase import units

    if unit not in LENGTH_UNITS:
        raise unknown("unit of length", unit, LENGTH_UNITS)
    return float(dict(zip(LENGTH_UNITS, (1.0, units.Bohr, units.nm), strict=True))[unit])


def pressure_in_ev(unit: str) -> float:
    """One `unit` of pressure in eV/Å³.

    Raises:
        BadInput: The unit is none of those known, with the nearest match.
    """
    from ase import units

    if unit not in PRESSURE_UNITS:
        raise unknown("unit of stress", unit, PRESSURE_UNITS)
    values = (1.0, units.GPa, 0.1 * units.GPa)
    return float(dict(zip(PRESSURE_UNITS, values, strict=True))[unit])


def stress_in_ev(text: str) -> float:
    """One unit of stress that a data file calls `text`, in eV/Å³.

    A pressure, or an energy over a cubed length: ``GPa``, ``Hartree/Bohr^3``, ``kcal/mol/Ang**3``,
    ``eV/Å³``, ``eV/Ang/Ang/Ang``. Case and blanks do not count.

    Raises:
        BadInput: It is neither.
    """
    plain = "".join(text.split()).replace("**", "^").replace("³", "^3")
    pressures = {name.lower(): name for name in PRESSURE_UNITS}
    if plain.lower() in pressures:
        return pressure_in_ev(pressures[plain.lower()])
    found = _CUBED.fullmatch(plain) or _THRICE.fullmatch(plain)
    if found is None:
        raise unknown("unit of stress", text, PRESSURE_UNITS)
    try:
        energy, length = energy_unit(found["energy"]), length_unit(found["length"])
    except BadInput:
        raise unknown("unit of stress", text, PRESSURE_UNITS) from None
    return in_ev(energy) / in_angstrom(length) ** 3


def energy_unit(text: str) -> str:
    """The unit of energy that a data file calls `text`; case and blanks do not count.

    Raises:
        BadInput: It is none of those known.
    """
    return _named("unit of energy", text, ENERGY_UNITS, _ENERGY_ALIASES)


def length_unit(text: str) -> str:
    """The unit of length that a data file calls `text`; case and blanks do not count.

    Raises:
        BadInput: It is none of those known.
    """
    return _named("unit of length", text, LENGTH_UNITS, _LENGTH_ALIASES)


def force_unit(text: str) -> str:
    """The unit of force that is meant by `text`, as ``energy/length``: ``Hartree/Bohr``.

    Case and blanks do not count: ``hartree / a0``, ``kcal/mol/Å``, ``ev/angstrom``.

    Raises:
        BadInput: It is no known unit of energy over a known unit of length.
    """
    energy, slash, length = text.rpartition("/")
    if not slash:
        raise unknown("unit of force", text, FORCE_UNITS)
    try:
        return f"{energy_unit(energy)}/{length_unit(length)}"
    except BadInput:
        raise unknown("unit of force", text, FORCE_UNITS) from None


def force_in(unit: str, energy: str) -> float:
    """One `unit` of force, of `FORCE_UNITS`, in the unit `energy` per Å.

    Raises:
        BadInput: A unit is unknown.
    """
    per_energy, _, length = unit.rpartition("/")
    return convert(per_energy, energy) / in_angstrom(length)


def _named(kind: str, text: str, names: Sequence[str], aliases: Mapping[str, str]) -> str:
    found = {**{name.lower(): name for name in names}, **aliases}.get("".join(text.lower().split()))
    if found is None:
        raise unknown(kind, text, names)
    return found
