"""Derivatives carried forward through the network, against nested automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.techniques.activation import ACTIVATIONS
from bench.techniques.norm_layers import LayerNorm, measure_frozen_statistics
from suites.pinn.backend import set_dtype
from suites.pinn.engine.operators import Operator
from suites.pinn.engine.taylor import Jet, TaylorNetwork, Unsupported
from suites.pinn.models.network import FNN

INPUTS, OUTPUTS, ROWS, DERIVED = 3, 2, 11, 7

FIRST = (
    Operator((1.0, 0.0, 0.0)),
    Operator((0.0, 1.0, 0.0)),
    Operator((0.3, -1.2, 0.5)),
)
LAPLACIAN = Operator((0.0, 0.0, 0.0), ((0, 0, 1.0), (1, 1, 1.0)))
MIXED = Operator((0.0, 0.0, 0.0), ((0, 1, 1.0),))
GENERAL = Operator(
    (0.2, 0.0, -1.5), ((0, 0, 0.7), (0, 1, -0.4), (1, 2, 2.1), (2, 2, 1.3), (0, 2, -0.9))
)
OPERATORS = {
    "none": (),
    "first": FIRST,
    "laplacian": (*FIRST[:2], LAPLACIAN),
    "mixed": (*FIRST[:2], MIXED),
    "linear part": (FIRST[0], Operator((0.0, 0.0, -0.5), ((0, 0, 1.0),))),
    "all": (*FIRST, LAPLACIAN, MIXED, GENERAL),
}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    set_dtype("float64")
    torch.manual_seed(0)
    yield
    set_dtype("float32")


def network(activation: str = "tanh", norm: str = "denorm", seed: int = 0, depth: int = 3) -> FNN:
    """One whose parameters are all of some size, norms' too."""
    torch.manual_seed(seed)
    net = FNN(INPUTS, OUTPUTS, 5, depth, activation, norm)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.normal_(std=0.6)
            if name.startswith("norms."):
                parameter.add_(1.0)
    measure_frozen_statistics(net, lambda: net(points()))
    return net


def points(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, INPUTS, generator=generator, dtype=torch.float64)


def directions(operators: Sequence[Operator]) -> Tensor:
    return torch.tensor([operator.linear for operator in operators]).reshape(-1, INPUTS)


def jet_of(x: Tensor, operators: Sequence[Operator]) -> Jet:
    """The inputs, whose derivatives are the same at all rows."""
    return Jet(x, directions(operators)[:, None])


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def nested(function: Callable[[Tensor], Tensor], x: Tensor, operators: Sequence[Operator]) -> Jet:
    """Values at all rows, and the operators at the first ones, by autograd."""
    rows = x[:DERIVED].clone().requires_grad_()

    def by(direction: Tensor, y: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(
            y, rows, torch.ones_like(y), create_graph=True, materialize_grads=True
        )
        return gradient @ direction

    linear, streams = directions(operators), []
    for operator, direction in zip(operators, linear, strict=True):
        columns = []
        for y in function(rows).unbind(1):
            total = by(direction, y)
            for a, b, coefficient in operator.products:
                total = total + coefficient * by(linear[b], by(linear[a], y))
            columns.append(total)
        streams.append(torch.stack(columns, dim=1))
    values = function(x)
    return Jet(values, torch.stack(streams) if streams else values.new_zeros(0, DERIVED, OUTPUTS))


def gradients(jet: Jet, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a weighted sum of everything in the jet."""

    def weights(of: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        return torch.randn(of.shape, generator=generator, dtype=torch.float64)

    total = (jet.values * weights(jet.values)).sum() + (jet.streams * weights(jet.streams)).sum()
    trained = {name: tensor for name, tensor in named.items() if tensor.requires_grad}
    found = torch.autograd.grad(
        total, list(trained.values()), materialize_grads=True, retain_graph=True
    )
    return dict(zip(trained, found, strict=True))


def assert_close(mine: Tensor, other: Tensor) -> None:
    """To 1e-12 of the largest."""
    assert mine.shape == other.shape
    scale = float(other.detach().abs().max()) if other.numel() else 0.0
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-12 * max(scale, 1e-3))


def assert_equal(mine: Jet, other: Jet, named: Mapping[str, Tensor]) -> None:
    """Values, derivatives, and the gradients of both by the parameters."""
    assert_close(mine.values, other.values)
    for stream, wanted in zip(mine.streams, other.streams, strict=True):
        assert_close(stream, wanted)
    wanted_gradients = gradients(other, named)
    for name, gradient in gradients(mine, named).items():
        assert_close(gradient, wanted_gradients[name])


# --- against autograd ---------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["denorm", "layernorm", "frozenbn"])
@pytest.mark.parametrize("activation", ["tanh", "irelu", "isilu"])
@pytest.mark.parametrize("operators", OPERATORS.values(), ids=list(OPERATORS))
def test_values_derivatives_and_gradients(
    operators: Sequence[Operator], activation: str, norm: str
) -> None:
    net, x = network(activation, norm), points()
    mine = TaylorNetwork(net, operators, DERIVED)(state_of(net), jet_of(x, operators))
    assert mine.streams.shape == (len(operators), DERIVED, OUTPUTS)
    assert_equal(mine, nested(net, x, operators), state_of(net))


@pytest.mark.parametrize("activation", ACTIVATIONS.names())
def test_every_activation(activation: str) -> None:
    net, x = network(activation, depth=2), points()
    mine = TaylorNetwork(net, OPERATORS["all"], DERIVED)(state_of(net), jet_of(x, OPERATORS["all"]))
    assert_equal(mine, nested(net, x, OPERATORS["all"]), state_of(net))


@pytest.mark.parametrize("norm", ["denorm", "layernorm"])
def test_derivatives_at_all_rows(norm: str) -> None:
    net, x = network(norm=norm), points()[:DERIVED]
    mine = TaylorNetwork(net, OPERATORS["all"], DERIVED)(state_of(net), jet_of(x, OPERATORS["all"]))
    assert_equal(mine, nested(net, x, OPERATORS["all"]), state_of(net))


@pytest.mark.parametrize(
    "given", [{"elementwise_affine": False}, {"bias": False}, {"eps": 0.1}], ids=str
)
def test_layer_norm_as_a_user_sets_it_up(given: dict) -> None:
    net, x = network(), points()
    net.norms[1] = LayerNorm(5, **given)
    mine = TaylorNetwork(net, OPERATORS["all"], DERIVED)(state_of(net), jet_of(x, OPERATORS["all"]))
    assert_equal(mine, nested(net, x, OPERATORS["all"]), state_of(net))


def transformed(x: Tensor) -> Tensor:
    """An input transform: a product and two coordinates."""
    return torch.stack([x[:, 0] * x[:, 1], x[:, 1], x[:, 2] - x[:, 0]], dim=1)


def features(x: Tensor, operators: Sequence[Operator]) -> Jet:
    """Its jet, whose derivatives differ from row to row."""
    streams = []
    for operator, (p, q, r) in zip(operators, directions(operators), strict=True):
        first = p * x[:DERIVED, 1] + q * x[:DERIVED, 0]
        for a, b, coefficient in operator.products:
            left, right = operators[a].linear, operators[b].linear
            first = first + coefficient * (left[0] * right[1] + left[1] * right[0])
        one = torch.ones(DERIVED)
        streams.append(torch.stack([first, q * one, (r - p) * one], dim=1))
    return Jet(transformed(x), torch.stack(streams))


@pytest.mark.parametrize("norm", ["denorm", "layernorm", "frozenbn"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_inputs_with_derivatives_of_their_own(norm: str, blocks: int) -> None:
    net, x, operators = network(norm=norm), points(), OPERATORS["all"]
    mine = TaylorNetwork(net, operators, DERIVED)(state_of(net), features(x, operators), blocks)
    assert_equal(mine, nested(lambda rows: net(transformed(rows)), x, operators), state_of(net))


# --- blocks and several networks ----------------------------------------------------------------


@pytest.mark.parametrize("operators", ["none", "first", "all"])
@pytest.mark.parametrize("norm", ["denorm", "layernorm"])
@pytest.mark.parametrize("blocks", [2, 3, DERIVED, DERIVED + 2, 3 * ROWS])
def test_blocks_give_the_same(operators: str, norm: str, blocks: int) -> None:
    net, chosen = network("isilu", norm), OPERATORS[operators]
    carried = partial(TaylorNetwork(net, chosen, DERIVED), state_of(net), jet_of(points(), chosen))
    assert_equal(carried(blocks=blocks), carried(), state_of(net))


@dataclass
class Stack:
    """Several networks as one."""

    nets: list[FNN]
    state: dict[str, Tensor]

    def alone(self, k: int) -> dict[str, Tensor]:
        return {name: tensor[k] for name, tensor in self.state.items()}


def stack(activation: str, norm: str) -> Stack:
    nets = [network(activation, norm, seed) for seed in range(3)]
    states = [state_of(net) for net in nets]
    together = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
    for name, parameter in nets[0].named_parameters():
        together[name].requires_grad_(parameter.requires_grad)
    return Stack(nets, together)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("norm", ["denorm", "layernorm", "frozenbn"])
@pytest.mark.parametrize("activation", ["tanh", "irelu"])
def test_each_of_several_networks_is_as_alone(activation: str, norm: str, blocks: int) -> None:
    stacked, operators = stack(activation, norm), OPERATORS["all"]
    inputs = [features(points(seed), operators) for seed in range(3)]
    carried = TaylorNetwork(stacked.nets[0], operators, DERIVED)
    together = carried(
        stacked.state,
        Jet(torch.stack([j.values for j in inputs]), torch.stack([j.streams for j in inputs])),
        blocks,
    )
    for k, own in enumerate(stacked.nets):
        mine = Jet(together.values[k], together.streams[k])
        other = carried(state_of(own), inputs[k])
        assert_close(mine.values, other.values)
        for stream, wanted in zip(mine.streams, other.streams, strict=True):
            assert_close(stream, wanted)
        found, wanted_gradients = gradients(mine, stacked.state), gradients(other, state_of(own))
        for name, gradient in found.items():
            assert_close(gradient[k], wanted_gradients[name])
            # Its outputs depend on no other network.
            assert not torch.cat([gradient[:k], gradient[k + 1 :]]).any()


def test_several_networks_on_the_same_directions() -> None:
    stacked, operators, x = stack("tanh", "layernorm"), OPERATORS["all"], points()
    one = jet_of(x, operators)
    inputs = Jet(one.values.expand(3, -1, -1), one.streams.expand(3, -1, -1, -1))
    together = TaylorNetwork(stacked.nets[0], operators, DERIVED)(stacked.state, inputs)
    for k, own in enumerate(stacked.nets):
        other = nested(own, x, operators)
        assert_close(together.values[k], other.values)
        assert_close(together.streams[k], other.streams)


def test_parameters_are_those_of_the_call() -> None:
    net, other, x = network(seed=0), network(seed=1), points()
    found = TaylorNetwork(net, FIRST, DERIVED)(state_of(other), jet_of(x, FIRST))
    wanted = functional_call(net, dict(other.named_parameters()), (x,))
    assert_close(found.values, wanted)


# --- what has no rule ---------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [nn.PReLU(), nn.Softmax(dim=-1), nn.Dropout()])
def test_an_activation_without_a_rule_is_named(activation: nn.Module) -> None:
    net = network()
    net.activations[2] = activation
    with pytest.raises(Unsupported, match=type(activation).__name__):
        TaylorNetwork(net, FIRST, DERIVED)


class MyNorm(LayerNorm):
    """A user's; it may do anything."""


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(5), nn.LayerNorm(5), nn.Tanh(), MyNorm(5)])
def test_a_normalisation_without_a_rule_is_named(norm: nn.Module) -> None:
    net = network()
    net.norms[1] = norm
    with pytest.raises(Unsupported, match=type(norm).__name__):
        TaylorNetwork(net, FIRST, DERIVED)


def test_the_suite_s_batch_norm_is_named() -> None:
    with pytest.raises(Unsupported, match="BatchNorm1d"):
        TaylorNetwork(network(norm="batchnorm"), FIRST, DERIVED)
