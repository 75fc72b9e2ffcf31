"""Whether an optimiser owns all that a network could train."""

from __future__ import annotations

from torch import nn

from bench.training.parameters import FlatParameters


class UnownedParameter(Exception):
    """A parameter of the network that no optimiser owns: it would keep its first values."""


def check_owned(net: nn.Module, owned: FlatParameters) -> None:
    """Refuse a parameter that was made, or replaced, after the optimiser was.

    Args:
        net: The network. Its frozen parameters need no owner.
        owned: What the optimiser updates.

    Raises:
        UnownedParameter: There is one, and the message names it and its module.
    """
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad or owned.holds(parameter):
            continue
        path = name.rpartition(".")[0]
        raise UnownedParameter(
            f"parameter {name!r} (of {type(net.get_submodule(path)).__name__}) of shape"
            f" {tuple(parameter.shape)} is not trained: it was made after the optimiser, in a"
            " forward pass or by an initialisation (make it where its module is made), or its"
            " memory was exchanged, as by 'p.data = …' (write to it in place: 'p.data.copy_(…)')"
        )
