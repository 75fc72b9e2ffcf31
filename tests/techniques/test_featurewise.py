"""Initialisation feature by feature: what it sets, finds, records and refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from schnetpack.nn import Dense
from torch import Tensor, nn

from bench.techniques.activation import make_activation
from bench.techniques.featurewise import OUTPUT_STD, Featurewise
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import initialize
from bench.techniques.norm_layers import FrozenBatchNorm, LayerNorm, measure_frozen_statistics
from bench.techniques.sites import find_sites, longest_paths
from bench.text.errors import BadInput

WIDTH, DEPTH, ROWS = 40, 6, 512
Norm = Callable[[], nn.Module]


class Network(nn.Module):
    """(linear, norm, activation, norm) × depth, then linear."""

    def __init__(
        self, activation: str = "irelu", before: Norm = nn.Identity, after: Norm = nn.Identity
    ) -> None:
        super().__init__()
        sizes = [2, *[WIDTH] * DEPTH, 1]
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.before = nn.ModuleList(before() for _ in range(DEPTH))
        self.activations = nn.ModuleList(make_activation(activation) for _ in range(DEPTH))
        self.after = nn.ModuleList(after() for _ in range(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        layers = (self.linears[:-1], self.before, self.activations, self.after)
        for linear, before, activation, after in zip(*layers, strict=True):
            x = after(activation(before(linear(x))))
        return self.linears[-1](x)


def points() -> Tensor:
    """Far from unit variance and not centred, as collocation points are."""
    uniform = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(1))
    return uniform * torch.tensor([1.0, 5.0])


def initialized(net: Network, token: str = "featurewise", seed: int = 0) -> Featurewise:
    x, chosen = points(), INITIALIZATIONS.get(token)
    generator = torch.Generator().manual_seed(seed)
    initialize(chosen, net, list(net.linears), lambda: net(x), generator)
    measure_frozen_statistics(net, lambda: net(x))
    return chosen


def inputs_of(
    modules: Sequence[nn.Module], net: nn.Module, x: Tensor | None = None
) -> list[Tensor]:
    found: list[Tensor] = []
    handles = [
        module.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].double()))
        for module in modules
    ]
    with torch.no_grad():
        net(points() if x is None else x)
    for handle in handles:
        handle.remove()
    assert len(found) == len(modules) > 0
    return found


def expect(features: Tensor, mean: float, std: float) -> None:
    """Of every feature."""
    tolerance = {"atol": 1e-4, "rtol": 1e-4}
    count = features.shape[1]
    wanted = torch.full((count,), mean, dtype=torch.float64)
    torch.testing.assert_close(features.mean(dim=0), wanted, **tolerance)
    wanted = torch.full((count,), std, dtype=torch.float64)
    torch.testing.assert_close(features.std(dim=0, correction=0), wanted, **tolerance)


@pytest.mark.parametrize("activation", ["irelu", "tanh", "silu"])
@pytest.mark.parametrize("after", [nn.Identity, lambda: nn.BatchNorm1d(WIDTH)])
def test_every_feature_has_the_mean_and_the_deviation(activation: str, after: Norm) -> None:
    net = Network(activation, after=after)
    report = initialized(net).report
    (given,) = report["pre_activations"]
    assert given["activation"] == type(net.activations[0]).__name__
    for features in inputs_of(net.activations, net):
        expect(features, given["mean"], given["std"])
    with torch.no_grad():
        expect(net(points()).double(), 0, OUTPUT_STD)
    assert (report["layers"], report["left"], report["constant_features"]) == (DEPTH + 1, 0, 0)


@pytest.mark.parametrize(
    "norm",
    [
        lambda: nn.BatchNorm1d(WIDTH),
        lambda: LayerNorm(WIDTH),
        lambda: FrozenBatchNorm(WIDTH),
    ],
)
def test_a_norm_before_the_activation_gets_them_in_its_own_weight_and_bias(norm: Norm) -> None:
    net = Network("irelu", before=norm)
    initialized(net, "featurewise=-0.5,0.8")
    for features in inputs_of(net.activations, net):
        expect(features, -0.5, 0.8)
    for features in inputs_of(net.before, net):
        expect(features, 0, 1)


def test_a_frozen_norm_after_the_activation_is_measured_before_it_is_relied_on() -> None:
    net = Network("tanh", after=lambda: FrozenBatchNorm(WIDTH))
    initialized(net, "featurewise=0,1")
    for features in inputs_of(net.activations, net):
        expect(features, 0, 1)


def test_a_norm_that_cannot_be_set_is_refused_in_words() -> None:
    net = Network("tanh", before=lambda: nn.BatchNorm1d(WIDTH, affine=False))
    with pytest.raises(BadInput, match="BatchNorm1d stands before an activation and has no weight"):
        initialized(net)


def test_by_hand() -> None:
    net = Network("irelu")
    report = initialized(net, "featurewise=0.7,0.25").report
    assert report["pre_activations"] == [{"activation": "IReLU", "mean": 0.7, "std": 0.25}]
    for features in inputs_of(net.activations, net):
        expect(features, 0.7, 0.25)


def test_mean_and_deviation_do_not_depend_on_the_seed_and_the_weights_do() -> None:
    nets = [Network("irelu"), Network("irelu")]
    reports = [initialized(net, seed=seed).report for seed, net in enumerate(nets)]
    assert reports[0]["pre_activations"] == reports[1]["pre_activations"]
    assert reports[0]["slope"] != reports[1]["slope"]
    assert not torch.equal(nets[0].linears[1].weight, nets[1].linears[1].weight)


@pytest.mark.parametrize("activation", ["irelu", "tanh"])
def test_the_slope_of_the_network_is_that_of_its_jacobian(activation: str) -> None:
    """Against forward differences of the inputs themselves, in float64."""
    torch.manual_seed(0)
    net = Network(activation).double()
    x = points().double()
    chosen = Featurewise((0.8, 0.3))
    initialize(chosen, net, list(net.linears), lambda: net(x), torch.Generator().manual_seed(3))
    order = torch.Generator().manual_seed(0)
    one, other = (x[torch.randperm(ROWS, generator=order)] for _ in range(2))
    near = x + 1e-6 * (one - other)
    at = [net.activations[0], net.linears[-1]]
    (before, after), (before_near, after_near) = inputs_of(at, net, x), inputs_of(at, net, near)

    def growth(rows: Tensor, moved: Tensor) -> float:
        distance = (moved - rows).square().sum(dim=1).mean()
        return float(distance / rows.var(dim=0, correction=0).sum())

    exact = growth(after, after_near) / growth(before, before_near)
    assert chosen.report["slope"] == pytest.approx(exact, rel=0.05)


def test_it_holds_the_rows_of_a_quadratic_network_and_lsuv_does_not() -> None:
    shares = {}
    for token in ("featurewise", "lsuv"):
        net = Network("irelu")
        x = points()
        initialize(
            INITIALIZATIONS.get(token),
            net,
            list(net.linears),
            lambda net=net, x=x: net(x),
            torch.Generator().manual_seed(0),
        )
        with torch.no_grad():
            energies = net(x).double().square().flatten().sort(descending=True).values
        shares[token] = float(energies[: ROWS // 100].sum() / energies.sum())
    assert shares["featurewise"] < 0.2
    assert shares["lsuv"] > 0.6


def test_a_constant_feature_gets_the_mean_by_its_bias() -> None:
    net = Network("tanh")
    x = torch.ones(ROWS, 2)
    chosen = Featurewise((0.5, 1.0))
    initialize(chosen, net, list(net.linears), lambda: net(x), torch.Generator().manual_seed(0))
    assert chosen.report["constant_features"] == DEPTH * WIDTH + 1
    for features in inputs_of(net.activations, net, x):
        expect(features, 0.5, 0)
    assert all(bool(parameter.isfinite().all()) for parameter in net.parameters())


def test_layers_with_an_activation_of_their_own_and_layers_without_one() -> None:
    """As SchNetPack's: what has no activation or no bias stays as it is."""
    activation = make_activation("tanh")
    hidden = Dense(2, 8, activation=activation)
    plain, biasless = Dense(8, 8), Dense(8, 8, bias=False, activation=activation)
    last = Dense(8, 1)
    net = nn.Sequential(hidden, plain, biasless, last)
    x, layers = points(), [hidden, plain, biasless, last]
    assert [site.layer for site in find_sites(layers, lambda: net(x))] == [hidden]
    kept = [layer.weight.detach().clone() for layer in (plain, biasless)]
    chosen = Featurewise((0.3, 0.7))
    initialize(chosen, net, layers, lambda: net(x), torch.Generator().manual_seed(0))
    assert torch.equal(plain.weight, kept[0]) and torch.equal(biasless.weight, kept[1])
    with torch.no_grad():
        expect(nn.functional.linear(x, hidden.weight, hidden.bias).double(), 0.3, 0.7)
        expect(net(x).double(), 0, OUTPUT_STD)
    assert (chosen.report["layers"], chosen.report["left"], chosen.report["slope"]) == (2, 2, None)


def test_a_branch_has_the_depth_of_its_own_path() -> None:
    """a → b → d and c → d, and e apart: what is summed at the end is on no path together."""
    a, b, c, d, e = (Dense(4, 4, activation=nn.Tanh()) for _ in range(5))
    x = torch.randn(10, 4)

    def forward() -> Tensor:
        total: Tensor = d(b(a(x)) + c(x)) + e(x)
        return total

    with torch.no_grad():
        sites = find_sites([a, b, c, d, e], forward)
        paths = longest_paths(sites, forward)
    found = {id(s.layer): [one.layer for one in p] for s, p in zip(sites, paths, strict=True)}
    wanted = {a: [a, b, d], b: [a, b, d], c: [c, d], d: [a, b, d], e: [e]}
    for layer, path in wanted.items():
        assert list(map(id, found[id(layer)])) == list(map(id, path))


def test_a_network_without_such_a_layer_is_refused_in_words() -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(BadInput, match="this network has none"):
        Featurewise()([layer], lambda: layer(points()), torch.Generator().manual_seed(0))


def test_a_signal_that_is_not_finite_is_refused_in_words() -> None:
    net = Network("tanh")
    with pytest.raises(BadInput, match="not finite on the training points"):
        Featurewise((0, 1))(
            list(net.linears), lambda: net(points() * torch.inf), torch.Generator().manual_seed(0)
        )
