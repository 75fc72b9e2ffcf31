"""Parts of a diagnosis that suites share: gradient sizes, Adam's eps, training mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Adam's eps matters to gradients that are less than this many times larger.
_EPS_MARGIN = 10


@contextlib.contextmanager
def training_mode(module: nn.Module) -> Iterator[None]:
    """Training mode in the body; the buffers that batch norm changes there are restored."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    before = module.training
    module.train()
    try:
        yield
    finally:
        module.train(before)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(buffers[name])


def gradient_rms(
    loss: Tensor, parameters: Sequence[nn.Parameter], weights: Mapping[str, Any]
) -> tuple[float, dict[str, float]]:
    """Root mean square of the gradient of all parameters, and of some of them.

    Args:
        loss: The loss with its graph.
        parameters: All parameters. One that the loss does not depend on counts as 0, and one that
            is frozen not at all.
        weights: Parameters, by name, whose gradients are also wanted one by one.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    gradients = {
        id(parameter): torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    }
    flat = torch.cat([gradient.flatten() for gradient in gradients.values()])
    return rms(flat), {name: rms(gradients[id(weight)]) for name, weight in weights.items()}


def rms(values: Tensor) -> float:
    """Root mean square."""
    return float(values.double().square().mean().sqrt())


def eps_warning(gradient: float, eps: float) -> list[str]:
    """A warning if Adam's eps dominates gradients of this root mean square."""
    if gradient == 0 or not gradient < _EPS_MARGIN * eps:
        return []
    return [
        f"Adam's eps {eps:g} dominates gradients of {gradient:.1e} (RMS): the steps are smaller"
        " than the learning rate says; try a smaller --eps or another rescaling"
    ]
