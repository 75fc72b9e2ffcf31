"""The error of a solution, estimated from three resolutions."""

from __future__ import annotations

import numpy as np


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=tuple(range(values.ndim - 1))))


def relative_l2(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Relative L2 difference over the whole grid, one per output.

    Args:
        values, truth: Arrays of shape ``(..., n_outputs)``.

    Returns:
        ``‖values − truth‖ / ‖truth‖``, shape ``(n_outputs,)``; the root mean square of the
        difference itself for an output that vanishes everywhere.
    """
    scale = _rms(truth)
    return _rms(values - truth) / np.where(scale > 0, scale, 1.0)


def richardson(
    coarse: np.ndarray, medium: np.ndarray, fine: np.ndarray, highest_order: float = 2.0
) -> tuple[tuple[float, ...], float | None]:
    """Error of `fine` and order of convergence from spacings 4h, 2h and h (Roache 1994).

    In the estimate the order p is held between 1/2 (a shock, in L2) and `highest_order`: outside
    that range the differences are not yet asymptotic, and 2^p would flatter the estimate.

    Args:
        coarse, medium, fine: Solutions at the same points, shape ``(..., n_outputs)``.
        highest_order: Order of the scheme where the solution is smooth.

    Returns:
        The relative L2 error of `fine`, ``‖fine − medium‖ / ((2^p − 1) ‖fine‖)`` for each output,
        and p = log2(‖medium − coarse‖ / ‖fine − medium‖) with the relative differences of the
        outputs taken together; p is ``None`` where two of the solutions are identical.
    """
    scale = _rms(fine)
    scale = np.where(scale > 0, scale, 1.0)
    last = _rms(fine - medium) / scale
    previous = _rms(medium - coarse) / scale
    if not (last.any() and previous.any()):
        return tuple(float(e) for e in last), None
    order = float(np.log2(np.linalg.norm(previous) / np.linalg.norm(last)))
    held = min(max(order, 0.5), highest_order)
    return tuple(float(e) for e in last / (2.0**held - 1.0)), order
