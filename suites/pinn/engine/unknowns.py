"""The unknowns of an inverse problem: tensors outside the network that are trained with it.

A user's equations hold such a tensor themselves (a ``dde.Variable`` of their module, of a closure,
of an object), so every run of a process sees the same one. A run therefore never writes to it: it
owns a copy, which takes the place of the tensor whenever the functions compute, at every call of
torch (`torch.overrides.TorchFunctionMode`) and of a ``torch.autograd.Function``. So the copy may as
well be a part of a traced computation.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from bench.text.errors import BadInput, nearest

#: Before an unknown's name among the parameters and buffers of a network.
PREFIX = "unknowns."


@dataclass(frozen=True)
class Held:
    """A tensor of a user's functions, under the name that it has there."""

    name: str
    tensor: Tensor


class Unknowns:
    """The unknowns of a run, each with a value of its own; none of a forward problem.

    Args:
        held: The user's tensors. They are only read.
        device: Device of the values.
        dtype: Type of the values, whichever the tensors have.

    Attributes:
        values: The present value of each by name, as a parameter of the tensor's shape.
        start: The values as the user's code declares them.
    """

    def __init__(
        self,
        held: Sequence[Held] = (),
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._held = [(one.tensor, one.name) for one in held]
        self.start = {
            one.name: one.tensor.detach().to(device=device, dtype=dtype, copy=True) for one in held
        }
        self.values = {name: nn.Parameter(start.clone()) for name, start in self.start.items()}
        self._in_place = False

    def __bool__(self) -> bool:
        return bool(self.values)

    def also(self, name: str, tensor: Tensor) -> None:
        """Let another tensor of the user's stand for the same unknown."""
        self._held.append((tensor, name))

    def stands_for(self, tensor: Tensor) -> bool:
        """Whether a tensor is the user's own of one of them."""
        return any(one is tensor for one, _ in self._held)

    def parameters(self) -> dict[str, nn.Parameter]:
        """The values under their names in a state; see `using`."""
        return {PREFIX + name: value for name, value in self.values.items()}

    def named(self) -> dict[str, Tensor]:
        """`parameters`, as tensors."""
        return dict(self.parameters())

    @contextlib.contextmanager
    def using(self, state: Mapping[str, Tensor] | None = None) -> Iterator[None]:
        """Put values in the place of the user's tensors inside the context.

        Args:
            state: Holds the values, among other tensors, under the names that `named` gives them.
                ``None``: the run's own, unless a context around this one has put others there.
        """
        if not self._held or (state is None and self._in_place):
            yield
            return
        values = self.named() if state is None else state
        swaps = {id(tensor): values[PREFIX + name] for tensor, name in self._held}
        before, self._in_place = self._in_place, True
        try:
            with _Swap(swaps):
                yield
        finally:
            self._in_place = before

    def names_of(self, tensors: Iterable[Tensor]) -> set[str]:
        """The names of the values that are among tensors."""
        known = {id(value): name for name, value in self.values.items()}
        return {known[id(tensor)] for tensor in tensors if id(tensor) in known}

    def inside[**P, R](self, function: Callable[P, R]) -> Callable[P, R]:
        """A function that computes with the values in place."""

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.using():
                return function(*args, **kwargs)

        return call

    def moved(self, dtype: torch.dtype, least: float = 0.05) -> list[dict[str, Tensor]]:
        """Other values, states as `using` takes them; none of a forward problem.

        What a computation takes for a constant although an unknown is in it, these show. The values
        are further from 0 than the present ones in the first state, and less far, or on its other
        side, in the second: a value may start at a bound of ``clamp``, or at a branch.

        Args:
            dtype: Of the values.
            least: How far each is moved at least, as a part of its size; three times it at most.
        """
        generator = torch.Generator("cpu").manual_seed(0)
        away: dict[str, Tensor] = {}
        towards: dict[str, Tensor] = {}
        for name, value in self.named().items():
            now = value.detach().to(dtype)
            drawn = torch.rand(now.shape, generator=generator, device="cpu", dtype=torch.float64)
            size = torch.where(now == 0, torch.ones_like(now), now.abs())
            step = least * (1 + 2 * drawn).to(now) * torch.where(now < 0, -size, size)
            away[name], towards[name] = now + step, now - step
        return [away, towards] if away else []

    def cast(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The present values in another type, a state as `using` takes it."""
        return {name: value.detach().to(dtype) for name, value in self.named().items()}

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of the values by name."""
        return {name: value.detach().clone() for name, value in self.values.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Set the values.

        Raises:
            BadInput: The state is that of other unknowns; the message names one.
        """
        for name in self.values:
            if name not in state:
                these = f"its unknowns: {', '.join(state)}" if state else "it has no unknowns"
                raise BadInput(
                    f"the run was trained without the unknown {name!r}, which stayed at the value"
                    f" that its code declared{nearest(name, state)} ({these}): run it again"
                )
        for name in state:
            if name not in self.values:
                raise BadInput(
                    f"the run has trained the unknown {name!r}, which its problem no longer"
                    f" has{nearest(name, self.values)}"
                )
        for name, value in self.values.items():
            value.data.copy_(state[name])


class _Swap(TorchFunctionMode):
    """Replaces tensors among the arguments of every call of torch.

    Args:
        swaps: The replacements, by the identity of what they replace.
    """

    def __init__(self, swaps: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._swaps = swaps

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        named = {name: self.swapped(value) for name, value in (kwargs or {}).items()}
        return func(*(self.swapped(value) for value in args), **named)

    def __enter__(self) -> _Swap:
        _follow_own_functions()
        super().__enter__()
        return self

    def swapped(self, value: Any) -> Any:
        """The argument, with replacements where it has any in it."""
        if isinstance(value, Tensor):
            return self._swaps.get(id(value), value)
        if isinstance(value, list | tuple):
            parts = [self.swapped(part) for part in value]
            changed = any(new is not old for new, old in zip(parts, value, strict=True))
            return _with_parts(value, parts) if changed else value
        if isinstance(value, dict):
            named = {name: self.swapped(part) for name, part in value.items()}
            changed = any(part is not value[name] for name, part in named.items())
            return _with_parts(value, named) if changed else value
        return value


def _with_parts(container: Any, parts: Any) -> Any:
    """A container of the same type, also where that is a subclass (a named tuple), with others."""
    if isinstance(container, tuple):
        return tuple.__new__(type(container), parts)
    found = copy.copy(container)
    for place in range(len(parts)) if isinstance(container, list) else parts:
        found[place] = parts[place]
    return found


@functools.cache
def _follow_own_functions() -> None:
    """Let replacements act on the arguments of ``torch.autograd.Function.apply``.

    It is the one way from Python into torch's graph that no `TorchFunctionMode` sees. Outside a
    `_Swap` of the same thread it does what it did.
    """
    stock = torch.autograd.Function.__dict__["apply"].__func__

    @functools.wraps(stock)
    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        for mode in reversed(_get_current_function_mode_stack()):
            if isinstance(mode, _Swap):
                args = tuple(mode.swapped(value) for value in args)
                kwargs = {name: mode.swapped(value) for name, value in kwargs.items()}
        return stock(cls, *args, **kwargs)

    torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment]
