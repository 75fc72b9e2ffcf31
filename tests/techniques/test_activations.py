"""Activations: the contract, and values and derivatives against mpmath and quadrature."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import pytest
import scipy.integrate
import scipy.special
import torch
from torch import Tensor, nn

from bench.techniques import elementwise, integrated
from bench.techniques.activation import ACTIVATIONS
from bench.techniques.antiderivative import differentiable
from bench.testing import activation_contract

TestContract = activation_contract(
    *ACTIVATIONS.names(), "steep_activations:elu", "steep_activations:ielu", compiles=True
)

TestWithParametersOfItsOwn = activation_contract(
    "faults.activations:Snake", "faults.activations:PerNeuron", "faults.activations:Uneven"
)

mp = mpmath.mp.clone()
mp.dps = 40

Real = Callable[[mpmath.mpf], mpmath.mpf]


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def softplus_integral(x):
    if x > 0:
        return x**2 / 2 + mp.pi**2 / 6 - softplus_integral(-x)
    return -mp.re(mp.polylog(2, -mp.exp(x)))


def gelu_integral(x):
    return ((x**2 - 1) * mp.ncdf(x) + x * mp.npdf(x)) / 2


def log_cosh(x):
    return abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2)


def zero(x):
    return mp.zero


@dataclass(frozen=True)
class Case:
    """An activation and its references: value and first derivative, on either side of 0."""

    make: Callable[[], nn.Module]
    value: tuple[Real, Real]
    first: tuple[Real, Real] | None = None
    kink: int = 99  # the lowest derivative that does not exist at 0
    base: Callable[[float], float] | None = None  # what an integrated activation integrates
    vanishes: bool = False  # tends to 0 to the left, where it is to be relatively accurate


def smooth(make, value, first=None, **kwargs):
    return Case(make, (value, value), (first, first) if first else None, **kwargs)


def elu_case(alpha):
    return Case(
        lambda: nn.ELU(alpha),
        (lambda x: alpha * mp.expm1(x), lambda x: x),
        kink=1 if alpha != 1 else 2,
    )


def ielu_case(alpha):
    return Case(
        lambda: integrated.IntegratedELU(alpha),
        (lambda x: alpha * (mp.expm1(x) - x), lambda x: x**2 / 2),
        (lambda x: alpha * mp.expm1(x), lambda x: x),
        kink=2 if alpha != 1 else 3,
        base=lambda t: t if t > 0 else alpha * math.expm1(t),
    )


CASES = {
    "irelu": Case(
        integrated.IReLU,
        (zero, lambda x: x**2 / 2),
        kink=2,
        base=lambda t: max(t, 0.0),
        vanishes=True,
    ),
    "ielu": ielu_case(1.0),
    "ielu-1.7": ielu_case(1.7),
    "igelu": smooth(
        integrated.IntegratedGELU,
        gelu_integral,
        lambda x: x * mp.ncdf(x),
        base=lambda t: t * scipy.special.ndtr(t),
        vanishes=True,
    ),
    "isilu": smooth(
        integrated.IntegratedSiLU,
        lambda x: x * softplus(x) - softplus_integral(x),
        lambda x: x * sigmoid(x),
        base=lambda t: t * scipy.special.expit(t),
        vanishes=True,
    ),
    "itanh": smooth(integrated.IntegratedTanh, log_cosh, mp.tanh, base=math.tanh),
    "isoftplus": smooth(
        integrated.IntegratedSoftplus,
        softplus_integral,
        softplus,
        base=lambda t: -scipy.special.log_expit(-t),
        vanishes=True,
    ),
    "tanh": smooth(nn.Tanh, mp.tanh),
    "sin": smooth(elementwise.Sine, mp.sin),
    "silu": smooth(elementwise.SiLU, lambda x: x * sigmoid(x)),
    "gelu": smooth(nn.GELU, lambda x: x * mp.ncdf(x)),
    "elu": elu_case(1.0),
    "elu-1.7": elu_case(1.7),
    "softplus": smooth(elementwise.Softplus, softplus),
    "ssp": smooth(elementwise.ShiftedSoftplus, lambda x: softplus(x) - mp.log(2)),
    "relu": Case(nn.ReLU, (zero, lambda x: x), kink=1),
    "sigmoid": smooth(elementwise.Sigmoid, sigmoid),
}
INTEGRATED = [name for name in CASES if name.startswith("i")]
every_case = pytest.mark.parametrize("name", CASES)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])

# Around 0, the switch points of the formulas (1/2, 1, 20, 40) and the extremes.
SPECIAL = [1e-8, 1e-4, 1e-3, 0.03, 0.1, 0.3, 0.7, 1.3, 1e2, 1e4]
SPECIAL += [c + d for c in (0.5, 1.0, 20.0, 40.0) for d in (-1e-4, 1e-4)]
# Rounded to float32, so that both precisions share their references.
GRID = torch.tensor(
    sorted({0.0, *SPECIAL, *(-x for x in SPECIAL), *(x * 0.8 for x in range(-63, 64))}),
    dtype=torch.float32,
).tolist()


@functools.cache
def reference(name: str, order: int) -> list[mpmath.mpf]:
    case = CASES[name]
    values = []
    for x in map(mp.mpf, GRID):
        side = int(x > 0)
        if order == 0:
            values.append(case.value[side](x))
        elif case.first is None:
            values.append(mp.diff(case.value[side], x, order))
        else:
            values.append(mp.diff(case.first[side], x, order - 1))
    return values


def derivatives(function: Callable[[Tensor], Tensor], x: Tensor, order: int) -> list[Tensor]:
    """The function's value and derivatives at every element of x, by nested reverse mode."""
    x = x.clone().requires_grad_()
    result = [function(x)]
    for _ in range(order):
        (grad,) = torch.autograd.grad(result[-1].sum(), x, create_graph=True)
        result.append(grad)
    return [y.detach() for y in result]


def points(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor([-21.0, -3.1, -0.6, -0.2, 0.3, 0.7, 2.4, 20.5], dtype=dtype)


@every_dtype
@every_case
def test_value_and_three_derivatives(name, dtype):
    x = torch.tensor(GRID, dtype=dtype)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    for order, computed in enumerate(derivatives(CASES[name].make(), x, 3)):
        assert computed.dtype == dtype
        for at, got, exact in zip(GRID, computed.tolist(), reference(name, order), strict=True):
            if at == 0 and order >= CASES[name].kink:
                continue
            allowed = tolerance * max(abs(exact), at**2, 1e-3)
            assert abs(got - exact) <= allowed, (order, at, got, float(exact))


@every_dtype
@pytest.mark.parametrize("name", [name for name in INTEGRATED if CASES[name].vanishes])
def test_left_tail_is_relatively_accurate(name, dtype):
    # float32: e^(-x^2/2) alone amplifies the rounding of its argument by x^2/2.
    single = 1e-5 if name == "igelu" else 1e-6
    tolerance = 1e-10 if dtype == torch.float64 else single
    x = torch.linspace(-700, -0.5, 300, dtype=torch.float32)
    x = torch.cat([x, torch.linspace(-37, -0.5, 100)]).to(dtype)
    compared = 0
    for at, got in zip(x.tolist(), CASES[name].make()(x).tolist(), strict=True):
        exact = CASES[name].value[0](mp.mpf(at))
        if abs(exact) > 2 * torch.finfo(dtype).tiny:
            assert abs(got / exact - 1) <= tolerance, (at, got, float(exact))
            compared += 1
        else:
            assert abs(got) <= 4 * torch.finfo(dtype).tiny
    assert compared > 30 or name == "irelu"


@pytest.mark.parametrize("name", ["itanh", "ielu", "ssp"])
def test_relatively_accurate_at_zero(name):
    for dtype, tolerance in ((torch.float64, 2e-15), (torch.float32, 1e-6)):
        x = torch.tensor([s * 10.0**-k for k in range(10) for s in (-1, 1)], dtype=dtype)
        for at, got in zip(x.tolist(), CASES[name].make()(x).tolist(), strict=True):
            exact = CASES[name].value[int(at > 0)](mp.mpf(at))
            assert abs(got / exact - 1) <= tolerance, (at, got, float(exact))


@pytest.mark.parametrize("name", INTEGRATED)
def test_integrates_its_base_activation(name):
    case = CASES[name]
    module = case.make()

    def at(x):
        return module(torch.tensor(x, dtype=torch.float64)).item()

    for x in (-6.0, -1.0, -0.3, 0.4, 2.0, 9.0):
        area, _ = scipy.integrate.quad(case.base, 0.0, x, epsabs=1e-13, epsrel=1e-13)
        assert at(x) - at(0.0) == pytest.approx(area, rel=1e-12, abs=1e-12)
    if case.vanishes:
        area, _ = scipy.integrate.quad(case.base, -math.inf, -1.0, epsabs=1e-13)
        assert at(-1.0) == pytest.approx(area, rel=1e-10)
    else:
        assert at(0.0) == 0.0


@pytest.mark.parametrize("name", INTEGRATED)
def test_half_precisions_keep_their_dtype(name):
    x = points()[1:-1]
    for dtype in (torch.float16, torch.bfloat16):
        result = CASES[name].make()(x.to(dtype))
        assert result.dtype == dtype
        torch.testing.assert_close(result.double(), CASES[name].make()(x), rtol=0.1, atol=0.05)


def test_differentiable_uses_the_given_derivative():
    # A derivative that is not the value's own shows which of the two was differentiated.
    operation = differentiable(torch.sin, lambda x: 3.0 * x**2)
    x = points()
    value, first, second, third = derivatives(operation, x, 3)
    assert torch.equal(value, torch.sin(x))
    torch.testing.assert_close(first, 3 * x**2)
    torch.testing.assert_close(second, 6 * x)
    torch.testing.assert_close(third, torch.full_like(x, 6))
    torch.testing.assert_close(torch.vmap(torch.func.hessian(operation))(x), 6 * x)
