"""Errors of energies and forces: numbers by hand, units, thresholds, values that are not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import units

from bench.text.errors import BadInput
from suites.molecular.metrics import force_and_energy_errors, unit_of

NAMES = ("MAE_E", "RMSE_E", "MAE_E_atom", "RMSE_E_atom", "MAE_F", "RMSE_F")
N_ATOMS = np.array([2, 1])
ENERGIES = np.array([10.0, -5.0])
FORCES = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])


def errors(
    energies: np.ndarray = ENERGIES, forces: np.ndarray = FORCES, unit: str = "eV"
) -> dict[str, float]:
    return force_and_energy_errors(ENERGIES, energies, FORCES, forces, N_ATOMS, unit)


def within(energy_error: float, force_error: float, unit: str = "eV") -> float:
    """EFwT of one frame with a true energy and true forces of zero."""
    forces = np.zeros((2, 3))
    predicted = forces.copy()
    predicted[1, 2] = -force_error
    found = force_and_energy_errors(
        np.zeros(1), np.array([energy_error]), forces, predicted, np.array([2]), unit
    )
    return found["EFwT"]


def test_errors_by_hand() -> None:
    predicted = FORCES + np.array([[0, 0, 0], [0, 0, 3], [-3, 0, 0]])
    # Energies are wrong by 4 and −1, and by 2 and −1 per atom; two of nine components by 3.
    found = errors(ENERGIES + np.array([4, -1]), predicted)
    assert {name: found[name] for name in NAMES} == pytest.approx(
        {
            "MAE_E": 2.5,
            "RMSE_E": math.sqrt(8.5),
            "MAE_E_atom": 1.5,
            "RMSE_E_atom": math.sqrt(2.5),
            "MAE_F": 6 / 9,
            "RMSE_F": math.sqrt(2),
        }
    )
    # Cosines 1, 2/√13 and 1/√2.
    assert found["cos_F"] == pytest.approx((1 + 2 / math.sqrt(13) + 1 / math.sqrt(2)) / 3)


def test_a_perfect_prediction() -> None:
    found = errors()
    assert found.pop("EFwT") == found.pop("cos_F") == 1
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ("unit", "suffix", "factor"),
    [
        ("eV", "_kcal", units.mol / units.kcal),
        ("kcal/mol", "_eV", units.kcal / units.mol),
    ],
)
def test_errors_also_in_the_other_unit(unit: str, suffix: str, factor: float) -> None:
    found = errors(ENERGIES + np.array([0.5, -0.25]), FORCES * 1.5, unit)
    assert set(found) == {*NAMES, *(name + suffix for name in NAMES), "EFwT", "cos_F"}
    for name in NAMES:
        assert found[name] > 0
        assert found[name + suffix] == pytest.approx(found[name] * factor, rel=1e-12)


def test_labels_in_neither_unit_have_errors_in_both() -> None:
    found = errors(ENERGIES + np.array([0.5, -0.25]), FORCES * 1.5, "Hartree")
    assert len(found) == 3 * len(NAMES) + 2
    for name in NAMES:
        assert found[f"{name}_eV"] == pytest.approx(found[name] * units.Ha, rel=1e-12)
        kcal = found[name] * units.Ha * units.mol / units.kcal
        assert found[f"{name}_kcal"] == pytest.approx(kcal, rel=1e-12)
        assert unit_of(f"val_{name}_kcal", "Hartree").startswith("kcal/mol")


def test_energies_lose_no_digits_at_the_size_of_md17() -> None:
    true = np.array([-406_000.0, -406_001.0])
    found = force_and_energy_errors(true, true + 1e-3, FORCES, FORCES, N_ATOMS, "kcal/mol")
    assert found["MAE_E"] == pytest.approx(1e-3, rel=1e-6)


# --- within thresholds ------------------------------------------------------------------------


def test_thresholds_are_met_at_exactly_their_value() -> None:
    assert within(0.02, 0.03) == within(-0.02, -0.03) == 1
    assert within(np.nextafter(0.02, 1), 0) == 0
    assert within(0, np.nextafter(0.03, 1)) == 0


def test_thresholds_are_in_ev_whatever_the_unit() -> None:
    per_kcal = units.mol / units.kcal
    assert within(0.019 * per_kcal, 0.029 * per_kcal, "kcal/mol") == 1
    assert within(0.021 * per_kcal, 0, "kcal/mol") == 0
    assert within(0, 0.031 * per_kcal, "kcal/mol") == 0
    assert within(19, 29, "meV") == 1


def test_one_wrong_component_is_the_fault_of_its_own_frame() -> None:
    for atom, share in ((0, 0.5), (1, 0.5), (2, 0.5)):
        predicted = FORCES.copy()
        predicted[atom, 1] += 0.04
        assert errors(forces=predicted)["EFwT"] == share
    # Every component just within, the vector's length beyond: components are what counts.
    assert errors(forces=FORCES + 0.029)["EFwT"] == 1
    assert errors(ENERGIES + np.array([0, 1]), FORCES + 0.029)["EFwT"] == 0.5


# --- cosine -----------------------------------------------------------------------------------


def test_the_cosine_ignores_lengths_and_sees_signs() -> None:
    assert errors(forces=7 * FORCES)["cos_F"] == pytest.approx(1)
    assert errors(forces=-0.1 * FORCES)["cos_F"] == pytest.approx(-1)


def test_atoms_without_a_true_force_have_no_cosine() -> None:
    true = FORCES * [[1], [0], [1]]
    predicted = np.array([[2.0, 0, 0], [9, 9, 9], [1, 0, 0]])
    found = force_and_energy_errors(ENERGIES, ENERGIES, true, predicted, N_ATOMS, "eV")
    assert found["cos_F"] == pytest.approx((1 + 0) / 2)
    none = force_and_energy_errors(ENERGIES, ENERGIES, 0 * true, predicted, N_ATOMS, "eV")
    assert math.isnan(none["cos_F"])


def test_a_predicted_force_of_zero_has_the_cosine_zero() -> None:
    assert errors(forces=FORCES * [[0], [1], [1]])["cos_F"] == pytest.approx(2 / 3)


# --- not finite -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_predictions_that_are_not_finite_give_nan(value: float) -> None:
    energies, forces = ENERGIES.copy(), FORCES.copy()
    energies[0], forces[0, 0] = value, value
    both = errors(energies, forces)
    assert all(math.isnan(number) for number in both.values())
    only_energies = errors(energies)
    finite = {name for name, number in only_energies.items() if not math.isnan(number)}
    assert finite == {"MAE_F", "RMSE_F", "MAE_F_kcal", "RMSE_F_kcal", "cos_F"}
    only_forces = errors(forces=forces)
    finite = {name for name, number in only_forces.items() if not math.isnan(number)}
    assert finite == {name + suffix for name in NAMES[:4] for suffix in ("", "_kcal")}


@pytest.mark.filterwarnings("error")
def test_an_enormous_prediction_is_only_a_large_error() -> None:
    found = errors(ENERGIES * 1e200, FORCES * 1e100)
    assert found["MAE_E"] == pytest.approx(7.5e200)
    assert found["EFwT"] == 0


# --- misuse and units -------------------------------------------------------------------------


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 2 frames and 3 atoms"):
        errors(ENERGIES[:, None])
    with pytest.raises(ValueError, match="do not fit"):
        errors(forces=FORCES[:1])


def test_an_unknown_unit() -> None:
    with pytest.raises(BadInput, match=r"unknown unit of energy 'kcal'; did you mean 'kcal/mol'"):
        errors(unit="kcal")


@pytest.mark.parametrize("unit", ["eV", "kcal/mol", "Hartree"])
def test_every_metric_has_a_unit(unit: str) -> None:
    for name in errors(unit=unit):
        assert unit_of(name, unit) == unit_of(f"train_{name}", unit) == unit_of(f"val_{name}", unit)


@pytest.mark.parametrize(
    ("metric", "energy_unit", "expected"),
    [
        ("MAE_E", "kcal/mol", "kcal/mol"),
        ("RMSE_F", "kcal/mol", "kcal/mol/Å"),
        ("MAE_E_atom", "kcal/mol", "kcal/mol/atom"),
        ("MAE_E_eV", "kcal/mol", "eV"),
        ("RMSE_E_atom_eV", "kcal/mol", "eV/atom"),
        ("MAE_F_kcal", "eV", "kcal/mol/Å"),
        ("val_MAE_F", "eV", "eV/Å"),
        ("EFwT", "eV", "1"),
        ("train_cos_F", "meV", "1"),
    ],
)
def test_units(metric: str, energy_unit: str, expected: str) -> None:
    assert unit_of(metric, energy_unit) == expected


@pytest.mark.parametrize("metric", ["loss", "heldout_loss", "MAE_E_eV", "EFwT_kcal", "MAE"])
def test_other_names_have_no_unit_here(metric: str) -> None:
    with pytest.raises(KeyError):
        unit_of(metric, "eV")
