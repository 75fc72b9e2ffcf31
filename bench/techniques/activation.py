"""The activation axis.

An activation is a factory that returns a `torch.nn.Module`: without arguments, or called with the
width, as a normalisation is, if its one required argument has a name of
`bench.techniques.width.WIDTH_NAMES`. The module maps a tensor of any shape, with the width as its
last axis, to one of the same shape, element by element. It can be differentiated three times: a
residual with second derivatives needs the third for the gradients of its parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.techniques.registry import Choice, Registry
from bench.techniques.width import WIDTH_NAMES, required_arguments, takes_width
from bench.text.errors import BadInput, nearest, typed

if TYPE_CHECKING:
    import torch

Activation = Callable[[], "torch.nn.Module"] | Callable[[int], "torch.nn.Module"]

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


def make_activation(token: str, width: int | None = 1) -> torch.nn.Module:
    """A new activation module; see `make_activations`."""
    return make_activations(token, [width])[0]


def make_activations(token: str, widths: Sequence[int | None]) -> list[torch.nn.Module]:
    """New activation modules, one for each place in a network.

    What they share with each other (a factory may return one module each time) they share in this
    network alone: they are copied together, so that no run trains what another begins with.

    Args:
        token: A choice on the axis.
        widths: Of each module: the size of the last axis of what it gets. 1 stands for any, with
            one parameter for all features; ``None`` if it gets tensors of several widths.

    Raises:
        BadInput: The token is unknown, it names something that is no factory of modules, the module
            changes the shape or the dtype of its input, makes parameters in its forward pass,
            cannot be copied, or takes a width that nobody knows.
    """
    factory = ACTIVATIONS.get(token)
    made = [_made(token, factory, width) for width in widths]
    if ACTIVATIONS.reference(token) is not None:
        made = _copied(token, made)
    for module, width in zip(made, widths, strict=True):
        _build(token, module, width)
    return made


def _made(token: str, factory: Callable[..., object], width: int | None) -> torch.nn.Module:
    """What the factory returns for a width."""
    import torch

    if isinstance(factory, torch.nn.Module):
        raise BadInput(
            f"activation {token!r} is a module, and must be what makes one: name the class, or a"
            " function without arguments"
        )
    by_width = takes_width(factory)
    if by_width and width is None:
        raise _of_several_widths(token, "takes the width")
    required = [] if by_width else required_arguments(factory)
    if isinstance(factory, type) and required:
        needed = ", ".join(map(repr, required)) + nearest(required[0], WIDTH_NAMES)
        raise BadInput(
            f"activation {token!r} needs {needed}: it is made without arguments, or with the width,"
            f" called one of {', '.join(WIDTH_NAMES)}"
        )
    not_a_factory = BadInput(
        f"activation {token!r} is a function of a tensor, and must be what makes a"
        " torch.nn.Module: a class, or a function without arguments or of the width, called one of"
        f" {', '.join(WIDTH_NAMES)}"
    )
    try:
        module = factory(width) if by_width else factory()
    except TypeError as error:
        if isinstance(factory, type) or (required == [] and not by_width):
            raise
        raise not_a_factory from error
    if isinstance(module, torch.Tensor) and by_width:
        raise not_a_factory
    if not isinstance(module, torch.nn.Module):
        raise BadInput(
            f"activation {token!r} returned {type(module).__name__}, not a torch.nn.Module"
        )
    return module


def _of_several_widths(token: str, why: str) -> BadInput:
    return BadInput(
        f"activation {token!r} {why}, and this network applies one module to tensors of several"
        " widths: only an activation that is the same at every width can be used there"
    )


def _copied(token: str, modules: list[torch.nn.Module]) -> list[torch.nn.Module]:
    try:
        return copy.deepcopy(modules)
    except Exception as error:  # a user's own may hold anything
        raise BadInput(
            f"activation {token!r} cannot be copied, as every run's own must be: {typed(error)}"
        ) from error


def _build(token: str, module: torch.nn.Module, width: int | None) -> None:
    """Try a copy of a module on a few numbers, and make its lazy parameters."""
    import torch

    from bench.techniques.registered import check_registered, is_unbuilt

    unbuilt = is_unbuilt(module)
    if unbuilt and width is None:
        raise _of_several_widths(token, "is built for the width that it meets first")
    probe = torch.zeros(3, 2 if width in (None, 1) else width)
    # A copy, since what a module does at its first call may depend on the shape; and what it draws
    # is not to be missed by the modules after it.
    with torch.random.fork_rng(devices=[]):
        tried = _copied(token, [module])[0]
        found = check_registered(
            f"activation {token!r}",
            tried,
            lambda: tried(probe),
            "make it in __init__, which may take the width: def __init__(self, width)",
        )
        if unbuilt:
            with torch.no_grad():
                module(torch.zeros(3, width or 1))
    shape, wanted = tuple(found.shape), tuple(probe.shape)
    if shape != wanted:
        raise BadInput(f"activation {token!r} maps the shape {wanted} to {shape}: not elementwise")
    if found.dtype != probe.dtype:
        raise BadInput(f"activation {token!r} maps {probe.dtype} to {found.dtype}")
