"""Activations of the C++ header against mpmath, the modules, and at the ends of the number line."""

from __future__ import annotations

import math

import pytest
import torch
from activation_references import EXACT, GRID, TOLERANCES, worst_error, worst_units
from native_activations import NativeActivations
from torch import Tensor, nn

from bench.techniques.activation import make_activation
from bench.techniques.integrated import IntegratedELU
from bench.techniques.slopes import slopes_of
from suites.pinn.engine.native_activations import native_name

TOKENS = list(EXACT)
#: Whose module is an operator of torch.
TORCH = ["tanh", "sin", "silu", "elu", "softplus", "sigmoid", "relu"]
every_token = pytest.mark.parametrize("token", TOKENS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
SPECIAL = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1e-45, -1e-45, 1e38, -1e38, 120.0, -120.0]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> NativeActivations:
    return NativeActivations(tmp_path_factory.mktemp("activations"))


def struct(token: str) -> str:
    name = native_name(make_activation(token))
    assert name is not None
    return name


def served(token: str, x: Tensor) -> Tensor:
    """Value and slopes as eager torch has them: ``(4, n)``."""
    slopes = slopes_of(make_activation(token))
    assert slopes is not None
    with torch.no_grad():
        y = slopes.value(x)
        found = slopes.slopes(x, y, 3)
    return torch.stack([y, *(torch.zeros_like(x) if slope is None else slope for slope in found)])


@every_dtype
@every_token
def test_value_and_three_derivatives(
    native: NativeActivations, token: str, dtype: torch.dtype
) -> None:
    found = native(struct(token), torch.tensor(GRID, dtype=dtype), 3)
    assert worst_error(found.tolist(), token) <= TOLERANCES[dtype]


@every_dtype
@pytest.mark.parametrize("token", TORCH)
def test_no_worse_than_the_operators_of_torch(
    native: NativeActivations, token: str, dtype: torch.dtype
) -> None:
    x = torch.tensor(GRID, dtype=dtype)
    found, module = native(struct(token), x, 0)[0].tolist(), make_activation(token)(x).tolist()
    assert worst_units(found, token, dtype) <= worst_units(module, token, dtype) + 2


@every_token
def test_they_are_the_modules(native: NativeActivations, token: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.randn(1000, generator=generator, dtype=torch.float64)
    x[0] = 0
    found, wanted = native(struct(token), x, 3), served(token, x)
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


@every_dtype
@every_token
def test_ends_of_the_number_line(native: NativeActivations, token: str, dtype: torch.dtype) -> None:
    """As the modules', and a limit where these are undefined."""
    x = torch.tensor(SPECIAL, dtype=dtype)
    found, wanted = native(struct(token), x, 3), served(token, x)
    tiny = torch.finfo(dtype).tiny
    for mine, other in zip(found, wanted, strict=True):
        known = ~other.isnan()
        torch.testing.assert_close(mine[known], other[known], rtol=1e-5, atol=4 * tiny)
    assert found[0, 2].isnan()


@every_token
def test_fewer_derivatives_are_the_first_of_more(native: NativeActivations, token: str) -> None:
    x = torch.linspace(-9, 9, 333)
    whole = native(struct(token), x, 3)
    for order in range(3):
        torch.testing.assert_close(native(struct(token), x, order), whole[: order + 1])


@every_dtype
def test_sines_of_large_angles(native: NativeActivations, dtype: torch.dtype) -> None:
    """Also close to multiples of π/2, at the limit of the reduction, and beyond it."""
    generator = torch.Generator().manual_seed(0)
    many = torch.rand(4000, generator=generator, dtype=torch.float64) * 6e4 - 3e4
    turns = torch.arange(1, 6000, dtype=torch.float64) * (math.pi / 2)
    far = torch.tensor([32768.0, 32769.0, 1e6, 3e8, -1e6], dtype=torch.float64)
    x = torch.cat([many, turns, far]).to(dtype)
    found = native("Sine", x, 1)
    exact = torch.stack([torch.sin(x.double()), torch.cos(x.double())])
    torch.testing.assert_close(
        found.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps / 2**24
    )


@pytest.mark.parametrize("token", ["ielu", "itanh", "ssp"])
def test_relatively_accurate_at_zero(native: NativeActivations, token: str) -> None:
    x = torch.tensor([s * 10.0**-k for k in range(9) for s in (-1, 1)], dtype=torch.float64)
    found = native(struct(token), x.float(), 0)[0].double()
    exact = native(struct(token), x.float().double(), 0)[0]
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=0)


class Steeper(nn.Tanh):
    """No longer tanh."""


@pytest.mark.parametrize(
    "module",
    [
        nn.ELU(1.5),
        nn.ELU(inplace=True),
        nn.ReLU(inplace=True),
        nn.GELU("tanh"),
        IntegratedELU(0.5),
        nn.Mish(),
        nn.PReLU(),
        nn.Softplus(),
        nn.Identity(),
        Steeper(),
    ],
)
def test_what_the_kernel_does_not_know_has_no_name(module: nn.Module) -> None:
    assert native_name(module) is None


def test_each_activation_has_a_name_of_its_own() -> None:
    assert len({struct(token) for token in TOKENS}) == len(TOKENS)
