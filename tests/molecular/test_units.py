"""Units: conversions against ASE's constants, names in files, and names that are none."""

from __future__ import annotations

from collections.abc import Callable

import ase.units
import pytest

from bench.text.errors import BadInput
from suites.molecular import units


@pytest.mark.parametrize(
    ("unit", "in_ase"),
    [
        ("eV", ase.units.eV),
        ("meV", ase.units.eV / 1000),
        ("kcal/mol", ase.units.kcal / ase.units.mol),
        ("kJ/mol", ase.units.kJ / ase.units.mol),
        ("Hartree", ase.units.Hartree),
        ("Rydberg", ase.units.Rydberg),
    ],
)
def test_energies_agree_with_ase(unit: str, in_ase: float) -> None:
    assert units.in_ev(unit) == in_ase


@pytest.mark.parametrize(
    ("unit", "in_ase"),
    [("Ang", ase.units.Angstrom), ("Bohr", ase.units.Bohr), ("nm", ase.units.nm)],
)
def test_lengths_agree_with_ase(unit: str, in_ase: float) -> None:
    assert units.in_angstrom(unit) == in_ase


def test_known_conversions() -> None:
    assert units.convert("kcal/mol", "kJ/mol") == pytest.approx(4.184, rel=1e-12)
    assert units.convert("Hartree", "kcal/mol") == pytest.approx(627.5095, rel=1e-6)
    assert units.convert("Hartree", "Rydberg") == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("source", units.ENERGY_UNITS)
@pytest.mark.parametrize("target", units.ENERGY_UNITS)
def test_there_and_back(source: str, target: str) -> None:
    product = units.convert(source, target) * units.convert(target, source)
    assert product == pytest.approx(1.0, rel=1e-14)


def test_all_units_are_listed() -> None:
    for unit in units.ENERGY_UNITS:
        assert units.in_ev(unit) > 0
    for unit in units.LENGTH_UNITS:
        assert units.in_angstrom(unit) > 0


def test_names_of_files() -> None:
    assert units.energy_unit("KCAL / mol") == "kcal/mol"
    assert units.energy_unit("Ha") == "Hartree"
    assert units.energy_unit("ev") == "eV"
    assert units.length_unit("Angstrom") == "Ang"
    assert units.length_unit("A") == "Ang"
    assert units.length_unit("a0") == "Bohr"
    assert units.length_unit("bohr") == "Bohr"


def test_every_unit_names_itself() -> None:
    assert tuple(map(units.energy_unit, units.ENERGY_UNITS)) == units.ENERGY_UNITS
    assert tuple(map(units.length_unit, units.LENGTH_UNITS)) == units.LENGTH_UNITS


@pytest.mark.parametrize("function", [units.in_ev, units.energy_unit])
def test_unknown_energy_names_the_nearest(function: Callable[[str], object]) -> None:
    with pytest.raises(BadInput, match=r"'kcal/moll'.*mean 'kcal/mol'.*Hartree"):
        function("kcal/moll")


@pytest.mark.parametrize("function", [units.in_angstrom, units.length_unit])
def test_unknown_length_lists_the_allowed(function: Callable[[str], object]) -> None:
    with pytest.raises(BadInput, match=r"unit of length 'foot'.*Ang, Bohr, nm"):
        function("foot")


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("eV/Ang", "eV/Ang", 1.0),
        ("hartree / Bohr", "Hartree/Bohr", 51.42206747),
        ("Ha/a0", "Hartree/Bohr", 51.42206747),
        ("kcal/mol/Å", "kcal/mol/Ang", 0.0433641),
        ("kJ/mol/nm", "kJ/mol/nm", 0.00103642696),
        ("Ry/bohr", "Rydberg/Bohr", 25.71103374),
    ],
)
def test_units_of_force(text: str, unit: str, size: float) -> None:
    """The sizes in eV/Å are CODATA's."""
    assert units.force_unit(text) == unit
    assert units.force_in(unit, "eV") == pytest.approx(size, rel=1e-6)
    assert units.force_in(unit, "kcal/mol") * units.in_ev("kcal/mol") == pytest.approx(
        size, rel=1e-6
    )


def test_every_unit_of_force_names_itself() -> None:
    assert tuple(map(units.force_unit, units.FORCE_UNITS)) == units.FORCE_UNITS


@pytest.mark.parametrize("text", ["hartree/bor", "hartee/Bohr", "Hartree*Bohr", "eV", "/"])
def test_an_unknown_unit_of_force_lists_the_allowed(text: str) -> None:
    with pytest.raises(BadInput, match=r"unknown unit of force .*Hartree/Bohr.*eV/Ang"):
        units.force_unit(text)
