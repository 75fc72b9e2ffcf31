"""Activations by themselves, with the derivatives that a PDE's residual asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from .describe import describe
from .profile import cases

if TYPE_CHECKING:
    import torch

#: Points and width of a PINN of budget ``quick``.
_SHAPE = (1000, 40)
#: Evaluations of a sample: one takes 10 µs to 1 ms, too near the clock's and the caller's own time.
_CALLS = 20

Function = Callable[["torch.Tensor"], "torch.Tensor"]


@functools.cache
def _prepared(name: str) -> tuple[Function, torch.Tensor]:
    """The activation, and its float32 input, (1000, 40) standard normal numbers."""
    import torch

    from bench.techniques.activation import make_activation

    torch.set_num_threads(1)
    numbers = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(0))
    return make_activation(name), numbers.requires_grad_()


def _value(function: Function, x: torch.Tensor) -> None:
    function(x)


def _first(function: Function, x: torch.Tensor) -> None:
    import torch

    y = function(x)
    torch.autograd.grad(y, x, torch.ones_like(y))


def _second(function: Function, x: torch.Tensor) -> None:
    import torch

    y = function(x)
    ones = torch.ones_like(y)
    (slope,) = torch.autograd.grad(y, x, ones, create_graph=True)
    torch.autograd.grad(slope, x, ones)


_ORDERS = {"value": _value, "first derivative": _first, "second derivative": _second}


class Activation:
    """An activation on (1000, 40) float32 numbers, in one thread.

    Each order includes those before it: a second derivative needs the value and the first.
    """

    version = "1"
    timeout = 120
    warmup_time = 0.2
    repeat = (10, 200, 1.0)
    rounds = len(cases([0], [], [1]))
    param_names = ["activation", "order"]
    params = [
        cases(
            ["tanh"],
            ["irelu"],
            [
                *("ielu", "igelu", "isilu", "itanh", "isoftplus"),
                *("relu", "elu", "gelu", "silu", "softplus", "ssp", "sigmoid", "sin"),
            ],
        ),
        cases(["second derivative"], [], ["value", "first derivative"]),
    ]

    def setup(self, activation: str, order: str) -> None:
        self.function, self.x = _prepared(activation)
        self.evaluate = _ORDERS[order]

    @describe("activation: time of 20 evaluations")
    def time_evaluations(self, activation: str, order: str) -> None:
        """Twenty evaluations of the value and its derivatives up to the order."""
        for _ in range(_CALLS):
            self.evaluate(self.function, self.x)
