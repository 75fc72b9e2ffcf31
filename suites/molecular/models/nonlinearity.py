"""An activation function as a module of its own, where no linear layer owns it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class Nonlinearity(nn.Module):
    """Applies its ``activation``, element by element.

    The attribute has the name that `schnetpack.nn.Dense` uses, so the activation hook finds and
    replaces both in the same way. Gates are not made of these: no hook may change them.

    Args:
        activation: A function or a module.
        width: Size of the last axis of what it is applied to; ``None`` if that is not always the
            same.
    """

    def __init__(self, activation: Callable[[Tensor], Tensor], width: int | None) -> None:
        super().__init__()
        self.width = width
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(x)
        return result
