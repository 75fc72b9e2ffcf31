"""One compiled graph for all that compute the same."""

import torch

from bench.training import traced
from bench.training.traced import compile_traced


def _loss(weights: torch.Tensor, points: torch.Tensor):
    """A loss and its gradient, which refers to two tensors."""

    def function(vector):
        with torch.enable_grad():
            vector = vector.detach().requires_grad_()
            loss = (weights * torch.tanh(points @ vector) ** 2).sum()
            (gradient,) = torch.autograd.grad(loss, vector)
        return loss.detach(), gradient

    return function


def _numbers(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(11, generator=generator, dtype=torch.float64),
        torch.randn(11, 3, generator=generator, dtype=torch.float64),
        torch.randn(3, generator=generator, dtype=torch.float64),
    )


def _agree(found, wanted) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=0)


def test_one_graph_serves_all_that_differ_in_numbers():
    traced._compiled.cache_clear()
    for seed in range(3):
        weights, points, vector = _numbers(seed)
        function = _loss(weights, points)
        _agree(compile_traced(function, vector)(vector), function(vector))
    kept = traced._compiled.cache_info()
    assert (kept.misses, kept.hits) == (1, 2)


def test_other_shapes_have_another_graph():
    weights, points, vector = _numbers(0)
    whole, part = _loss(weights, points), _loss(weights[:7], points[:7])
    _agree(compile_traced(whole, vector)(vector), whole(vector))
    _agree(compile_traced(part, vector)(vector), part(vector))


def test_what_a_function_refers_to_is_read_at_each_call():
    weights, points, vector = _numbers(0)
    function = _loss(weights, points)
    run = compile_traced(function, vector)
    weights.mul_(3.0)
    _agree(run(2 * vector), function(2 * vector))


def test_compiling_changes_nothing_and_each_call_does():
    """As running statistics and counters of a user's module, whole or in part."""
    norm = torch.nn.BatchNorm1d(3).double()
    level, calls = torch.zeros(3, dtype=torch.float64), torch.zeros(2)
    state = [*norm.buffers(), level, calls]

    def function(x):
        calls[1].add_(1)
        level.lerp_(x.mean(0), 0.1)
        return (norm(x) * level,)

    x = torch.arange(15.0, dtype=torch.float64).reshape(5, 3).sin()
    before = [tensor.clone() for tensor in state]
    traced._compiled.cache_clear()
    run = compile_traced(function, x)
    assert all(map(torch.equal, state, before))
    found = [run(x)[0], run(x)[0]]
    after = [tensor.clone() for tensor in state]
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    _agree(found, [function(x)[0].detach(), function(x)[0].detach()])
    _agree(after, state)


def test_what_one_function_changes_is_not_another_s():
    """Though they share a graph."""
    x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).sin()

    def counting(start):
        level = torch.full((3,), start, dtype=torch.float64)

        def function(vector):
            level.lerp_(vector.mean(0), 0.1)
            return (vector * level,)

        return function, level

    for start in (1.0, 2.0):
        (function, level), (plain, expected) = counting(start), counting(start)
        _agree(compile_traced(function, x)(x), plain(x))
        _agree([level], [expected])
