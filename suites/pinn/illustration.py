"""The trained network's solution beside the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.spec.spec import Spec
from bench.task import Field
from suites.pinn.reference.reference import Reference, ScatteredReference
from suites.pinn.task import PINNTask
from suites.pinn.trained import trained_task

#: How much the steps of an axis may differ: a user's grid may have been rounded to float32.
_TOLERANCE = 1e-3


def illustrate(spec: Spec, weights: Mapping[str, Tensor], device: torch.device) -> list[Field]:
    """The outputs that the ground truth has, over space and time, or at the last time.

    Args:
        spec: Of the run.
        weights: Of the trained network.
        device: Where to predict.

    Returns:
        One for each output: over x and t, over x and y at the last time, or over x and y of a
        problem without time. Nothing without ground truth, and of one that is not on such a grid
        with equal steps.
    """
    return fields(trained_task(spec, weights, device))


def fields(task: PINNTask) -> list[Field]:
    """See `illustrate`, for the network's present weights."""
    score = task.score
    if score is None:
        return []
    grid = as_grid(score.truth.reference)
    if grid is None:
        return []
    axes, order = grid
    timed = hasattr(task.data.geom, "timedomain")
    labels = [*"xyz"[: len(axes) - timed], *["t"][:timed]]
    if labels not in (["x", "t"], ["x", "y", "t"], ["x", "y"]):
        return []
    if not all(_is_regular(axis) for axis in axes[:2]):
        return []
    shape = (*(len(axis) for axis in axes), len(score.truth.outputs))
    # (horizontal, vertical, outputs), or with time before the outputs.
    reference = score.targets[order].reshape(shape)
    predicted = task.predict()[order].reshape(shape)
    at = ""
    if len(axes) > 2:
        reference, predicted = reference[:, :, -1], predicted[:, :, -1]
        at = f"t = {axes[2][-1]:g}"
    horizontal, vertical = ((float(axis[0]), float(axis[-1])) for axis in axes[:2])
    return [
        Field(
            name=task.problem.outputs[output],
            axes=(labels[0], labels[1]),
            extent=(*horizontal, *vertical),
            at=at,
            reference=reference[..., column].T,
            predicted=predicted[..., column].T,
        )
        for column, output in enumerate(score.truth.outputs)
    ]


def as_grid(
    reference: Reference | ScatteredReference,
) -> tuple[Sequence[np.ndarray], np.ndarray | slice] | None:
    """The ascending axes of the points and the rows in the grid's order, the last axis fastest.

    ``None`` if the points do not fill a grid.
    """
    if isinstance(reference, Reference):
        return reference.axes, slice(None)
    points = reference.points()
    axes = [np.unique(column) for column in points.T]
    if np.prod([float(len(axis)) for axis in axes]) != len(points):
        return None
    # Of the first axis last: the most significant key.
    order = np.lexsort(points.T[::-1])
    filled = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=-1)
    return (axes, order) if np.array_equal(points[order], filled) else None


def _is_regular(axis: np.ndarray) -> bool:
    steps = np.diff(axis)
    return len(steps) > 0 and bool(np.allclose(steps, steps.mean(), rtol=_TOLERANCE, atol=0.0))
