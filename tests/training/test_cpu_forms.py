"""Operators as they are compiled on a CPU: accuracy, extremes, and where they act."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from activation_references import EXACT, GRID, TOLERANCES, worst_error, worst_units
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from bench.techniques.activation import make_activation
from bench.techniques.slopes import Slopes, slopes_of
from bench.training.cpu_forms import CPU_FORMS
from bench.training.traced import compile_traced

Operator = Callable[[Tensor], Tensor]

OPERATORS: dict[str, Operator] = {
    "tanh": torch.tanh,
    "softplus": nn.functional.softplus,
    "elu": nn.functional.elu,
}
SPECIAL = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1e-45, -1e-45, 1e38, -1e38, 88.5, -88.5, 120.0]


def form(operator: Operator, x: Tensor) -> Tensor:
    """The operator's form, run without a compiler."""
    found: Tensor = make_fx(lambda x: operator(x), decomposition_table=CPU_FORMS)(x.clone())(x)
    return found


def operators_in(function: Operator, x: Tensor) -> set[object]:
    graph = make_fx(lambda x: function(x), decomposition_table=CPU_FORMS)(x)
    return {node.target for node in graph.graph.nodes}


def slopes(token: str) -> Slopes:
    found = slopes_of(make_activation(token))
    assert found is not None
    return found


@pytest.mark.parametrize("token", OPERATORS)
def test_no_worse_than_the_operators_of_torch(token: str) -> None:
    x = torch.tensor(GRID)
    found = form(OPERATORS[token], x)
    assert not torch.equal(found, OPERATORS[token](x))  # another formula
    limit = worst_units(OPERATORS[token](x).tolist(), token, torch.float32) + 2
    assert worst_units(found.tolist(), token, torch.float32) <= limit


def test_the_exponential_less_one() -> None:
    x = torch.cat([torch.tensor(GRID), torch.linspace(-20, 88.7, 999)])
    wanted = torch.expm1(x.double()).float()
    torch.testing.assert_close(form(torch.expm1, x), wanted, rtol=2.5e-7, atol=0)


@pytest.mark.parametrize("operator", [*OPERATORS.values(), torch.expm1])
def test_ends_of_the_number_line(operator: Operator) -> None:
    x = torch.tensor(SPECIAL)
    torch.testing.assert_close(
        form(operator, x), operator(x), rtol=1e-6, atol=4e-38, equal_nan=True
    )


@pytest.mark.parametrize("operator", [*OPERATORS.values(), torch.expm1])
def test_double_precision_keeps_the_operator(operator: Operator) -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    assert operators_in(operator, x) & set(CPU_FORMS)
    assert not operators_in(operator, x.float()) & set(CPU_FORMS)
    assert torch.equal(form(operator, x), operator(x))


@pytest.mark.parametrize(
    "operator",
    [
        lambda x: nn.functional.softplus(x, beta=2.0),
        lambda x: nn.functional.softplus(x, threshold=3.0),
        nn.functional.selu,
    ],
)
def test_other_settings_keep_the_operator(operator: Operator) -> None:
    x = torch.linspace(-5, 5, 50)
    torch.testing.assert_close(form(operator, x), operator(x), rtol=1e-6, atol=1e-7)


def test_another_alpha() -> None:
    x = torch.linspace(-5, 5, 50)
    wanted = nn.functional.elu(x, 1.7)
    torch.testing.assert_close(form(lambda x: nn.functional.elu(x, 1.7), x), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("token", EXACT)
def test_slopes_in_eager_torch(token: str, dtype: torch.dtype) -> None:
    x, sigma = torch.tensor(GRID, dtype=dtype), slopes(token)
    with torch.no_grad():
        y = sigma.value(x)
        found = [torch.zeros_like(x) if s is None else s for s in sigma.slopes(x, y, 3)]
    assert worst_error([y.tolist(), *(s.tolist() for s in found)], token) <= TOLERANCES[dtype]


@pytest.mark.parametrize("token", ["tanh", "ielu"])
def test_slopes_compiled(token: str) -> None:
    x, sigma = torch.tensor(GRID), slopes(token)

    def whole(x: Tensor) -> list[Tensor]:
        y = sigma.value(x)
        return [y, *(slope for slope in sigma.slopes(x, y, 3) if slope is not None)]

    found = compile_traced(whole, x)(x)
    assert len(found) == 4
    assert worst_error([values.tolist() for values in found], token) <= 1e-6
