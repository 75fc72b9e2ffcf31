"""The ground truth of one problem on a space–time grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reference:
    """A solution on a tensor grid, with an estimate of its own error.

    Attributes:
        axes: One ascending 1-D float64 array per network input, in the problem's order of
            inputs (space first, time last), in the problem's own units.
        values: float64 array of shape ``(*(len(a) for a in axes), n_outputs)``.
        method: How the values were obtained, in a few words, with the resolution.
        error: Estimated relative L2 error of `values` against the exact solution of the
            equations, one per output; 0 for a closed form, ``None`` if there is no estimate
            (data read from a file, a truth that depends on its grid).
        order: Measured order of convergence in the grid spacing; ``None`` if it was not measured.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray
    method: str
    error: tuple[float, ...] | None = None
    order: float | None = None

    def __post_init__(self) -> None:
        shape = tuple(len(axis) for axis in self.axes)
        if self.values.ndim != len(shape) + 1 or self.values.shape[:-1] != shape:
            raise ValueError(f"values of shape {self.values.shape} do not fit axes of {shape}")
        if not np.isfinite(self.values).all():
            raise ValueError("a ground truth holds NaN or infinite values")
        if self.error is not None and len(self.error) != self.n_outputs:
            raise ValueError(f"{len(self.error)} error estimates for {self.n_outputs} outputs")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def n_outputs(self) -> int:
        """Number of network outputs."""
        return int(self.values.shape[-1])

    def points(self) -> np.ndarray:
        """All grid points as rows, shape ``(n, n_inputs)``, the last axis varying fastest."""
        return np.stack([g.ravel() for g in np.meshgrid(*self.axes, indexing="ij")], axis=-1)

    def targets(self) -> np.ndarray:
        """Values at `points`, shape ``(n, n_outputs)``."""
        return self.values.reshape(-1, self.n_outputs)


@dataclass(frozen=True)
class ScatteredReference:
    """A solution at points that form no grid; otherwise like `Reference`.

    Attributes:
        positions: The points, shape ``(n, n_inputs)``.
        values: The solution at the points, shape ``(n, n_outputs)``.
    """

    positions: np.ndarray
    values: np.ndarray
    method: str
    error: tuple[float, ...] | None = None
    order: float | None = None

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.values.shape[:1] != self.positions.shape[:1]:
            raise ValueError(
                f"points of shape {self.positions.shape} and values of {self.values.shape} do not"
                " belong together"
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.positions).all()):
            raise ValueError("a ground truth holds NaN or infinite values")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points."""
        return (len(self.positions),)

    def points(self) -> np.ndarray:
        """The points as rows, shape ``(n, n_inputs)``."""
        return self.positions

    def targets(self) -> np.ndarray:
        """Values at `points`, shape ``(n, n_outputs)``."""
        return self.values


def cell_centres(low: float, high: float, cells: int) -> np.ndarray:
    """Centres of `cells` equal cells of (low, high), shape ``(cells,)``."""
    return low + (np.arange(cells) + 0.5) * (high - low) / cells
