"""Whether a network has the second derivatives that its equations ask for.

A network of piecewise linear activations is piecewise linear in its features: its second
derivatives are 0 wherever they exist, and a loss sees nothing of what stands before u_xx.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.techniques.trial import is_piecewise_linear
from bench.training.gradients import training_mode
from suites.pinn.engine.stock import StockEvaluation
from suites.pinn.models.network import FNN

#: So many training points are looked at.
_POINTS = 200


class _Counted(torch.autograd.Function):
    """The identity, which notes how many times it was differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: int, seen: list[int]) -> Tensor:
        seen.append(order)
        ctx.rest = order, seen
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        order, seen = ctx.rest
        return _Counted.apply(gradient, order + 1, seen), None, None


def highest_order(data: Any, net: nn.Module, device: torch.device) -> int:
    """The order of the highest derivative of the network that the loss terms take.

    It is counted while DeepXDE evaluates them. 0 also where that fails, or where they take no
    derivative by reverse mode.

    Args:
        data: ``dde.data.PDE`` that has drawn its points.
        net: The network.
        device: Where it is.
    """
    seen: list[int] = []
    handle = net.register_forward_pre_hook(
        lambda _, inputs: (_Counted.apply(inputs[0], 0, seen), *inputs[1:])
    )
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            StockEvaluation(data, net, device)(training=False)
    except Exception:  # a user's equations may fail in any way, and training will say how
        return 0
    finally:
        handle.remove()
    return max(seen, default=0)


def curvature_warning(data: Any, net: FNN, device: torch.device) -> list[str]:
    """A sentence if the equations take second derivatives, and those of the network are all 0.

    A transform of the inputs or outputs may bend the solution all the same: u = x(1−x)N has
    u_xx = −2N + 2(1−2x)N′. The sentence is then another.
    """
    points = torch.as_tensor(data.train_x[:_POINTS], device=device)
    transforms = net._input_transform, net._output_transform
    with torch.no_grad():
        features = points if transforms[0] is None else transforms[0](points)
    # A network may also be flat since it is saturated, which is not the activation's doing.
    if not is_piecewise_linear(net.activations[0], net.width):
        return []
    try:
        net._input_transform = net._output_transform = None  # type: ignore[assignment]
        if _bent(net, features).any():
            return []
    finally:
        net._input_transform, net._output_transform = transforms
    if highest_order(data, net, device) < 2:
        return []
    told = f"activation {type(net.activations[0]).__name__} is piecewise linear: the"
    bent = _bent(net, points)
    if not bent.any():
        return [
            f"{told} second derivatives of the network by its inputs are 0 at all of {len(points)}"
            " training points, so the terms of the equations that have them are not seen; take a"
            " smooth activation"
        ]
    flat = [f"x[{k}]" for k in range(len(bent)) if not bent[k, k]]
    without = f", and the one by {' and that by '.join(flat)} is still 0" if flat else ""
    return [
        f"{told} network's own second derivatives are 0: the equation sees only those of the"
        f" transform at all of {len(points)} training points{without}; a smooth activation has its"
        " own"
    ]


def _bent(net: nn.Module, x: Tensor) -> Tensor:
    """Which second derivatives are anything but 0 at any row, shape ``(columns, columns)``."""
    columns = x.shape[1]
    bent = torch.zeros(columns, columns, dtype=torch.bool)
    with training_mode(net), torch.enable_grad():
        net.eval()
        x = x.detach().requires_grad_()
        y = net(x)
        weight = torch.linspace(1, 2, y.shape[1], dtype=y.dtype, device=y.device)
        (first,) = torch.autograd.grad(
            (y * weight).sum(), x, create_graph=True, materialize_grads=True
        )
        if not first.requires_grad:
            return bent
        for row, one in zip(bent, first.unbind(dim=1), strict=True):
            (second,) = torch.autograd.grad(one.sum(), x, retain_graph=True, materialize_grads=True)
            row.copy_(second.any(dim=0))
    return bent
