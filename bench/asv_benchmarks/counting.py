"""How much a function computes, in counts that are the same on every machine and in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Counts(NamedTuple):
    """What a call does.

    Attributes:
        operators: ATen operators that compute: no views, no allocations.
        flops: Floating-point operations of the matrix products, as PyTorch counts them.
    """

    operators: int
    flops: int


def count(function: Callable[[], object]) -> Counts:
    """Count what a function does in its second call; the first one sets up what is kept.

    Args:
        function: Called twice, without arguments.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        # FlopCounterMode itself hooks into modules, which derivatives by inputs do not survive.
        operators = 0
        flops = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            result = func(*args, **kwargs)
            if not func.is_view and not func.name().startswith("aten::empty"):
                self.operators += 1
            if func._overloadpacket in flop_registry:
                flops = flop_registry[func._overloadpacket]
                self.flops += int(flops(*args, **kwargs, out_val=result))
            return result

    function()
    counter = Counter()
    with counter:
        function()
    return Counts(counter.operators, counter.flops)
