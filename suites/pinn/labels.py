"""The labels that a PINN knows before training: its conditions' and supervised values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.techniques.rescaling import LabelStatistics
from suites.pinn.backend import dde
from suites.pinn.problems.dde_data import keep_for


def label_statistics(data: Any, n_outputs: int) -> list[LabelStatistics]:
    """Statistics of each output's labels.

    Labels are the values of initial, Dirichlet and point-set conditions at their points; an output
    without any has mean, deviation and root mean square 0.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        n_outputs: Number of network outputs.
    """
    labels: list[list[np.ndarray]] = [[] for _ in range(n_outputs)]
    start = 0
    for condition, count in zip(data.bcs, data.num_bcs, strict=True):
        keep_for(condition, data.train_x)
        for output, values in _labels(condition, data.train_x, start, start + count):
            labels[output].append(np.broadcast_to(values, (count,)).astype(float))
        start += count
    return [LabelStatistics.of(np.concatenate(values or [np.zeros(0)]), "1") for values in labels]


def _labels(condition: Any, x: np.ndarray, start: int, end: int) -> list[tuple[int, np.ndarray]]:
    """The outputs that a condition gives labels of, and the labels."""
    if isinstance(condition, dde.icbc.PointSetBC):
        outputs = np.atleast_1d(condition.component)
        values = condition.values.detach().cpu().numpy()
    elif isinstance(condition, (dde.icbc.IC, dde.icbc.DirichletBC)):
        outputs = np.atleast_1d(condition.component)
        values = torch.as_tensor(condition.func(x, start, end, None)).detach().cpu().numpy()
    else:
        return []
    columns = (
        values.reshape(-1, len(outputs)) if values.ndim else np.full((1, len(outputs)), values)
    )
    return [(int(output), columns[:, k]) for k, output in enumerate(outputs)]
