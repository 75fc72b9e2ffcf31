"""A potential says which structures are unlike those that it was trained on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from molecular_specs import task

from suites.molecular.calculator import PotentialCalculator
from suites.molecular.compositions import Compositions
from suites.molecular.exported import ExportedPotential
from suites.molecular.task import MolecularTask
from suites.molecular.testing.geometries import frames_of


def alloy(gold: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.numbers[:gold] = 79
    return atoms


def test_a_range_of_alloys() -> None:
    known = Compositions.of(frames_of([alloy(0), alloy(2)]))
    assert known.unlike(frames_of([alloy(1)])) is None
    assert known.unlike(frames_of([alloy(2).repeat((2, 1, 1))])) is None
    reason = str(known.unlike(frames_of([alloy(3)])))
    assert reason == "Cu is 25 % of its atoms, and 50 to 100 % in the training frames"
    assert "Zn" in str(known.unlike(frames_of([Atoms("CuZn", [[0, 0, 0], [2, 0, 0]])])))


def test_one_molecule() -> None:
    water = molecule("H2O")
    known = Compositions.of(frames_of([water, water]))
    assert known.unlike(frames_of([water])) is None
    assert "% of its atoms" in str(known.unlike(frames_of([molecule("H2O2")])))
    two = water + Atoms(water.symbols, water.positions + 3.0)
    assert known.unlike(frames_of([two])) == "it has 6 atoms, and the training frames 3"


def test_an_element_that_is_missing_counts_as_a_share_of_0() -> None:
    known = Compositions.of(frames_of([molecule("H2O"), molecule("CH3OH")]))
    assert known.shares[6] == (0.0, pytest.approx(1 / 6))
    # Hydrogen peroxide has no carbon, as water, but fewer hydrogens than both.
    assert str(known.unlike(frames_of([molecule("H2O2")]))).startswith("H is 50 %")


def test_the_range_of_many_frames_is_read_as_written() -> None:
    known = Compositions.of(frames_of([molecule("H2O"), alloy(1), alloy(2)]))
    assert Compositions.read(known.describe()) == known
    bare = Compositions.of(frames_of([alloy(1)]))
    assert bare.atoms is None
    assert Compositions.read(bare.describe()) == bare


def exported(built: MolecularTask, compositions: Compositions | None) -> ExportedPotential:
    return ExportedPotential(
        net=built.net.eval(),
        scale=built.scale,
        energy_unit=built.energy_unit,
        elements=built.elements,
        cutoff=built.model.size.cutoff,
        dtype=torch.float64,
        title="ethanol",
        compositions=compositions,
    )


def test_the_calculator_warns_once() -> None:
    built = task("schnet:8x1")
    known = Compositions.read(built.description["compositions"])
    calculator = PotentialCalculator(exported(built, known))
    ethanol, water = molecule("CH3CH2OH"), molecule("H2O")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calculator.calculate(ethanol)
    with pytest.warns(UserWarning, match=r"not trained on structures like CH4O: C is 16.7 %"):
        calculator.calculate(molecule("CH3OH"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calculator.calculate(water)
    assert np.isfinite(calculator.results["energy"])


def test_a_file_that_does_not_say_gives_no_warning() -> None:
    calculator = PotentialCalculator(exported(task("schnet:8x1"), None))
    methanol = molecule("CH3OH")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calculator.calculate(methanol)
    assert np.isfinite(calculator.results["energy"])
