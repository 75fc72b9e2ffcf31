"""What becomes of tensors in a computation: who takes their values out of the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: Calls of a tensor that tell nothing of its values, beside its attributes.
_ABOUT = {
    *("size", "stride", "dim", "ndimension", "numel", "nelement", "__len__", "element_size"),
    *("is_floating_point", "is_complex", "is_contiguous", "get_device", "requires_grad_", "type"),
    *("__repr__", "__str__", "__format__", "__hash__", "__dir__", "__iter__", "register_hook"),
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"),
    *("type_as", "view_as", "expand_as", "reshape_as"),
}
#: Calls that make numbers of a tensor, without its gradient, and what they are to a user.
_NUMBERS = {
    "__float__": "float()",
    "__int__": "int()",
    "__array__": "numpy",
    "numpy": ".numpy()",
    "item": ".item()",
    "tolist": ".tolist()",
    "tensor": "torch.tensor()",
}
_CALLS = {**_NUMBERS, "__bool__": "bool()", "detach": ".detach()", "data": ".data"}


class Reads(TorchFunctionMode):
    """Notes which calls of torch use the values of tensors, inside the context.

    Args:
        tensors: The tensors.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        # The tensor itself, and what was computed from it without a gradient.
        self._origin = {id(tensor): tensor for tensor in tensors}
        self._kept: list[Any] = []
        self._calls: dict[int, list[str]] = {}
        self._without_gradient: set[int] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        found = func(*args, **(kwargs or {}))
        name = _name_of(func)
        if name is None:
            return found
        for tensor in _tensors((*args, *(kwargs or {}).values())):
            origin = self._origin.get(id(tensor))
            if origin is None:
                continue
            if not torch.is_grad_enabled():
                self._without_gradient.add(id(origin))
                continue
            self._calls.setdefault(id(origin), []).append(name)
            if isinstance(found, Tensor) and not found.requires_grad:
                self._origin.setdefault(id(found), origin)
                self._kept.append(found)
        return found

    def used(self, tensor: Tensor) -> bool:
        """Whether a call used its values where gradients are taken."""
        return id(tensor) in self._calls

    def used_without_gradient(self, tensor: Tensor) -> bool:
        """Whether a call used its values under `torch.no_grad`."""
        return id(tensor) in self._without_gradient

    def as_number(self, tensor: Tensor) -> str | None:
        """What makes a number or an array of it, as a user writes it; ``None``: nothing does."""
        names = self._calls.get(id(tensor), [])
        return next((_NUMBERS[name] for name in names if name in _NUMBERS), None)

    def reader(self, tensor: Tensor) -> str | None:
        """The call that most likely takes it out of the graph, as a user writes it."""
        names = self._calls.get(id(tensor), [])
        of_call = next((_CALLS[name] for name in _CALLS if name in names), None)
        return self.as_number(tensor) or of_call


def _name_of(func: Callable[..., Any]) -> str | None:
    """The name of a call that uses values; ``None`` for one that does not."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        attribute = getattr(getattr(func, "__self__", None), "__name__", "")
        return attribute if attribute in ("data", "T", "mT", "H", "mH", "real", "imag") else None
    name = "tensor" if name == "as_tensor" else name
    return None if name in _ABOUT or name in ("__set__", "__delete__") else name


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
