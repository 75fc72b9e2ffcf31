"""Scores of further test sets, and of the frames of each ``config_type``."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from suites.molecular.data.frames import Frames, atom_rows
from suites.molecular.metrics import force_and_energy_errors

#: The most groups that are scored, the largest first; the others are one.
MOST_GROUPS = 20
#: The group of the frames of all smaller groups; underscores follow where one is called so.
OTHERS = "others"

#: What is scored of each further test set, in the labels' unit.
_OF_SETS = (
    *("MAE_E", "MAE_E_atom", "MAE_F", "RMSE_E", "RMSE_F", "EFwT", "cos_F"),
    *("MAE_stress", "RMSE_stress"),
)
#: What is scored of each group.
_OF_GROUPS = ("MAE_E", "MAE_E_atom", "MAE_F")

#: What is between the name of a metric and that of a further test set.
SET = "@"


def of_set(metric: str, name: str) -> str:
    """Name of a metric on a further test set: ``MAE_F@far``."""
    return f"{metric}{SET}{name}"


def set_errors(errors: Mapping[str, float], name: str) -> dict[str, float]:
    """Those errors on a further test set that are kept, by the names of their metrics.

    Args:
        errors: By metric; stresses only where the set has some.
        name: Of the set.
    """
    return {of_set(metric, name): errors[metric] for metric in _OF_SETS if metric in errors}


def of_group(metric: str, group: str) -> str:
    """Name of a metric on the test frames of a ``config_type``: ``MAE_F[slab]``."""
    return f"{metric}[{group}]"


def group_errors(test: Frames, energies: np.ndarray, forces: np.ndarray) -> dict[str, float]:
    """Errors on the test frames of each ``config_type``; nothing unless there are two.

    Args:
        test: The test frames.
        energies: (frames,) predicted, in their unit.
        forces: (atoms, 3) likewise.
    """
    if test.groups is None:
        return {}
    names, counts = np.unique(test.groups, return_counts=True)
    if len(names) < 2:
        return {}
    largest = names[np.argsort(-counts, kind="stable")[:MOST_GROUPS]]
    which = {str(name): test.groups == name for name in largest}
    rest = ~np.isin(test.groups, largest)
    if rest.any():
        which[_free_name(OTHERS, {str(name) for name in names})] = rest
    found: dict[str, float] = {}
    for name, chosen in which.items():
        rows = np.flatnonzero(chosen)
        part = test.select(rows)
        errors = force_and_energy_errors(
            part.energies,
            energies[rows],
            part.forces,
            forces[atom_rows(test.first, rows)],
            part.n_atoms,
            part.energy_unit,
        )
        found |= {of_group(metric, name): errors[metric] for metric in _OF_GROUPS}
    return found


def _free_name(name: str, taken: Collection[str]) -> str:
    """The name, with as many underscores behind it as no other has."""
    while name in taken:
        name += "_"
    return name
