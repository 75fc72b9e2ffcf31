"""Errors of a prediction against the ground truth on the whole space–time grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from suites.pinn.problems.truth import Truth
from suites.pinn.supervision import Labels

#: Points that go through a network at a time.
_ROWS = 65_536


class Score:
    """Errors of a network against a ground truth.

    Args:
        truth: The ground truth.
        outputs: Names of all outputs of the network.
        labels: The labels that it is given, if any. Those that are held out are not scored.
        dtype: Of the network.

    Attributes:
        truth: The ground truth.
        targets: The solution on the grid, shape ``(n, outputs of the truth)``.
        scored: The rows of the grid that are scored: all, or which, shape ``(n,)``.
    """

    def __init__(
        self,
        truth: Truth,
        outputs: Sequence[str],
        labels: Labels | None,
        dtype: torch.dtype,
    ) -> None:
        self.truth = truth
        self._points = torch.as_tensor(truth.reference.points(), dtype=dtype, device="cpu")
        self._columns = list(truth.outputs)
        self._names = [outputs[column] for column in truth.outputs]
        self.targets = truth.reference.targets()
        self._unseen: np.ndarray | None = None
        self.scored: np.ndarray | slice = slice(None)
        if labels is not None:
            if labels.heldout is not None:
                self.scored = np.ones(len(self.targets), dtype=bool)
                self.scored[labels.heldout.rows] = False
            unseen = np.ones(len(self.targets), dtype=bool)
            unseen[labels.training.rows] = False
            self._unseen = unseen[self.scored]

    def predict(self, net: torch.nn.Module, device: torch.device) -> np.ndarray:
        """The prediction on the grid, for the outputs that the truth has."""
        net.eval()
        with torch.no_grad():
            parts = [
                net(rows.to(device))[:, self._columns].cpu() for rows in self._points.split(_ROWS)
            ]
        return torch.cat(parts).numpy()

    def errors(self, prediction: np.ndarray) -> dict[str, float]:
        """Metrics of a prediction on the grid, on the rows that are scored; see `grid_errors`."""
        rows = self.scored
        return grid_errors(prediction[rows], self.targets[rows], self._names, self._unseen)


def grid_errors(
    prediction: np.ndarray, truth: np.ndarray, names: Sequence[str], unseen: np.ndarray | None
) -> dict[str, float]:
    """Metrics of a prediction, over all points and outputs and per output.

    ``MSE``: mean squared error; ``L2RE``: ‖error‖₂/‖truth‖₂; ``max_error``: largest absolute error;
    ``skill``: 1 − ‖error‖₂/‖error of the best constant predictor‖₂ (each output's mean; only where
    the truth is not constant). With the name of an output attached, for instance ``L2REp``, of that
    output alone, where there are several. ``L2RE_unseen``: without the supervised points.

    Args:
        prediction: Shape ``(n, n_outputs)``.
        truth: The same shape.
        names: Name of each output.
        unseen: Which rows were not supervised, shape ``(n,)``; ``None`` if none was.
    """
    prediction, truth = prediction.astype(np.float64), truth.astype(np.float64)
    groups = {"": slice(None)}
    if len(names) > 1:
        groups |= {name: slice(k, k + 1) for k, name in enumerate(names)}
    metrics: dict[str, float] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for name, columns in groups.items():
            error, exact = prediction[:, columns] - truth[:, columns], truth[:, columns]
            norm = np.linalg.norm(error)
            metrics[f"MSE{name}"] = float(np.mean(error**2))
            metrics[f"L2RE{name}"] = _ratio(norm, np.linalg.norm(exact))
            metrics[f"max_error{name}"] = float(np.max(np.abs(error)))
            constant = np.linalg.norm(exact - exact.mean(axis=0))
            metrics[f"skill{name}"] = 1 - _ratio(norm, constant)
        if unseen is not None:
            error, exact = (prediction - truth)[unseen], truth[unseen]
            metrics["L2RE_unseen"] = _ratio(np.linalg.norm(error), np.linalg.norm(exact))
    return metrics


def _ratio(numerator: np.floating, denominator: np.floating) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")
