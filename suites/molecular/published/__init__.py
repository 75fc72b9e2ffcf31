"""Figures of arXiv 2310.01649 on MD17 and OC22, as published with the paper's code.

``md17.csv``: mean absolute errors of energy (kcal/mol) and forces (kcal/mol/Å) by model,
normalisation, rescaling (C = 10⁶), activation and molecule. ``oc22.csv``: eV and eV/Å (C = 10⁴).
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from importlib.resources import files

from bench.spec.spec import Spec
from bench.spec.training import Training
from bench.task import Figure
from suites.molecular.models.catalogue import ARCHITECTURES, OWN_INITIALIZATION

SOURCE = (
    "K. Lo and D. Huang, On Training Derivative-Constrained Neural Networks, arXiv 2310.01649,"
    " figures of the paper's code repository."
)

#: Adam's, as published.
_EPS = Training(steps=1).eps
_FAMILIES = ("xtb-", "md17-", "rmd17-")
_RESCALED = {"rescale=1": "no", "rescale=1e6": "yes"}


def figures(spec: Spec) -> Sequence[Figure]:
    """The published errors for what a run trains, under the paper's protocol.

    Args:
        spec: Of a run of this suite.
    """
    settings = spec.settings
    if settings["protocol"] != "paper" or "loss" in settings or settings["scope"] != "published":
        return []
    if "offset" in spec.axes:  # which is not the protocol's
        return []
    if spec.axes["initialization"] != OWN_INITIALIZATION or spec.training.eps != _EPS:
        return []
    if spec.problem == "xtb-oxides":
        return _of_oxides(spec)
    family = next((name for name in _FAMILIES if spec.problem.startswith(name)), None)
    if family is None:
        return []
    molecule = spec.problem.removeprefix(family)
    key = (
        spec.model.partition(":")[0],
        _normalization(spec),
        _RESCALED.get(spec.axes["rescaling"], ""),
        _activation(spec),
        molecule.removesuffix("-acid"),
    )
    row = _md17().get(key)
    if row is None:
        return []
    energy, forces = row
    data = f"MD17 {molecule}"
    return [
        Figure("MAE_E", energy, "kcal/mol", data),
        Figure("MAE_F", forces, "kcal/mol/Å", data),
    ]


def _of_oxides(spec: Spec) -> Sequence[Figure]:
    name = spec.model.partition(":")[0]
    techniques = {
        ("original", "rescale=1"): "original",
        ("irelu", "rescale=1e4"): "irelu+denorm+rescale",
    }.get((_activation(spec), spec.axes["rescaling"]), "")
    removed = _normalization(spec) in ("removed", "none")
    if techniques == "irelu+denorm+rescale" and not removed:
        return []
    if techniques == "original" and _normalization(spec) == "removed":
        return []
    row = _oc22().get((name, techniques))
    if row is None:
        return []
    return [Figure("MAE_E", row[0], "eV", "OC22"), Figure("MAE_F", row[1], "eV/Å", "OC22")]


def _architecture(spec: Spec) -> tuple[str, str]:
    """Activation and normalisation as published."""
    architecture = ARCHITECTURES[spec.model.partition(":")[0]]
    return architecture.activation, architecture.normalization


def _normalization(spec: Spec) -> str:
    own = _architecture(spec)[1]
    chosen = spec.axes["normalization"]
    if chosen != "denorm":
        return chosen
    return "none" if own == "denorm" else "removed"


def _activation(spec: Spec) -> str:
    chosen = spec.axes["activation"]
    return "original" if chosen == _architecture(spec)[0] else chosen


def _rows(name: str) -> list[dict[str, str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@functools.cache
def _md17() -> Mapping[tuple[str, ...], tuple[float, float]]:
    keys = ("model", "normalization", "label_rescaling", "activation", "molecule")
    return {
        tuple(row[key] for key in keys): (
            float(row["energy_mae_kcal_mol"]),
            float(row["force_mae_kcal_mol_A"]),
        )
        for row in _rows("md17.csv")
    }


@functools.cache
def _oc22() -> Mapping[tuple[str, ...], tuple[float, float]]:
    return {
        (row["model"], row["techniques"]): (
            float(row["energy_mae_eV"]),
            float(row["force_mae_eV_A"]),
        )
        for row in _rows("oc22.csv")
    }
