"""Labels from the ground truth: those that are trained on, and those that are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput
from suites.pinn.problems.truth import Supervised, Truth

#: Held-out labels, in shares of the labels that are trained on.
HELDOUT_SHARE = 0.2


@dataclass(frozen=True)
class Labels:
    """The labels of a run, on disjoint rows of the truth's grid.

    Attributes:
        training: What the network is trained on.
        heldout: By which the best state and a setting are selected; no score counts them. ``None``
            in a spec of before there were any.
    """

    training: Supervised
    heldout: Supervised | None


def draw_labels(truth: Truth, supervised: Mapping[str, Any], seed: int) -> Labels | None:
    """The labels that a spec asks for; ``None`` if it asks for none.

    There are `HELDOUT_SHARE` times as many held-out labels as labels that are trained on: at least
    one, and at most half of the points that these leave, so that the scores keep the other half.
    They are drawn from a stream of their own, after the others, which they do not change.

    Args:
        truth: The ground truth.
        supervised: The spec's setting of that name: ``fraction`` of the grid's points, ``most`` of
            them, and ``heldout``, the share.
        seed: Of the run.

    Raises:
        BadInput: So many labels leave no points to hold out and to score.
    """
    fraction, most = supervised["fraction"], supervised["most"]
    if not fraction:
        return None
    points = truth.reference.points()
    count = int(fraction * len(points))
    count = count if most is None else min(count, most)
    choose = numpy_generator(seed, "supervised points")
    rows = np.sort(choose.choice(len(points), count, replace=False))
    training = _at(truth, points, rows)
    if "heldout" not in supervised:
        return Labels(training, None)
    left = np.setdiff1d(np.arange(len(points)), rows)
    if len(left) < 2:
        raise BadInput(
            f"--supervised {fraction:g} makes labels of {count} of the {len(points)} points of the"
            " scored grid: at least 2 must be left, to hold out and to score"
        )
    wanted = max(1, round(supervised["heldout"] * count))
    choose = numpy_generator(seed, "held-out labels")
    held = np.sort(choose.choice(left, min(wanted, len(left) // 2), replace=False))
    return Labels(training, _at(truth, points, held))


def _at(truth: Truth, points: np.ndarray, rows: np.ndarray) -> Supervised:
    """The labels at some rows of the grid."""
    return Supervised(points[rows], truth.reference.targets()[rows], truth.outputs, rows)
