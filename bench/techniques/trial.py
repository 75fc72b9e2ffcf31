"""A trial of an activation of a user's own: its derivatives against finite differences.

Everything that is trained here is trained on derivatives that torch takes of the activation. A
custom backward pass or a ``.detach()`` may make them those of another function, and no loss shows
it: the activation itself says what its derivatives are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.spec.randomness import torch_generator
from bench.techniques.calculus import NAMES, central_difference, derivatives, slope_along
from bench.text.errors import BadInput, typed

#: Where: so many points, from one end to the other of [−4, 4], none at a round number.
_POINTS, _FAR, _ASIDE = 200, 4.0, 0.0123
#: Of so many points an activation may be wrong at this many: where several kinks meet, say.
_EXCUSED = 2


@dataclass(frozen=True)
class _Precision:
    """How finely derivatives are compared.

    Attributes:
        dtype: Of all numbers.
        steps: Of the differences. A steep function needs a small one, and one that rounds a large
            one: what agrees at any is right.
        relative: Difference that is none, as a fraction of the derivatives.
        of_values: The same as a fraction of large values of what they are the slopes of.
    """

    dtype: torch.dtype
    steps: tuple[float, ...]
    relative: float
    of_values: float


_DOUBLE = _Precision(torch.float64, (1e-2, 1e-3, 1e-4), 1e-4, 2e-5)
#: Of an activation that works in no other.
_SINGLE = _Precision(torch.float32, (0.1, 0.03), 1e-2, 1e-4)


def check_derivatives(token: str, module: nn.Module, width: int, highest: int = 2) -> None:
    """Compare the derivatives of an activation, and their gradients by its parameters, with finite
    differences, at its first parameters and near them.

    Of each order with the differences of the order below, on 200 points on [−4, 4]. Where the
    differences to the left and to the right are not the same there is a kink, and nothing is
    compared. Of an activation that mixes elements the derivatives along lines are compared.

    Args:
        token: What it is called.
        module: The activation; it stays as it is.
        width: Size of the last axis of what it gets.
        highest: How many derivatives: 2 for a loss on first derivatives, whose gradient needs the
            second; 3 for a loss on second ones.

    Raises:
        BadInput: One is wrong or does not exist, or the module is not one function: it draws
            random numbers, or is another in evaluation than in training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tried, precision = _in_double(module, width)
        _check_one_function(token, tried, _points(width, precision.dtype))
        for perturbed in (False, True):
            if perturbed and not any(p.requires_grad for p in tried.parameters()):
                return
            if perturbed:
                _perturb(tried)
            function, x = _as_elementwise(tried, width, precision.dtype)
            with torch.no_grad():
                x = x[function(x).isfinite().reshape(len(x), -1).all(dim=1)]
            _check_by_input(token, function, x, highest, precision)
            _check_by_parameters(token, tried, function, x, highest, precision)


def is_piecewise_linear(function: Callable[[Tensor], Tensor], width: int = 1) -> bool:
    """Whether the second derivative is 0 at every one of 200 points on [−4, 4]: of ReLU, say.

    Args:
        function: An activation; it stays as it is.
        width: Size of the last axis of what it gets.
    """
    precision = _DOUBLE
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        if isinstance(function, nn.Module):
            function, precision = _in_double(copy.deepcopy(function).cpu(), width)
        second = derivatives(function, _points(width, precision.dtype), 2)[2]
    return not bool(second.any())


def _points(width: int, dtype: torch.dtype) -> Tensor:
    """Every feature gets the same numbers, shape ``(_POINTS, width)``."""
    x = torch.linspace(-_FAR, _FAR, _POINTS, dtype=dtype) + _ASIDE
    return x[:, None].repeat(1, width)


def _in_double(module: nn.Module, width: int) -> tuple[nn.Module, _Precision]:
    """A copy in double precision if it works there, else in single."""
    tried = copy.deepcopy(module).double()
    try:
        with torch.no_grad():
            found = tried(_points(width, torch.float64))
    except Exception:  # what it raises in its own precision is told there
        return copy.deepcopy(module), _SINGLE
    return (tried, _DOUBLE) if found.dtype == torch.float64 else (copy.deepcopy(module), _SINGLE)


def _check_one_function(token: str, module: nn.Module, x: Tensor) -> None:
    """Refuse what is random, or another function in evaluation."""
    with torch.no_grad():
        first, again = module(x.clone()), module(x.clone())
        predicted = module.eval()(x.clone())
        module.train()
    if not first.isfinite().any():
        raise BadInput(f"activation {token!r} is finite nowhere on [-{_FAR:g}, {_FAR:g}]")
    for other, what in (
        (again, "is random: at x = {x} it gives {a} and then {b}"),
        (
            predicted,
            "is another function in evaluation than in training, so that what is scored is not what"
            " was trained: at x = {x} it gives {a} in training and {b} in evaluation",
        ),
    ):
        if not torch.equal(first.nan_to_num(), other.nan_to_num()):
            at = int((first != other).flatten().int().argmax())
            a, b = float(first.flatten()[at]), float(other.flatten()[at])
            told = what.format(x=f"{float(x.flatten()[at]):.4g}", a=f"{a:.6g}", b=f"{b:.6g}")
            raise BadInput(f"activation {token!r} {told}")


def _perturb(module: nn.Module) -> None:
    """Other parameters of the same sign and size."""
    generator = torch_generator(0, "parameters of a trial")
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.rand(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.mul_(1 + 0.1 * noise).add_(torch.where(parameter == 0, 0.1 * noise, 0.0))


def _as_elementwise(
    module: nn.Module, width: int, dtype: torch.dtype
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """An elementwise function that has the module's derivatives, and where to look at it."""
    x = _points(width, dtype)
    changed = x.clone()
    changed[_POINTS // 2, width // 2] += 0.7
    with torch.no_grad():
        differs = module(x.clone()) != module(changed)
    differs[_POINTS // 2, width // 2] = False
    differs &= ~module(x.clone()).isnan()
    if not differs.any():
        return lambda points: module(points.clone()), x
    generator = torch_generator(0, "lines of a trial")
    start, direction, weight = (
        torch.randn(8, width, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3)
    )
    direction = direction / direction.norm()

    def along(points: Tensor) -> Tensor:
        return torch.stack([(weight * module(start + s * direction)).sum() for s in points])

    return along, x[::10, 0].clone()


def _check_by_input(
    token: str,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    highest: int,
    precision: _Precision,
) -> None:
    found = _differentiated(token, function, x, highest)
    for order in range(1, highest + 1):
        below = lambda at, k=order - 1: derivatives(function, at, k)[k]  # noqa: E731
        # Of large values, so that an activation which computes in single precision is not refused
        # where it is all but flat.
        size = precision.of_values * float(found[order - 1].abs().quantile(0.8)) + 1e-7
        wrong = torch.ones_like(x, dtype=torch.bool)
        for step in precision.steps:
            expected = central_difference(below, x, step)
            allowed = precision.relative * (expected.abs() + found[order].abs()) + size
            # Where a difference is not finite it says nothing; the derivative must be one.
            same = (found[order] - expected).abs() <= allowed
            wrong &= ~same & expected.isfinite()
        wrong &= _smooth(below, x, precision)
        if int(wrong.sum()) > _EXCUSED * max(1, x.numel() // _POINTS):
            off = (found[order] - expected).abs().nan_to_num(nan=torch.inf)
            at = int(torch.where(wrong, off, -1.0).flatten().argmax())
            raise BadInput(
                f"activation {token!r}: its {NAMES[order]} at x = {float(x.flatten()[at]):.4g} is"
                f" {float(found[order].flatten()[at]):.6g} by automatic differentiation, and"
                f" {float(expected.flatten()[at]):.6g} by finite differences of its"
                f" {NAMES[order - 1]}: a loss on derivatives would be that of another function"
            )


def _differentiated(
    token: str, function: Callable[[Tensor], Tensor], x: Tensor, highest: int
) -> list[Tensor]:
    """The value and the derivatives, with a sentence where there is none."""
    found = derivatives(function, x, 0)
    for order in range(1, highest + 1):
        try:
            found = derivatives(function, x, order)
        except RuntimeError as error:
            raise BadInput(
                f"activation {token!r} has no {NAMES[order]} by automatic differentiation, which a"
                f" loss on derivatives needs: {typed(error)}"
            ) from error
    return found


def _smooth(below: Callable[[Tensor], Tensor], x: Tensor, precision: _Precision) -> Tensor:
    """Where the slopes to the left and to the right are the same."""
    step = precision.steps[-1]
    here = below(x)
    right = (4 * below(x + step) - 3 * here - below(x + 2 * step)) / (2 * step)
    left = (3 * here - 4 * below(x - step) + below(x - 2 * step)) / (2 * step)
    noise = torch.finfo(precision.dtype).eps * here.abs() / step
    allowed = 1e-2 * (right.abs() + left.abs()) + 1e-6 + 100 * noise
    return (right - left).abs() <= allowed


def _check_by_parameters(
    token: str,
    module: nn.Module,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    highest: int,
    precision: _Precision,
) -> None:
    """Of sums of the values and of the derivatives below the highest, by each parameter."""
    generator = torch_generator(0, "directions of a trial")
    draw = lambda like: torch.randn(like.shape, generator=generator).to(like.dtype)  # noqa: E731
    weight = draw(x)
    for order in range(highest):
        total = _sum_of_derivatives(function, x, weight, order)
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            direction = draw(parameter)
            loss = total()
            gradient = torch.zeros_like(parameter)
            if loss.requires_grad:
                (gradient,) = torch.autograd.grad(loss, [parameter], materialize_grads=True)
            found = float((gradient * direction).sum())
            size = precision.of_values * abs(float(loss.detach())) + 1e-6
            differences = [
                slope_along(total, parameter, direction, step) for step in precision.steps
            ]
            if not any(
                abs(found - one) <= precision.relative * (abs(found) + abs(one)) + size
                for one in differences
            ):
                raise BadInput(
                    f"activation {token!r}: the gradient by its parameter {name!r} of its"
                    f" {NAMES[order]}s is {found:.6g} along a direction, and"
                    f" {differences[-1]:.6g} by finite differences: the parameter would be trained"
                    " on another function"
                )


def _sum_of_derivatives(
    function: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor, order: int
) -> Callable[[], Tensor]:
    """Computes Σ w·φ⁽ᵏ⁾(x), with its graph to the parameters."""

    def total() -> Tensor:
        at = x.clone().requires_grad_()
        found = function(at)
        for _ in range(order):
            if not found.requires_grad:
                return torch.zeros((), dtype=x.dtype)
            (found,) = torch.autograd.grad(
                found.sum(), at, create_graph=True, materialize_grads=True
            )
        return (weight * found).sum()

    return total
