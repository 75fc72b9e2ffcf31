"""How exactly labels are known: what is smaller is rounding, and no scale to divide by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Arithmetic on labels, a least-squares fit included, leaves less than this many units in the last
#: place of the largest.
_UNITS = 64
#: Files have at most this many decimals; more are the computer's.
_DECIMALS = 8


def float_rounding(labels: np.ndarray) -> float:
    """The rounding of floating-point labels of any shape, in their unit.

    That of double precision, or of single precision where every label is a number of it. 0 where
    all labels are 0, or one is not finite.
    """
    import numpy as np

    largest = float(np.abs(labels).max()) if labels.size else 0.0
    if not math.isfinite(largest):
        return 0.0
    double = _UNITS * float(np.spacing(largest)) if largest else 0.0
    if largest > float(np.finfo(np.float32).max):
        return double
    single = labels.astype(np.float32)
    if (single != labels).any():
        return double
    return max(double, float(np.spacing(np.abs(single).max()))) if largest else 0.0


def decimal_rounding(labels: np.ndarray) -> float:
    """Half the last decimal of labels that a file has with the same few, in their unit.

    0 for whole numbers, and where the decimals are as many as the computer's.
    """
    import numpy as np

    for decimals in range(_DECIMALS + 1):
        if (np.round(labels, decimals) == labels).all():
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0
