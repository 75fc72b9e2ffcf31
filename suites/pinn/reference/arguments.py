"""Checks of arguments that every solver makes."""

from __future__ import annotations

import numpy as np


def check_cells(cells: int) -> None:
    """Check a number of cells: the error estimate also solves on a quarter and a half of them.

    Raises:
        ValueError: `cells` is not a multiple of 4 of at least 16.
    """
    if cells < 16 or cells % 4:
        raise ValueError(f"cells must be a multiple of 4 of at least 16, not {cells}")


def check_times(times: np.ndarray) -> None:
    """Check that times ascend from 0 or later.

    Raises:
        ValueError: They do not.
    """
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError("times must ascend from 0 or later")


def check_axis(axis: np.ndarray, low: float, high: float, name: str = "points") -> None:
    """Check that coordinates ascend within the domain.

    Raises:
        ValueError: They do not.
    """
    if axis.min() < low or axis.max() > high or (np.diff(axis) <= 0).any():
        raise ValueError(f"{name} must ascend within [{low:g}, {high:g}]")
