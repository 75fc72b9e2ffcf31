"""The trial of an activation: what is wrong is named with its numbers, what is right passes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.arm import Arm
from bench.techniques.activation import ACTIVATIONS, make_activation
from bench.techniques.trial import check_derivatives, is_piecewise_linear
from bench.text.errors import BadInput

_FAULTS = "faults.activations"


Function = Callable[[Tensor], Tensor]


class Plain(nn.Module):
    """A function as an activation."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def said_of(module: nn.Module, width: int = 3, highest: int = 2) -> str:
    with pytest.raises(BadInput) as raised:
        check_derivatives("mine", module, width, highest)
    return str(raised.value)


@pytest.mark.parametrize("token", ACTIVATIONS.names())
def test_the_built_in_ones_pass_to_third_order(token: str) -> None:
    check_derivatives(token, make_activation(token), 3, highest=3)


def _hats(x: Tensor) -> Tensor:
    return torch.relu(1 - (x - 2 * torch.round(x / 2)).abs())


#: Functions without a fault.
RIGHT: dict[str, Function] = {
    "abs": torch.abs,
    "round": torch.round,
    "hats": _hats,
    "hardswish": nn.Hardswish(),
    "hardshrink": nn.Hardshrink(),
    "relu in place": nn.ReLU(inplace=True),
    "relu squared": lambda x: torch.relu(x) ** 2,
    "gelu": nn.GELU(),
    "gelu by tanh": nn.GELU("tanh"),
    "mish": nn.Mish(),
    "softplus 50": nn.Softplus(beta=50),
    "sin 1000": lambda x: torch.sin(1000 * x),
    "sin 3000": lambda x: torch.sin(3000 * x),
    "sin 1e5": lambda x: torch.sin(1e5 * x),
    "tanh 300": lambda x: torch.tanh(300 * x),
    "x sin 5x": lambda x: x * torch.sin(5 * x),
    "sin over a square": lambda x: torch.sin(x) / (1 + x * x),
    "exp": lambda x: torch.exp(3 * x),
    "log": torch.log,
    "single inside": lambda x: torch.tanh(x.float()).to(x.dtype),
    "single alone": lambda x: torch.sin(30 * x.float()),
    "softmax": lambda x: torch.softmax(x, dim=-1),
    "maximum of neighbours": lambda x: torch.maximum(x, x.flip(-1)),
    "rows mixed": lambda x: torch.tanh(x - x.mean(dim=0)),
}


@pytest.mark.parametrize("highest", [2, 3])
@pytest.mark.parametrize("name", RIGHT)
def test_kinks_jumps_steepness_and_coupled_elements_are_no_fault(name: str, highest: int) -> None:
    before = torch.get_rng_state()
    check_derivatives("mine", Plain(RIGHT[name]), 3, highest)
    assert torch.equal(torch.get_rng_state(), before)


class WithParameter(nn.Module):
    """A function of its input and of a parameter that starts at a number in every place."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], start: float) -> None:
        super().__init__()
        self.function = function
        self.a = nn.Parameter(torch.full((3,), start))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.a)


#: With a parameter that starts at a bound.
AT_A_BOUND: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "clamp below": (lambda x, a: torch.sin(a.clamp(min=1) * x), 1.0),
    "clamp above": (lambda x, a: torch.sin(a.clamp(max=1) * x), 1.0),
    "clamp both": (lambda x, a: x + torch.sin(a.clamp(0, 1) * x), 0.0),
    "relu": (lambda x, a: torch.tanh(x) + torch.relu(a) * torch.sin(x), 0.0),
    "abs": (lambda x, a: torch.tanh(x) + a.abs() * torch.sin(x), 0.0),
    "a small part": (lambda x, a: torch.tanh(a * x) + 1e-3 * torch.relu(a - 1) * torch.sin(x), 1.0),
    "end of the domain": (lambda x, a: torch.tanh(x + torch.acos(a)), 1.0),
}


@pytest.mark.parametrize("name", AT_A_BOUND)
def test_a_parameter_may_start_at_a_bound(name: str) -> None:
    module = WithParameter(*AT_A_BOUND[name])
    check_derivatives("mine", module, 3, highest=3)
    assert torch.equal(module.a.detach(), torch.full((3,), AT_A_BOUND[name][1]))


@pytest.mark.parametrize("bound", ["min", "max"])
def test_half_a_gradient_is_found_on_the_side_that_has_one(bound: str) -> None:
    """At the bound itself half of it would be the central difference."""

    def halved(x: Tensor, a: Tensor) -> Tensor:
        return torch.tanh((0.5 * a + 0.5 * a.detach()).clamp(**{bound: 1}) * x)

    assert "the gradient by its parameter 'a' of its values is" in said_of(
        WithParameter(halved, 1.0)
    )


class Scripted(nn.Module):
    """With a parameter and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(1))
        self.register_buffer("b", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.a * x) + self.b * x


@pytest.mark.filterwarnings("ignore:.*grad attribute")
@pytest.mark.parametrize("script", [False, True], ids=["eager", "script"])
def test_a_module_may_be_a_script_and_have_buffers(script: bool) -> None:
    check_derivatives("mine", torch.jit.script(Scripted()) if script else Scripted(), 3, highest=3)


class OnlySingle(nn.Module):
    """Refuses double precision."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("single precision only")
        found: Tensor = self.inner(x)
        return found


def test_what_works_in_single_precision_alone_is_tried_in_it() -> None:
    from faults.activations import WrongSecond

    check_derivatives("mine", OnlySingle(nn.Tanh()), 3, highest=3)
    check_derivatives("mine", OnlySingle(Plain(lambda x: torch.sin(30 * x))), 3)
    assert "its second derivative at x = " in said_of(OnlySingle(WrongSecond()))


def test_single_precision_inside_hides_no_fault() -> None:
    from faults.activations import WrongSecond

    wrong: nn.Module = WrongSecond()
    said = said_of(Plain(lambda x: wrong(x.float()).to(x.dtype)))
    assert "its second derivative at x = " in said


def test_the_trial_of_coupled_elements_takes_few_evaluations() -> None:
    rows = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal rows
        rows += len(x)
        return torch.softmax(x, dim=-1)

    check_derivatives("mine", Plain(counted), 64, highest=3)
    assert 0 < rows < 20_000


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
    ids=["straight through", "root at 0", "never finite", "RReLU", "noise"],
)
def test_what_is_wrong_is_named(function: Callable[[Tensor], Tensor], message: str) -> None:
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
    assert not is_piecewise_linear(nn.Softmax(dim=-1), 3)
    assert is_piecewise_linear(lambda x: torch.maximum(x, x.flip(-1)), 3)
    assert not is_piecewise_linear(nn.functional.silu) and not is_piecewise_linear(nn.CELU())
