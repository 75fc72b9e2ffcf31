"""Whether all that a module trains is registered with it: no optimiser finds anything else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.techniques.graph_leaves import leaves
from bench.text.errors import BadInput


def is_unbuilt(module: nn.Module) -> bool:
    """Whether it has lazy parameters or buffers, whose shapes follow from its first input."""
    return any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))


def check_registered(
    what: str, module: nn.Module, forward: Callable[[], Tensor], instead: str
) -> Tensor:
    """Run a module, and refuse what it would train that no optimiser could know of.

    That is a parameter that appears, or is replaced, in the forward pass, and a trainable tensor
    that the output depends on and that is no parameter of the module: in a plain list, for example.
    A lazy parameter (`torch.nn.parameter.UninitializedParameter`) is known from the beginning.

    Args:
        what: The module, for the message.
        module: The module; it may be changed by the call.
        forward: Runs it on an input without a graph.
        instead: How the message goes on: where parameters belong.

    Returns:
        The output, with its graph.

    Raises:
        BadInput: There is one, and the message names it.
    """
    before = {name: id(parameter) for name, parameter in module.named_parameters()}
    with torch.enable_grad():
        found = forward()
    after = {name: id(parameter) for name, parameter in module.named_parameters()}
    for name, identity in after.items():
        if before.get(name) != identity:
            made = "replaces" if name in before else "makes"
            raise BadInput(
                f"{what} {made} its parameter {name!r} in forward, where no optimiser sees it:"
                f" {instead}"
            )
    for leaf in leaves(found) if isinstance(found, Tensor) else ():
        if id(leaf) not in after.values():
            raise BadInput(
                f"{what} depends on a trainable tensor{_place(module, leaf)} of shape"
                f" {tuple(leaf.shape)} that is none of its parameters, so that no optimiser sees"
                " it: make it a torch.nn.Parameter that is an attribute of the module, or in a"
                " torch.nn.ParameterList"
            )
    return found


def _place(module: nn.Module, leaf: Tensor) -> str:
    """The name of the attribute that holds a tensor, itself or in a container, if one does."""
    for path, one in module.named_modules():
        for name, value in vars(one).items():
            held = value.values() if isinstance(value, dict) else value
            inside = held if isinstance(value, dict | list | tuple) else ()
            if value is leaf or any(entry is leaf for entry in inside):
                return f" {'.'.join(filter(None, (path, name)))!r}"
    return ""
