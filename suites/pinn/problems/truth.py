"""Ground truths, and labels that are taken from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from suites.pinn.reference.reference import Reference, ScatteredReference


@dataclass(frozen=True)
class Truth:
    """The ground truth and the initial state that belongs to it.

    Attributes:
        reference: The solution on a grid.
        initial: Initial state at points of shape ``(n, n_space)``: shape ``(n, n_outputs)``;
            ``None`` where the problem has its own.
        outputs: The network outputs that the columns of the reference are.
        bounds: Lower and upper bound of each input where the data decide them.
        digest: Digest of the data of a file.
        exact: The solution at points of shape ``(n, n_inputs)``: shape ``(n, len(outputs))``; of a
            closed form.
    """

    reference: Reference | ScatteredReference
    initial: Callable[[np.ndarray], np.ndarray] | None
    outputs: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...] | None = None
    digest: str | None = None
    exact: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Supervised:
    """Labels at points of the solution.

    Attributes:
        points: Shape ``(n, n_inputs)``.
        values: Shape ``(n, len(outputs))``.
        outputs: The network outputs that they are labels of.
        rows: Their rows in ``Reference.points()``.
    """

    points: np.ndarray
    values: np.ndarray
    outputs: tuple[int, ...]
    rows: np.ndarray
