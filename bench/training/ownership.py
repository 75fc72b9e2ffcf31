"""Whether an optimiser owns all that a network could train."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


class UnownedParameter(Exception):
    """A parameter of the network that no optimiser owns: it would keep its first values."""


def check_owned(net: nn.Module, owned: Iterable[Tensor]) -> None:
    """Refuse a parameter that was made, or replaced, after the optimiser was.

    Args:
        net: The network. Its frozen parameters need no owner.
        owned: What the optimiser updates.

    Raises:
        UnownedParameter: There is one, and the message names it and its module.
    """
    known = {id(parameter) for parameter in owned}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad and id(parameter) not in known:
            path = name.rpartition(".")[0]
            raise UnownedParameter(
                f"parameter {name!r} (of {type(net.get_submodule(path)).__name__}) of shape"
                f" {tuple(parameter.shape)} is not trained: it was made after the optimiser, in a"
                " forward pass or by an initialisation; make it where its module is made"
            )
