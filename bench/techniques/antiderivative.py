"""Differentiable elementwise operations from an accurate value and an exact derivative.

Differentiating a numerical approximation (a series, a polynomial fit) differentiates its error
too. Here the value comes from the most accurate formula. The derivative is another differentiable
function, often made the same way. So every order is as accurate as the formula written for it:

    softplus = differentiable(softplus_value, sigmoid)
    softplus_integral = differentiable(softplus_integral_value, softplus)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

Elementwise = Callable[..., Tensor]


def differentiable(value: Elementwise, derivative: Elementwise) -> Elementwise:
    """Join ``value(x, *parameters)`` and ``derivative(x, *parameters)`` into one operation.

    Both map a real floating tensor of any shape to one of the same shape and dtype, elementwise;
    the parameters are plain numbers, which no gradient flows to. ``value`` is never traced by
    autograd, so it may work in place on its own temporaries. ``derivative`` must be
    differentiable; it may call the result of another ``differentiable``, also in a cycle, so that
    derivatives of every order exist.

    The result supports nested ``torch.autograd.grad``, ``torch.autograd.forward_ad``, every
    nesting of the ``torch.func`` transforms, and ``make_fx``. Under ``torch.compile`` it is one
    node of the graph, without a graph break; forward-mode differentiation inside a compiled
    region is not supported and raises.
    """

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(x: Tensor, *parameters: float) -> Tensor:
            return value(x, *parameters)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            x, *ctx.parameters = inputs
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
            (x,) = ctx.saved_tensors
            return grad * derivative(x, *ctx.parameters), *(None for _ in ctx.parameters)

        @staticmethod
        def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
            (x,) = ctx.saved_tensors
            # PyTorch switches forward mode off in here, for the outer levels as well: nested
            # forward mode would silently see a constant. Drop this level's tangent, keep theirs.
            with forward_ad._set_fwd_grad_enabled(True):
                return tangent * derivative(forward_ad.unpack_dual(x).primal, *ctx.parameters)

        # Not `generate_vmap_rule`: a generated rule runs `jvp` batched, where `unpack_dual` has
        # no batching rule; an elementwise function needs nothing but its own batched input.
        @staticmethod
        def vmap(
            info: Any, in_dims: tuple[int | None, ...], x: Tensor, *parameters: float
        ) -> tuple[Tensor, int | None]:
            return Function.apply(x, *parameters), in_dims[0]

    def operation(x: Tensor, *parameters: float) -> Tensor:
        return Function.apply(x, *parameters)

    # Dynamo would break the graph at a Function with a `jvp`; AOTAutograd traces it faithfully.
    return torch.compiler.allow_in_graph(operation)
