"""The tensors that a computation would be trained by, found in its graph."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def leaves(value: Tensor) -> list[Tensor]:
    """The tensors that require a gradient and that a value was computed from, in a fixed order."""
    if value.grad_fn is None:
        return [value] if value.requires_grad else []
    return [node.variable for node in nodes(value) if type(node).__name__ == "AccumulateGrad"]


def nodes(value: Tensor) -> list[Any]:
    """The nodes of a value's graph, each once, in a fixed order; that of a leaf has none."""
    found: list[Any] = []
    waiting: list[Any] = [] if value.grad_fn is None else [value.grad_fn]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        found.append(node)
        for following, _ in reversed(node.next_functions):
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found
