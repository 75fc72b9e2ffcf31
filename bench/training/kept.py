"""Small tensors that a compiled graph computes once and not for each element that needs them.

Inductor inlines what is computed element by element into its users: the cosine of a row's distance
is then computed anew for each of the row's features. What is dear and small is kept in memory.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx

#: Operators that cost far more than a read from the cache.
_DEAR = {"cos", "sin", "exp", "log", "log1p", "pow", "sqrt", "rsqrt", "tanh", "sigmoid", "erf"}
_DEAR |= {"div", "reciprocal", "softplus"}
#: A user with so many times the elements computes its argument anew for each.
_LARGER = 8
#: Operators that move elements and compute nothing.
_VIEWS = {"view", "unsqueeze", "squeeze", "expand", "_unsafe_view", "permute", "t", "slice"}
_VIEWS |= {"transpose", "alias", "detach", "reshape"}


@torch.library.custom_op("bench::kept", mutates_args=())
def _kept(x: Tensor) -> Tensor:
    return x.clone()


@_kept.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@cache
def _lower() -> None:
    """Tell inductor that the operator's argument is to be in memory."""
    from torch._inductor.lowering import clone, register_lowering

    @register_lowering(torch.ops.bench.kept.default)
    def lowered(x: Any) -> Any:
        x.realize()
        return clone(x)


def keep_dear(graph: fx.GraphModule) -> None:
    """Mark, in a traced graph, each dear small tensor that is spread over a larger one."""
    _lower()
    dear: dict[fx.Node, bool] = {}
    for node in list(graph.graph.nodes):
        dear[node] = _is_dear(node, dear)
        if not dear[node] or _name(node) in _VIEWS:
            continue
        spread = [user for user in node.users if _spreads(node, user)]
        if not spread:
            continue
        with graph.graph.inserting_after(node):
            kept = graph.graph.call_function(torch.ops.bench.kept.default, (node,))
        kept.meta = dict(node.meta)
        for user in spread:
            user.replace_input_with(node, kept)
    graph.recompile()


def _name(node: fx.Node) -> str:
    """The operator's name without its overload."""
    packet = getattr(node.target, "overloadpacket", None)
    return "" if packet is None else str(packet.__name__)


def _size(node: fx.Node) -> int | None:
    value = node.meta.get("val")
    return math.prod(value.shape) if isinstance(value, Tensor) else None


def _is_dear(node: fx.Node, dear: dict[fx.Node, bool]) -> bool:
    """Whether a chain of elementwise operators on tensors of this size has a dear one."""
    size = _size(node)
    if node.op != "call_function" or size is None:
        return False
    if _name(node) in _DEAR:
        return True
    pointwise = torch.Tag.pointwise in getattr(node.target, "tags", ())
    if not pointwise and _name(node) not in _VIEWS:
        return False
    return any(dear.get(one, False) and _size(one) == size for one in node.all_input_nodes)


def _spreads(node: fx.Node, user: fx.Node) -> bool:
    """Whether a user, or one behind views, has many more elements and computes with them."""
    size, larger = _size(node), _size(user)
    if size is None or larger is None:
        return False
    if _name(user) in _VIEWS:
        return any(_spreads(node, one) for one in user.users)
    pointwise = torch.Tag.pointwise in getattr(user.target, "tags", ())
    return pointwise and larger >= _LARGER * size
