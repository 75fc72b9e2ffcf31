"""The trial of an activation: what is wrong is named with its numbers, what is right passes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from bench.arm import Arm
from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.trial import check_derivatives, is_piecewise_linear
from bench.text.errors import BadInput

_FAULTS = "faults.activations"


class Plain(nn.Module):
    """A function as an activation."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.function(x)  # type: ignore[operator]
        return found


def said_of(module: nn.Module, width: int = 3, highest: int = 2) -> str:
    with pytest.raises(BadInput) as raised:
        check_derivatives("mine", module, width, highest)
    return str(raised.value)


@pytest.mark.parametrize("token", ACTIVATIONS.names())
def test_the_built_in_ones_pass_to_third_order(token: str) -> None:
    check_derivatives(token, make_activation(token), 3, highest=3)


@pytest.mark.parametrize(
    "function",
    [
        torch.abs,
        torch.round,
        nn.Hardswish(),
        nn.Hardshrink(),
        nn.ReLU(inplace=True),
        lambda x: torch.sin(1000 * x),
        lambda x: torch.tanh(300 * x),
        lambda x: torch.exp(3 * x),
        lambda x: torch.log(x),
        lambda x: torch.tanh(x.float()).to(x.dtype),
        lambda x: torch.softmax(x, dim=-1),
    ],
    ids=str,
)
def test_kinks_jumps_steepness_and_coupled_elements_are_no_fault(function: object) -> None:
    before = torch.get_rng_state()
    check_derivatives("mine", Plain(function), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_detached_second_derivative_is_told_with_both_values() -> None:
    from faults.activations import SecondDetached

    said = said_of(SecondDetached())
    found = re.search(r"second derivative at x = (\S+) is 0 by .* and (\S+) by finite diff", said)
    assert found, said
    x, value = torch.tensor(float(found[1]), dtype=torch.float64), float(found[2])
    y = torch.tanh(x)
    assert value == pytest.approx(float(-2 * y * (1 - y**2)), rel=1e-2)


def test_coupled_elements_are_differentiated_along_lines() -> None:
    said = said_of(Plain(lambda x: x * torch.softmax(x.detach(), dim=-1)))
    assert "its first derivative at x = " in said


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x + (torch.round(x) - x).detach(), "its first derivative at x = .* is 1 by"),
        (lambda x: torch.where(x > 0, x.sqrt(), 0 * x), "its first derivative at x = .* is nan"),
        (lambda x: x * float("nan"), r"is finite nowhere on \[-4, 4\]"),
        (nn.RReLU(), "is random: at x = .* it gives .* and then"),
        (lambda x: x + torch.rand_like(x), "is random"),
    ],
)
def test_what_is_wrong_is_named(function: object, message: str) -> None:
    assert re.search(message, said_of(Plain(function)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WrongFirst", "its first derivative at x = "),
        ("WrongSecond", "its second derivative at x = "),
        ("SecondDetached", "its second derivative at x = "),
        ("Once", "once_differentiable"),
        ("Moody", "another function in evaluation than in training"),
        ("WrongByParameter", "the gradient by its parameter 'a' of its values is "),
        ("TooLate", "makes its parameter 'a' in forward, where no optimiser sees it"),
        ("Anew", "replaces its parameter 'a' in forward"),
        ("InAList", "depends on a trainable tensor 'slopes' of shape () that is none of its"),
    ],
)
def test_an_arm_with_it_is_refused_before_anything_runs(name: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        Arm.parse(f"activation={_FAULTS}:{name}").check_own()
    assert message in str(raised.value) and f"{_FAULTS}:{name}" in str(raised.value)


def test_a_third_derivative_is_looked_at_where_it_is_needed() -> None:
    from faults.activations import WrongThird

    check_derivatives("mine", WrongThird(), 3)
    assert "its third derivative at x = " in said_of(WrongThird(), highest=3)


def test_parameters_are_moved_and_the_module_stays() -> None:
    """A gradient that is right where the parameter is 1, and nowhere else."""

    class AtOne(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x + self.a.detach() ** 2 + 2 * (self.a - self.a.detach()))

    module = AtOne()
    assert "the gradient by its parameter 'a'" in said_of(module)
    assert float(module.a.detach()) == 1 and module.a.dtype == torch.float32 and module.training


def test_which_are_piecewise_linear() -> None:
    found = {name for name in ACTIVATIONS.names() if is_piecewise_linear(make_activation(name))}
    assert found == {"relu"}
    assert is_piecewise_linear(nn.PReLU(5), 5) and is_piecewise_linear(nn.Identity())
    assert is_piecewise_linear(nn.functional.leaky_relu)
    assert not is_piecewise_linear(nn.functional.silu) and not is_piecewise_linear(nn.CELU())
