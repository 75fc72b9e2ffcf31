"""What is dear and small is marked, and nothing else; the numbers stay."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from bench.training.kept import keep_dear

SMALL, LARGE = torch.rand(5), torch.rand(5, 16)


def marked(function: object, *examples: Tensor) -> tuple[fx.GraphModule, list[str]]:
    """The graph of a function, and the operators whose result is kept."""
    graph = make_fx(function, tracing_mode="fake")(*examples)
    keep_dear(graph)
    kept = [n for n in graph.graph.nodes if n.target is torch.ops.bench.kept.default]
    return graph, [str(node.args[0].target) for node in kept]


def test_a_cosine_that_is_spread_over_features_is_kept() -> None:
    def function(d: Tensor, x: Tensor) -> Tensor:
        return (0.5 * (torch.cos(d) + 1))[:, None] * x

    graph, kept = marked(function, SMALL, LARGE)
    assert kept == ["aten.mul.Tensor"]
    assert torch.equal(graph(SMALL, LARGE), function(SMALL, LARGE))


def test_each_tensor_is_kept_once() -> None:
    def function(d: Tensor, x: Tensor) -> Tensor:
        c = torch.cos(d)[:, None]
        return c * x + (c - x)

    assert marked(function, SMALL, LARGE)[1] == ["aten.cos.default"]


def test_what_is_cheap_or_large_is_not() -> None:
    assert not marked(lambda d, x: (d + 1)[:, None] * x, SMALL, LARGE)[1]
    assert not marked(lambda d, x: torch.cos(x) * x, SMALL, LARGE)[1]
    assert not marked(lambda d, x: torch.cos(d) * x.sum(1), SMALL, LARGE)[1]
