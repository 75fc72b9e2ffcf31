"""Activations with one fault each, and one without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Snake(nn.Module):
    """What users write: no fault."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.a * x) ** 2 / self.a


def _expanded(x: Tensor, *derivatives: Tensor) -> Tensor:
    """A function by its value and derivatives at `x`; all further ones are 0."""
    shift, found, power = x - x.detach(), torch.zeros_like(x), torch.ones_like(x)
    for order, values in enumerate(derivatives):
        found = found + power * values.detach()
        power = power * shift / (order + 1)
    return found


class WrongFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _expanded(x, torch.tanh(x), 1.01 * (1 - torch.tanh(x) ** 2))


class WrongSecond(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        return _expanded(x, y, 1 - y**2)


class WrongThird(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        return _expanded(x, y, 1 - y**2, -2 * y * (1 - y**2))


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (1 - torch.tanh(x) ** 2)


class Once(nn.Module):
    """Its derivative has no derivative."""

    def forward(self, x: Tensor) -> Tensor:
        return _Once.apply(x)


class _Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (1 - torch.tanh(x) ** 2)


class Opaque(nn.Module):
    """As torch's older custom functions: right in reverse mode, and only there."""

    def forward(self, x: Tensor) -> Tensor:
        return _Opaque.apply(x)


class _WrongForward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (1 - torch.tanh(x) ** 2)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return tangent * (1 + torch.tanh(x) ** 2)


class WrongForward(nn.Module):
    """Right in reverse mode, and wrong in forward mode."""

    def forward(self, x: Tensor) -> Tensor:
        return _WrongForward.apply(x)


class Strided(nn.Module):
    """Looks at the memory, and not at the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) if x.is_contiguous() else torch.sin(x)


class _Detached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradient * (1 - y.detach() ** 2)


class SecondDetached(nn.Module):
    """Its derivative is a constant to the next."""

    def forward(self, x: Tensor) -> Tensor:
        return _Detached.apply(x)


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) * (1 + 0.1 * torch.rand_like(x))


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_(min=0)


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x.double())


class Single(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x.float())


class Flat(nn.Module):
    """Keeps the shape of the matrix that the harness tries, and of no other."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(torch.atleast_2d(x))


class Centred(nn.Module):
    """An element depends on all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x - x.mean())


class Jump(nn.Module):
    """The integrated ELU of the published code: its parts do not meet."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x**2 / 2, torch.exp(x.clamp(max=0)) - x)


class Overflow(nn.Module):
    """log cosh as it is written."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(torch.cosh(x))


class Moody(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) if self.training else x


class Branching(nn.Module):
    """Python decides by the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x) if bool((x.abs() < 5).any()) else torch.cos(x)


class GraphBreak(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return torch.tanh(x)


class WrongByParameter(Snake):
    """The gradient by `a` is another function's."""

    def forward(self, x: Tensor) -> Tensor:
        a = self.a.detach()
        return torch.tanh(a * x) + (self.a - a) * x


class Untrained(Snake):
    def __init__(self) -> None:
        super().__init__()
        self.a.requires_grad_(False)


class Unused(Snake):
    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.ones(()))


_SHARED = nn.Parameter(torch.ones(()))


class Shared(nn.Module):
    """One parameter for all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = _SHARED

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.slope * x)


class Forgetful(nn.Module):
    """Its slope is no part of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = 1 + torch.rand(())

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.slope * x)


class PerNeuron(nn.Module):
    """What users write who want a parameter a neuron: no fault."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.a * x) ** 2 / self.a


class Uneven(PerNeuron):
    """The neurons are not alike."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.a.data = torch.linspace(0.5, 1.5, width)


class TooLate(nn.Module):
    """Makes its parameter when it meets the first input."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "a"):
            self.a = nn.Parameter(torch.ones(x.shape[-1]))
        return torch.tanh(self.a * x)


class Anew(Snake):
    """Replaces its parameter at every call."""

    def forward(self, x: Tensor) -> Tensor:
        self.a = nn.Parameter(self.a.detach().clone())
        return super().forward(x)


class InAList(nn.Module):
    """Its parameter is in a plain list, where torch does not look."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = [nn.Parameter(torch.ones(()))]

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.slopes[0] * x)


class InTraining(nn.Module):
    """Makes its parameter at its hundredth call, when training has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 100:
            self.a = nn.Parameter(torch.ones(()))
        return torch.tanh(x)


_MODULE = Snake()


def one_module() -> nn.Module:
    """The same module at every call."""
    return _MODULE
