"""Derivatives of activations as plain values, against nested automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.slopes import slopes_of

ORDERS = (1, 2, 3)
SHAPES = [(), (7,), (3, 5), (2, 3, 5), (0, 4)]


def points(*shape: int) -> Tensor:
    """On both sides of 0, close to it, and where most activations saturate."""
    x = 4 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = x.flatten()
    special = torch.tensor([0.0, 1e-9, -1e-9, 30.0, -30.0], dtype=torch.float64)[: len(flat)]
    flat[: len(special)] = special
    return flat.reshape(shape)


def nested(activation: nn.Module, x: Tensor) -> list[Tensor]:
    """Value and three derivatives, one by differentiating the other."""
    x = x.clone().requires_grad_()
    found = [activation(x)]
    for _ in ORDERS:
        last = found[-1]
        if last.requires_grad:
            grad = torch.autograd.grad(
                last, x, torch.ones_like(last), create_graph=True, materialize_grads=True
            )
            found.append(grad[0])
        else:
            found.append(torch.zeros_like(x))
    return [values.detach() for values in found]


def served(activation: nn.Module, x: Tensor, order: int = 3) -> list[Tensor]:
    """The same from `slopes_of`; 0 for ``None``."""
    slopes = slopes_of(activation)
    assert slopes is not None
    with torch.no_grad():
        y = slopes.value(x)
        found = slopes.slopes(x, y, order)
    assert len(found) == order
    return [y, *(torch.zeros_like(x) if slope is None else slope for slope in found)]


def assert_equal(found: list[Tensor], wanted: list[Tensor]) -> None:
    for mine, other in zip(found, wanted, strict=True):
        assert mine.shape == other.shape and mine.dtype == other.dtype
        scale = float(other.abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12 * scale)


class Square(nn.Module):
    """Its third derivative has no graph."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x


class Power(nn.Module):
    """Its third derivative is 0 and has one."""

    def forward(self, x: Tensor) -> Tensor:
        return x**2


class Wave(nn.Module):
    """A user's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(3 * x) ** 2


class Doubled(nn.Tanh):
    """No longer tanh."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(2 * x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("token", list(ACTIVATIONS.names()))
def test_built_in_activations(token: str, shape: tuple[int, ...]) -> None:
    activation, x = make_activation(token), points(*shape)
    assert_equal(served(activation, x), nested(activation, x))


@pytest.mark.parametrize(
    "activation", [Square(), Power(), Wave(), Doubled(), nn.Identity(), nn.Mish()]
)
def test_any_elementwise_module(activation: nn.Module) -> None:
    x = points(4, 50)
    assert_equal(served(activation, x), nested(activation, x))


@pytest.mark.parametrize("activation", [*map(make_activation, ACTIVATIONS.names()), Square()])
def test_fewer_derivatives_are_the_first_of_more(activation: nn.Module) -> None:
    x = points(60)
    whole = served(activation, x)
    for order in ORDERS:
        assert_equal(served(activation, x, order), whole[: order + 1])


@pytest.mark.parametrize(
    ("activation", "order"),
    [(make_activation("irelu"), 2), (Square(), 2), (nn.Identity(), 1)],
)
def test_derivatives_that_are_0_everywhere_are_none(activation: nn.Module, order: int) -> None:
    slopes, x = slopes_of(activation), points(9)
    assert slopes is not None
    found = slopes.slopes(x, slopes.value(x), 3)
    assert [slope is None for slope in found] == [k >= order for k in range(3)]


@pytest.mark.parametrize("token", list(ACTIVATIONS.names()))
def test_single_precision_stays_and_the_arguments_too(token: str) -> None:
    slopes, x = slopes_of(make_activation(token)), points(40).float()
    assert slopes is not None
    y = slopes.value(x)
    before = x.clone(), y.clone()
    found = slopes.slopes(x, y, 3)
    assert {slope.dtype for slope in found if slope is not None} == {torch.float32}
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


class Buffered(nn.Module):
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.scale * x)


class Neighbour(nn.Module):
    """A row depends on the one before."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + x.roll(1, dims=0))


@pytest.mark.parametrize(
    "activation",
    [
        nn.PReLU(),
        Buffered(),
        nn.Softmax(dim=-1),
        nn.Softmax(dim=0),
        nn.LayerNorm(7, elementwise_affine=False),
        Neighbour(),
        nn.Dropout(),
        nn.RReLU(),
        nn.Sequential(nn.Tanh(), nn.Dropout()),
    ],
)
def test_what_is_no_fixed_elementwise_function_has_none(activation: nn.Module) -> None:
    assert slopes_of(activation) is None


def test_dropout_that_predicts_is_the_identity() -> None:
    x = points(20)
    assert_equal(served(nn.Dropout().eval(), x), [x, x**0, 0 * x, 0 * x])
