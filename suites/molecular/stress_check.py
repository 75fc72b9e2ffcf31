"""Whether stresses of a file are those of its energies, by a potential that has learnt forces."""

from __future__ import annotations

import numpy as np

from suites.molecular.data.frames import Frames
from suites.molecular.data.strained_pairs import stress_factor

#: A note on the scores of a potential whose frames have stresses, unless it is trained on them.
UNUSED_STRESS = (
    "the frames have stresses: they are scored, and not trained on without --stress-weight W"
)
#: Frames that a factor can be read from.
_FEWEST = 5
#: Least correlation of labels and predictions that makes a factor one of units or of sign.
_CORRELATED = 0.8
#: Range of factors that training may leave. Units differ by more: GPa by 160, kbar by 1600.
_SIMILAR = (0.2, 5.0)


def unchecked_stress(frames: Frames, weight: float) -> list[str]:
    """A sentence if stresses are trained on whose unit and sign nothing could be compared with.

    A potential that learns wrong stresses cannot tell; pairs of frames can
    (`suites.molecular.data.strained_pairs`).

    Args:
        frames: All frames of the run.
        weight: Of the stresses in the loss.
    """
    if not weight or stress_factor(frames) is not None:
        return []
    return [
        "the unit and the sign of the stresses could not be checked: too few frames of the same"
        " atoms differ little enough in cell and positions; a run without --stress-weight compares"
        " them with those of a potential"
    ]


def factor_warning(labels: np.ndarray, predicted: np.ndarray) -> list[str]:
    """A sentence if labels are predictions times a factor that no error of training explains.

    The potential's stress is the derivative of its energy, so it has the energy's unit and ASE's
    sign. The factor is the slope through the deviations from the mean frame: a constant pressure
    would correlate with any other.

    Args:
        labels: (frames, 3, 3).
        predicted: The same shape, in the unit that the labels are said to have, by a potential that
            was not trained on them.
    """
    if len(labels) < _FEWEST or not np.isfinite(predicted).all():
        return []
    true, mine = (stress - stress.mean(axis=0) for stress in (labels, predicted))
    product, own, other = float((true * mine).sum()), float((mine**2).sum()), float((true**2).sum())
    if not own or not other:
        return []
    factor, correlation = product / own, product / np.sqrt(own * other)
    if abs(correlation) < _CORRELATED or _SIMILAR[0] <= factor <= _SIMILAR[1]:
        return []
    return [
        f"the stresses of the training frames are {factor:.3g} times those of the energies"
        f" (correlation {correlation:.2f}): if they have another unit, give it by --stress-unit;"
        " the sign is that of (1/V) dE/dstrain"
    ]
