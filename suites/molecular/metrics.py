"""Errors of energies, forces and stresses, and their units."""

from __future__ import annotations

import numpy as np

from suites.molecular.units import convert, in_ev, pressure_in_ev

#: What follows the unit of energy in the unit of an error.
_PER = {
    "MAE_E": "",
    "RMSE_E": "",
    "MAE_E_atom": "/atom",
    "RMSE_E_atom": "/atom",
    "MAE_F": "/Å",
    "RMSE_F": "/Å",
    "MAE_stress": "/Å³",
    "RMSE_stress": "/Å³",
}

#: What follows the name of an error under the statistics of a batch instead of the running ones.
BATCH_STATISTICS = "_batch_statistics"
#: The errors that are also given so.
UNDER_BATCH_STATISTICS = ("MAE_E", "MAE_E_atom", "MAE_F", "RMSE_E", "RMSE_F")

#: What follows the name of a stress's error in GPa.
_GPA = "_GPa"
#: Metrics without a unit.
_SHARES = ("EFwT", "cos_F")

#: Thresholds of EFwT, in eV and eV/Å (Chanussot et al. 2021, arXiv:2010.09990).
ENERGY_THRESHOLD = 0.02
FORCE_THRESHOLD = 0.03


def force_and_energy_errors(
    energies: np.ndarray,
    predicted_energies: np.ndarray,
    forces: np.ndarray,
    predicted_forces: np.ndarray,
    n_atoms: np.ndarray,
    energy_unit: str,
) -> dict[str, float]:
    """Errors of a prediction on at least one frame.

    ``MAE_E``, ``RMSE_E``: of the energy of a frame. ``MAE_E_atom``, ``RMSE_E_atom``: of the energy
    divided by the frame's number of atoms. ``MAE_F``, ``RMSE_F``: of the forces, over all
    components. Each also, unless that is `energy_unit`, with ``_kcal`` attached in kcal/mol(/Å) and
    with ``_eV`` in eV(/Å).

    ``EFwT``: share of frames with an energy error of at most 0.02 eV and no force component
    wrong by more than 0.03 eV/Å, the Open Catalyst Project's "energy and forces within threshold"
    (Chanussot et al. 2021, arXiv:2010.09990; its code wants errors strictly below).

    ``cos_F``: mean over atoms of the cosine of the angle between predicted and true force. Atoms
    whose true force is zero are left out (nan if that are all); where only the predicted one is,
    the cosine counts as 0.

    A prediction that is not finite anywhere makes the metrics that depend on it nan.

    Args:
        energies: (frames,) true energies, in `energy_unit`.
        predicted_energies: The same shape and unit.
        forces: (atoms, 3) true forces, frame after frame, in `energy_unit` / Å.
        predicted_forces: The same shape and unit.
        n_atoms: (frames,) atoms of each frame.
        energy_unit: One of `suites.molecular.units.ENERGY_UNITS`.

    Raises:
        BadInput: The unit is unknown.
        ValueError: The shapes do not fit each other.
    """
    frames, atoms = len(n_atoms), int(n_atoms.sum())
    shapes = [array.shape for array in (energies, predicted_energies, forces, predicted_forces)]
    if shapes != [(frames,), (frames,), (atoms, 3), (atoms, 3)]:
        raise ValueError(f"the shapes {shapes} do not fit {frames} frames and {atoms} atoms")

    with np.errstate(over="ignore", invalid="ignore"):
        energy_error = _finite_or_nan(predicted_energies) - energies
        force_error = _finite_or_nan(predicted_forces) - forces
        errors = {"E": energy_error, "E_atom": energy_error / n_atoms, "F": force_error}
        metrics: dict[str, float] = {}
        for name, error in errors.items():
            metrics[f"MAE_{name}"] = float(np.mean(np.abs(error)))
            metrics[f"RMSE_{name}"] = float(np.sqrt(np.mean(error**2)))
        own = dict(metrics)
        for suffix, unit in _other_units(energy_unit).items():
            factor = convert(energy_unit, unit)
            metrics |= {f"{name}_{suffix}": value * factor for name, value in own.items()}
        metrics["EFwT"] = _within_thresholds(
            energy_error, force_error, n_atoms, convert(energy_unit, "eV")
        )
        metrics["cos_F"] = _mean_cosine(_finite_or_nan(predicted_forces), forces)
    return metrics


def stress_errors(
    stresses: np.ndarray, predicted_stresses: np.ndarray, energy_unit: str
) -> dict[str, float]:
    """``MAE_stress`` and ``RMSE_stress`` over the nine components of at least one frame's stress.

    Nine and not Voigt's six, so that a rotation does not change them (RMSE). Each also with
    ``_kcal`` or ``_eV`` attached like the errors of `force_and_energy_errors`, and with ``_GPa``.

    Args:
        stresses: (frames, 3, 3), in `energy_unit` / Å³.
        predicted_stresses: The same shape and unit; where it is not finite, the errors are nan.
        energy_unit: One of `suites.molecular.units.ENERGY_UNITS`.

    Raises:
        BadInput: The unit is unknown.
        ValueError: The shapes differ.
    """
    if stresses.shape != predicted_stresses.shape:
        raise ValueError(f"the shapes {stresses.shape} and {predicted_stresses.shape} differ")
    with np.errstate(over="ignore", invalid="ignore"):
        error = _finite_or_nan(predicted_stresses) - stresses
        own = {
            "MAE_stress": float(np.mean(np.abs(error))),
            "RMSE_stress": float(np.sqrt(np.mean(error**2))),
        }
    factors = {s: convert(energy_unit, unit) for s, unit in _other_units(energy_unit).items()}
    factors[_GPA.removeprefix("_")] = in_ev(energy_unit) / pressure_in_ev("GPa")
    others = {f"{k}_{suffix}": v * by for suffix, by in factors.items() for k, v in own.items()}
    return own | others


def unit_of(metric: str, energy_unit: str) -> str:
    """Unit of a metric of this module, ``"1"`` if it has none.

    Args:
        metric: Its name; ``train_``, ``val_`` and ``unseen_`` before it are ignored, and behind it
            ``_batch_statistics``, the name of a further test set (``@far``) and that of a group of
            frames (``[slab]``).
        energy_unit: Unit of the labels' energies.

    Raises:
        KeyError: No metric of labels in that unit has this name.
    """
    units = dict.fromkeys(_SHARES, "1")
    for name, per in _PER.items():
        units[name] = energy_unit + per
        for suffix, unit in _other_units(energy_unit).items():
            units[f"{name}_{suffix}"] = unit + per
    units |= {f"{name}{_GPA}": "GPa" for name, per in _PER.items() if per == "/Å³"}
    own = metric.partition("[")[0].partition("@")[0].removesuffix(BATCH_STATISTICS)
    part, _, name = own.partition("_")
    return units[name if part in ("train", "val", "unseen") else own]


def _other_units(energy_unit: str) -> dict[str, str]:
    """Suffix and unit of the errors that are given in another unit than the labels'."""
    both = {"eV": "eV", "kcal": "kcal/mol"}
    return {suffix: unit for suffix, unit in both.items() if unit != energy_unit}


def _finite_or_nan(prediction: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(prediction), prediction, np.nan)


def _within_thresholds(
    energy_error: np.ndarray, force_error: np.ndarray, n_atoms: np.ndarray, in_ev: float
) -> float:
    first = np.cumsum(n_atoms) - n_atoms
    energy = np.abs(energy_error) * in_ev
    force = np.maximum.reduceat(np.abs(force_error).max(axis=1), first) * in_ev
    if np.isnan(energy).any() or np.isnan(force).any():
        return float("nan")
    return float(np.mean((energy <= ENERGY_THRESHOLD) & (force <= FORCE_THRESHOLD)))


def _mean_cosine(predicted: np.ndarray, true: np.ndarray) -> float:
    known = true.any(axis=1)
    predicted, true = predicted[known], true[known]
    if not len(true):
        return float("nan")
    norms = np.linalg.norm(predicted, axis=1) * np.linalg.norm(true, axis=1)
    products = np.sum(predicted * true, axis=1)
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms != 0)
    return float(np.mean(cosines))
