"""Whether a network was trained on the equation that the function which is scored is asked about.

A network whose rows are coupled in training (batch norm) has other derivatives there than the
function that it is scored as. The ratio of the mean squared residual in training to that of the
scored function, on the same points, tells: 1 where both are one function.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

#: Its name among a run's measurements, at the end and at the start.
RESIDUAL_RATIO = "residual_ratio"
#: Outside of these the training residual is not that of the function which is scored.
LOW, HIGH = 0.1, 10.0


def ratio_of(training: float, scored: float) -> float | None:
    """The ratio of two mean squared residuals; that of 0 to 0 is 1.

    ``None`` if one is not finite. A ratio that overflows is the largest number that there is, since
    JSON has no infinity.
    """
    if not (math.isfinite(training) and math.isfinite(scored)):
        return None
    if training == scored:
        return 1.0
    if scored == 0 or training / scored == math.inf:
        return sys.float_info.max
    return training / scored


def unseen_equation(diagnostics: Mapping[str, Any]) -> str | None:
    """Where the training residual is not the scored function's, in words; ``None`` if nowhere.

    Args:
        diagnostics: Of a record; those of earlier code have no ratio.
    """
    start = diagnostics.get("start")
    places = {"start": start if isinstance(start, Mapping) else {}, "end": diagnostics}
    said = [
        f"{ratio:.1g} at the {place}"
        for place, found in places.items()
        if isinstance(ratio := found.get(RESIDUAL_RATIO), int | float) and not LOW <= ratio <= HIGH
    ]
    return " and ".join(said) or None


def ratio_warnings(diagnostics: Mapping[str, Any]) -> list[str]:
    """A warning about a run with such a ratio."""
    said = unseen_equation(diagnostics)
    if said is None:
        return []
    return [
        f"the residual in training is not that of the scored function: their ratio is {said}, so"
        " no comparison with this run makes a claim; pointwise-batchnorm and denorm see the"
        " equation"
    ]
