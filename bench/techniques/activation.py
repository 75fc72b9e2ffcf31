"""The activation axis.

An activation is a factory without arguments that returns a `torch.nn.Module`. The module maps a
tensor of any shape to one of the same shape, element by element. It can be differentiated three
times: a residual with second derivatives needs the third for the gradients of its parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.text.errors import BadInput

if TYPE_CHECKING:
    import torch

Activation = Callable[[], "torch.nn.Module"]

ACTIVATIONS = Registry(
    "activation",
    {
        "irelu": Choice("bench.techniques.integrated:IReLU", "integrated ReLU, ½max(0,x)²"),
        "ielu": Choice("bench.techniques.integrated:IntegratedELU", "integrated ELU"),
        "igelu": Choice("bench.techniques.integrated:IntegratedGELU", "integrated GELU"),
        "isilu": Choice("bench.techniques.integrated:IntegratedSiLU", "integrated SiLU"),
        "itanh": Choice("bench.techniques.integrated:IntegratedTanh", "log cosh"),
        "isoftplus": Choice("bench.techniques.integrated:IntegratedSoftplus", "−Li₂(−eˣ)"),
        "tanh": Choice("torch.nn:Tanh", "hyperbolic tangent"),
        "sin": Choice("bench.techniques.elementwise:Sine", "sine"),
        "silu": Choice("bench.techniques.elementwise:SiLU", "x·sigmoid(x), also known as swish"),
        "gelu": Choice("torch.nn:GELU", "x·Φ(x), exact"),
        "elu": Choice("torch.nn:ELU", "exponential linear unit"),
        "softplus": Choice("bench.techniques.elementwise:Softplus", "log(1 + eˣ)"),
        "ssp": Choice("bench.techniques.elementwise:ShiftedSoftplus", "softplus(x) − ln 2, SchNet"),
        "relu": Choice("torch.nn:ReLU", "max(0, x)"),
        "sigmoid": Choice("bench.techniques.elementwise:Sigmoid", "logistic function"),
    },
)


def _takes_a_tensor(factory: Callable[..., object]) -> bool:
    """Whether it is a function with one argument that must be given."""
    if isinstance(factory, type):
        return False
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return True
    return any(parameter.default is parameter.empty for parameter in parameters)


def make_activation(token: str) -> torch.nn.Module:
    """A new activation module.

    Raises:
        BadInput: The token is unknown, it names something that is no factory of modules, or the
            module changes the shape or the dtype of its input.
    """
    import torch

    factory = ACTIVATIONS.get(token)
    if isinstance(factory, torch.nn.Module):
        raise BadInput(
            f"activation {token!r} is a module, and must be what makes one: name the class, or a"
            " function without arguments"
        )
    try:
        module = factory()
    except TypeError as error:
        if not _takes_a_tensor(factory):
            raise
        raise BadInput(
            f"activation {token!r} is a function of a tensor, and must be what makes a"
            " torch.nn.Module: a class, or a function without arguments"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise BadInput(
            f"activation {token!r} returned {type(module).__name__}, not a torch.nn.Module"
        )
    probe = torch.zeros(3, 2)
    with torch.no_grad():
        found = module(probe)
    if tuple(found.shape) != (3, 2):
        raise BadInput(
            f"activation {token!r} maps the shape (3, 2) to {tuple(found.shape)}: not elementwise"
        )
    if found.dtype != probe.dtype:
        raise BadInput(f"activation {token!r} maps {probe.dtype} to {found.dtype}")
    return module
