"""Initialisations: the contract, the statistics that they promise, what they leave alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.techniques.activation import make_activation
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import glorot_normal, he_normal, initialize, lsuv, orthogonal
from bench.testing import initialization_contract

WIDTH, DEPTH, ROWS = 40, 6, 512

TestContract = initialization_contract(*INITIALIZATIONS.names())


class Network(nn.Module):
    """(linear, activation, normalisation) × depth, then linear."""

    def __init__(self, activation: str, norm: Callable[[], nn.Module] = nn.Identity) -> None:
        super().__init__()
        sizes = [2, *[WIDTH] * DEPTH, 1]
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.activations = nn.ModuleList(make_activation(activation) for _ in range(DEPTH))
        self.norms = nn.ModuleList(norm() for _ in range(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        for linear, activation, norm in zip(
            self.linears[:-1], self.activations, self.norms, strict=True
        ):
            x = norm(activation(linear(x)))
        return self.linears[-1](x)


def points() -> Tensor:
    """Far from unit variance and not centred, as collocation points are."""
    uniform = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(1))
    return uniform * torch.tensor([1.0, 5.0])


def initialized(name: str, net: Network, seed: int = 0) -> Network:
    x = points()
    initialize(
        INITIALIZATIONS.get(name),
        net,
        list(net.linears),
        lambda: net(x),
        torch.Generator().manual_seed(seed),
    )
    return net


def deviations(net: Network, x: Tensor | None = None) -> list[float]:
    """Pooled deviation of every linear layer's output on the points."""
    found: list[float] = []
    handles = [
        layer.register_forward_hook(lambda _m, _i, y: found.append(y.double().std().item()))
        for layer in net.linears
    ]
    with torch.no_grad():
        net(points() if x is None else x)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("activation", ["tanh", "irelu", "ielu", "sin", "isilu"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lsuv_gives_unit_deviation_layer_by_layer(activation: str, seed: int) -> None:
    net = initialized("lsuv", Network(activation), seed)
    *hidden, _ = deviations(net)
    assert len(hidden) == DEPTH
    assert all(abs(deviation - 1) < 1e-2 for deviation in hidden), hidden


@pytest.mark.parametrize("seed", range(5))
def test_glorot_lets_a_deep_quadratic_network_collapse(seed: int) -> None:
    quadratic = initialized("glorot", Network("irelu"), seed)
    bounded = initialized("glorot", Network("tanh"), seed)
    unit = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(1))
    *hidden, _ = deviations(quadratic, unit)
    assert hidden[-1] < 1e-6 * hidden[0]
    *hidden, _ = deviations(bounded, unit)
    assert hidden[-1] > 1e-2 * hidden[0]


def test_lsuv_leaves_the_last_layer_as_glorot_drew_it_and_only_scales_the_others() -> None:
    scaled = initialized("lsuv", Network("irelu"), seed=3)
    plain = initialized("glorot", Network("irelu"), seed=3)
    assert torch.equal(scaled.linears[-1].weight, plain.linears[-1].weight)
    for mine, other in zip(scaled.linears[:-1], plain.linears[:-1], strict=True):
        ratio = (mine.weight / other.weight).double()
        assert ratio.mean() > 0
        assert ratio.std() / ratio.mean() < 1e-5
        assert abs(ratio.mean() - 1) > 1e-2


@pytest.mark.parametrize("name", ["lsuv", "glorot", "he", "orthogonal"])
def test_biases_are_zero(name: str) -> None:
    net = Network("tanh")
    assert all(layer.bias.any() for layer in net.linears)
    initialized(name, net)
    assert not any(layer.bias.any() for layer in net.linears)


@pytest.mark.parametrize("name", ["lsuv", "glorot"])
def test_batch_norm_statistics_are_restored(name: str) -> None:
    net = Network("tanh", lambda: nn.BatchNorm1d(WIDTH))
    with torch.no_grad():
        net(points())  # statistics of their own, which are not the fresh ones
    before = {key: buffer.clone() for key, buffer in net.named_buffers()}
    assert before["norms.0.num_batches_tracked"] == 1
    initialized(name, net)
    after = dict(net.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_without_initialize_lsuv_would_change_them() -> None:
    """So the test above can fail."""
    net, x = Network("tanh", lambda: nn.BatchNorm1d(WIDTH)), points()
    with torch.no_grad():
        lsuv(list(net.linears), lambda: net(x), torch.Generator().manual_seed(0))
    assert net.norms[0].num_batches_tracked > 0


@pytest.mark.parametrize(
    ("initialization", "expected"),
    [(glorot_normal, 2 / (300 + 200)), (he_normal, 2 / 300)],
)
def test_variance_of_the_weights(initialization: Callable[..., None], expected: float) -> None:
    layer = nn.Linear(300, 200)
    initialization([layer], lambda: None, torch.Generator().manual_seed(0))
    weights = layer.weight.detach().double().flatten()
    # The variance of n normal numbers has the relative deviation √(2/n): 4 of them.
    assert abs(weights.var().item() / expected - 1) < 4 * math.sqrt(2 / len(weights))
    assert abs(weights.mean().item()) < 4 * math.sqrt(expected / len(weights))
    kurtosis = (weights**4).mean() / weights.var() ** 2
    assert abs(kurtosis.item() - 3) < 0.1  # normal, not uniform (1.8)


def test_orthogonal_weights_are_orthogonal() -> None:
    layer = nn.Linear(30, 20)
    orthogonal([layer], lambda: None, torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(20), atol=1e-5, rtol=0)


def test_double_precision_is_kept() -> None:
    layer = nn.Linear(30, 20, dtype=torch.float64)
    glorot_normal([layer], lambda: None, torch.Generator().manual_seed(0))
    assert layer.weight.dtype == torch.float64
    assert (layer.weight != layer.weight.float().double()).any()
