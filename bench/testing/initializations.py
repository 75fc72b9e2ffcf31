"""The contract of an initialisation."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.arm import Arm
from bench.spec.randomness import torch_generator
from bench.techniques.activation import make_activation
from bench.techniques.initialization import INITIALIZATIONS
from bench.techniques.initializers import initialize
from bench.testing.contract import contract_of
from bench.testing.states import bits

_WIDTH, _DEPTH, _ROWS = 12, 3, 64
_EVERY_ACTIVATION = pytest.mark.parametrize("activation", ["tanh", "irelu"])


class InitializationContract:
    """What an initialisation must be; see `initialization_contract`."""

    def test_can_be_chosen_in_an_arm(self, token: str) -> None:
        arm = Arm(initialization=token)
        assert Arm.parse(str(arm)) == arm
        arm.check_own()

    def test_the_generator_decides(self, token: str) -> None:
        """And not torch's global one, which every other part of a run may have used."""
        first = _weights(_initialized(token))
        torch.manual_seed(999)
        again, other = _weights(_initialized(token)), _weights(_initialized(token, seed=1))
        for name, values in first.items():
            assert torch.equal(values, again[name]), (
                f"initialization {token!r} gives {name} other numbers for the same generator:"
                " something else decides"
            )
        assert any(not torch.equal(values, other[name]) for name, values in first.items()), (
            f"initialization {token!r} gives the same weights for every seed: draw from the"
            " generator that it is given"
        )

    def test_global_generators_are_left_alone(self, token: str) -> None:
        before = torch.get_rng_state(), np.random.get_state(legacy=False)
        _initialized(token)
        assert torch.equal(torch.get_rng_state(), before[0]), (
            f"initialization {token!r} draws from torch's global generator"
        )
        assert bits(np.random.get_state(legacy=False)) == bits(before[1]), (
            f"initialization {token!r} draws from NumPy's global generator"
        )

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_layers_are_set_in_place(self, token: str, dtype: str) -> None:
        net = _Network("tanh").to(getattr(torch, dtype))
        before = dict(net.named_parameters())
        _initialize(token, net)
        for name, parameter in net.named_parameters():
            kept = parameter is before[name]
            assert kept and parameter.dtype == getattr(torch, dtype) and parameter.requires_grad, (
                f"initialization {token!r} puts something else in the place of {name}, which the"
                " optimiser would not see"
            )

    @_EVERY_ACTIVATION
    def test_neurons_differ(self, token: str, activation: str) -> None:
        """Neurons of a layer that start alike stay alike."""
        net = _initialized(token, _Network(activation))
        for k, layer in enumerate(net.linears[:-1]):
            assert bool((layer.weight[1:] != layer.weight[0]).any(dim=1).all()), (
                f"initialization {token!r} gives neurons of layer {k} the same weights: they would"
                " stay alike"
            )

    @_EVERY_ACTIVATION
    @pytest.mark.parametrize("signal", ["ordinary", "none", "large"])
    def test_weights_are_finite(self, token: str, activation: str, signal: str) -> None:
        scale = {"ordinary": 1.0, "none": 0.0, "large": 1e3}[signal]
        net = _Network(activation)
        _initialize(token, net, scale=scale)
        for name, values in _weights(net).items():
            assert values.isfinite().all(), (
                f"initialization {token!r} gives {name} weights that are not finite where the"
                f" inputs are {scale:g} times the ordinary ones, with {activation}"
            )

    def test_the_network_is_otherwise_as_it_was(self, token: str) -> None:
        for training in (True, False):
            net = _Network("tanh").train(training)
            _initialize(token, net)
            _expect_untouched(token, net, training)

    def test_an_error_in_the_forward_pass_leaves_no_trace(self, token: str) -> None:
        """It is the caller's: raised if the initialisation runs the network at all."""
        net = _Network("tanh")

        def failing() -> None:
            raise _NoDataError

        with torch.no_grad(), contextlib.suppress(_NoDataError):
            INITIALIZATIONS.get(token)(net.linears, failing, _generator(0))
        _expect_untouched(token, net, True)


def initialization_contract(*tokens: str) -> type[InitializationContract]:
    """Tests of an initialisation: ``TestMine = initialization_contract("mine:identity_like")``.

    The generator that it is given decides and nothing else; weights are set in place, in their own
    precision, finite even without a signal, and no two neurons alike. No hook and no mode is left
    behind.

    Args:
        tokens: Names, or ``module:attribute``, as ``--initialization`` takes them.
    """
    return contract_of(InitializationContract, tokens)


class _NoDataError(Exception):
    """What a forward pass may raise."""


class _Network(nn.Module):
    """(linear, activation) × depth, then linear, with torch's own weights from seed 7."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        sizes = [2, *[_WIDTH] * _DEPTH, 1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.linears = [nn.Linear(i, o) for i, o in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList(self.linears)
        self.activations = nn.ModuleList(make_activation(activation) for _ in range(_DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        for linear, activation in zip(self.linears[:-1], self.activations, strict=True):
            x = activation(linear(x))
        found: Tensor = self.linears[-1](x)
        return found


def _generator(seed: int) -> torch.Generator:
    return torch_generator(seed, "initialization")


def _initialize(token: str, net: _Network, seed: int = 0, scale: float = 1.0) -> None:
    """As the harness does it; the points are not centred, as those of an equation are not."""
    points = torch.rand(_ROWS, 2, generator=torch_generator(0, "points of a contract"))
    points = scale * points * torch.tensor([1.0, 5.0])
    x = points.to(net.linears[0].weight.dtype)
    initialize(
        INITIALIZATIONS.get(token),
        net,
        net.linears,
        lambda: net(x),
        _generator(seed),
    )


def _initialized(token: str, net: _Network | None = None, seed: int = 0) -> _Network:
    net = net or _Network("tanh")
    _initialize(token, net, seed)
    return net


def _weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def _expect_untouched(token: str, net: nn.Module, training: bool) -> None:
    for name, module in net.named_modules():
        hooks = (*module._forward_hooks, *module._forward_pre_hooks, *module._backward_hooks)
        assert not hooks, f"initialization {token!r} leaves a hook on {name or 'the network'}"
        assert module.training == training, (
            f"initialization {token!r} leaves {name or 'the network'} in another mode"
        )
    for name, parameter in net.named_parameters():
        assert parameter.grad is None, f"initialization {token!r} leaves a gradient on {name}"
