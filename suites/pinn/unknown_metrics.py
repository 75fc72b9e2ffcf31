"""Values and errors of the unknowns of an inverse problem, as metrics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from suites.pinn.engine.unknowns import Unknowns
from suites.pinn.unknown_names import UNKNOWN, error_name

#: An unknown with more elements is reported by its root mean square.
MOST_ELEMENTS = 16


def unknown_metrics(unknowns: Unknowns, truths: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The present values by ``unknown NAME``, and ``error NAME`` where the truth is known.

    A tensor of several elements has ``unknown NAME[i]`` or ``NAME[i,j]`` for each; one of more than
    `MOST_ELEMENTS` has its root mean square, ``unknown NAME (rms)``. The error is
    ‖C − C*‖₂/‖C*‖₂, and ‖C − C*‖₂ where the truth C* is 0. All are in the unknown's own unit, or
    without one.

    Args:
        unknowns: The unknowns of a run.
        truths: True values by name.
    """
    found: dict[str, float] = {}
    for name, tensor in unknowns.values.items():
        value = tensor.detach().double().cpu().numpy()
        if value.size == 1:
            found[UNKNOWN + name] = float(value.item())
        elif value.size <= MOST_ELEMENTS:
            for index in np.ndindex(value.shape):
                found[f"{UNKNOWN}{name}[{','.join(map(str, index))}]"] = float(value[index])
        else:
            found[f"{UNKNOWN}{name} (rms)"] = float(np.sqrt(np.mean(value**2)))
    for name, truth in truths.items():
        if name in unknowns.values:
            value = unknowns.values[name].detach().double().cpu().numpy()
            exact = np.asarray(truth, dtype=float).reshape(value.shape)
            error, size = np.linalg.norm(value - exact), np.linalg.norm(exact)
            found[error_name(name)] = float(error / size if size > 0 else error)
    return found
