"""The affine map of a problem's domain to [−1, 1], at the network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.text.errors import BadInput
from suites.pinn.backend import dde

#: Of coordinates in single precision.
_ROUNDING = 1e-4


class InputScaling(nn.Module):
    """ξ_j = factor_j·(x_j − centre_j), which maps the box [lower, upper] to [−1, 1].

    It is not trained. Derivatives of the network are by x, in the problem's own units: the factor
    is part of the function that is differentiated.

    Args:
        lower: Lower bound of each input, shape ``(n_inputs,)``.
        upper: Upper bounds.

    Shape:
        ``(rows, n_inputs)`` to ``(rows, n_inputs)``.
    """

    factor: Tensor
    centre: Tensor

    def __init__(self, lower: np.ndarray, upper: np.ndarray) -> None:
        super().__init__()
        dtype = dde.config.real(torch)
        self.register_buffer("factor", torch.as_tensor(2 / (upper - lower), dtype=dtype))
        self.register_buffer("centre", torch.as_tensor((lower + upper) / 2, dtype=dtype))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.centre) * self.factor


def scaling_of(geometry: Any, problem: str, points: Tensor) -> InputScaling:
    """The scaling of a domain: of its bounding box, and of its span of time.

    Args:
        geometry: A geometry of DeepXDE, with time or without.
        problem: Name of the problem, for messages.
        points: Training points, shape ``(n, n_inputs)``, which the bounds must hold.

    Raises:
        BadInput: The domain has no finite bounds or no extent in one direction, or its points lie
            outside of them.
    """
    advice = "give the problem an input_transform, or take --protocol paper"
    timed = hasattr(geometry, "timedomain")
    if not hasattr(geometry.geometry if timed else geometry, "bbox"):
        raise BadInput(
            f"problem {problem!r}: its {type(geometry).__name__} has no bbox, so its inputs cannot"
            f" be scaled to [-1, 1]; {advice}"
        )
    boxes = [geometry.geometry.bbox, geometry.timedomain.bbox] if timed else [geometry.bbox]
    lower, upper = (
        np.concatenate([np.ravel(np.asarray(box[side], dtype=np.float64)) for box in boxes])
        for side in (0, 1)
    )
    if not (np.isfinite(lower).all() and np.isfinite(upper).all() and (lower < upper).all()):
        raise BadInput(
            f"problem {problem!r}: its domain from {lower.tolist()} to {upper.tolist()} cannot be"
            f" scaled to [-1, 1]; {advice}"
        )
    scaling = InputScaling(lower, upper).to(points.device)
    farthest = float(scaling(points).abs().max())
    if farthest > 1 + _ROUNDING:
        raise BadInput(
            f"problem {problem!r}: points lie outside the bounds {lower.tolist()} to"
            f" {upper.tolist()} of its {type(geometry).__name__}, at {farthest:.3g} instead of 1 at"
            f" most, so its inputs cannot be scaled to [-1, 1]; {advice}"
        )
    return scaling
