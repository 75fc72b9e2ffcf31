"""What every solver asks of its arguments."""

from __future__ import annotations

import numpy as np


def check_cells(cells: int) -> None:
    """The error estimate solves on a quarter, a half and all of the cells.

    Raises:
        ValueError: `cells` is not a multiple of 4 of at least 16.
    """
    if cells < 16 or cells % 4:
        raise ValueError(f"cells must be a multiple of 4 of at least 16, not {cells}")


def check_times(times: np.ndarray) -> None:
    """Times ascend from 0 or later.

    Raises:
        ValueError: They do not.
    """
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError("times must ascend from 0 or later")


def check_axis(axis: np.ndarray, low: float, high: float, name: str = "points") -> None:
    """Coordinates ascend within the domain.

    Raises:
        ValueError: They do not.
    """
    if axis.min() < low or axis.max() > high or (np.diff(axis) <= 0).any():
        raise ValueError(f"{name} must ascend within [{low:g}, {high:g}]")
