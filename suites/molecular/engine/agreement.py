"""Whether two paths computed the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

#: Largest relative difference between the paths, by the type.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
#: A loss and a gradient are compared with at least this part of the first ones: late in training
#: they are differences of large numbers, and have their rounding.
_LEAST = 0.1
#: A buffer is compared with at least this part of the largest that was changed: a mean of
#: normalised values is rounding alone.
_LEAST_BUFFER = 1e-3


class Computed(NamedTuple):
    """What a step computes.

    Attributes:
        loss: Scalar.
        gradients: By each parameter.
        buffers: Of the network after the step, by name.
    """

    loss: Tensor
    gradients: Sequence[Tensor]
    buffers: Mapping[str, Tensor]


class Sizes(NamedTuple):
    """The loss, and the norm of the whole gradient."""

    loss: float
    gradient: float


def sizes(computed: Computed) -> Sizes:
    """Of a step."""
    return Sizes(abs(float(computed.loss)), _norm(computed.gradients))


def disagreement(
    found: Computed, expected: Computed, before: Mapping[str, Tensor], first: Sizes
) -> str | None:
    """In what a step differs from what it should be by more than rounding.

    Loss and gradient have other units: each is compared with its own size.

    Args:
        found: The step.
        expected: What it should be.
        before: The buffers from which both started.
        first: Sizes of the first step of the run.

    Returns:
        The largest difference and of what; ``None``: nothing does, or what is expected is not
        finite.
    """
    own = sizes(expected)
    pairs = zip(found.gradients, expected.gradients, strict=True)
    differences = {
        "loss": _relative(float(found.loss - expected.loss), own.loss, _LEAST * first.loss),
        "gradient": _relative(
            _norm([a - b for a, b in pairs]), own.gradient, _LEAST * first.gradient
        ),
    }
    changed = [
        name
        for name, buffer in before.items()
        if not (
            torch.equal(buffer, found.buffers[name]) and torch.equal(buffer, expected.buffers[name])
        )
    ]
    least = _LEAST_BUFFER * max((_norm([expected.buffers[name]]) for name in changed), default=0.0)
    for name in changed:
        wanted = expected.buffers[name].double()
        difference = _norm([found.buffers[name].double() - wanted])
        differences[f"buffer {name}"] = _relative(difference, _norm([wanted]), least)
    if not torch.isfinite(torch.tensor([own.loss, own.gradient])).all():
        return None
    tolerance = TOLERANCE[expected.loss.dtype]
    # Not a number is no agreement.
    wrong = {name: size for name, size in differences.items() if not size <= tolerance}
    if not wrong:
        return None
    name = max(wrong, key=wrong.__getitem__)
    return f"another {name}, by {wrong[name]:.1e}"


def _relative(difference: float, size: float, least: float) -> float:
    scale = max(size, least)
    return abs(difference) / scale if scale > 0 else abs(difference)


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([tensor.detach().double().norm() for tensor in tensors]).norm())
