"""A trial of an activation of a user's own: its derivatives against finite differences.

Everything that is trained here is trained on derivatives that torch takes of the activation. A
custom backward pass or a ``.detach()`` may make them those of another function, and no loss shows
it: the activation itself says what its derivatives are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.spec.randomness import torch_generator
from bench.techniques.calculus import NAMES, derivatives
from bench.techniques.differences import DOUBLE, SINGLE, Precision, compare
from bench.text.errors import BadInput, typed

#: Where: so many points, from one end to the other of [−4, 4], none at a round number.
_POINTS, _FAR, _ASIDE = 200, 4.0, 0.0123
#: Of so many points an activation may be wrong at this many: where several kinks meet, say.
_EXCUSED = 2
#: Of an activation that mixes elements: so many rows move along lines, at every so many-th point.
_LINES, _SPARSE = 4, 10


def check_derivatives(token: str, module: nn.Module, width: int, highest: int = 2) -> None:
    """Compare the derivatives of an activation, and their gradients by its parameters, with finite
    differences: the former at its first parameters, both above and below them.

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
        trainable = any(p.requires_grad for p in tried.parameters())
        for share in (0.0, 0.1, -0.1) if trainable else (0.0,):
            near = _perturbed(tried, share)
            function, x = _as_elementwise(near, width, precision.dtype)
            with torch.no_grad():
                x = x[function(x).isfinite().reshape(len(x), -1).all(dim=1)]
            if len(x):  # else its parameters may not be those
                _check_by_input(token, function, x, highest, precision)
                # A parameter may start at a bound, where its slope is one of two: not there.
                if share:
                    _check_by_parameters(token, near, function, x, highest, precision)


def is_piecewise_linear(function: Callable[[Tensor], Tensor], width: int = 1) -> bool:
    """Whether the second derivative is 0 at every one of 200 points on [−4, 4]: of ReLU, say.

    Of an activation that mixes elements it is that along lines.

    Args:
        function: An activation; it stays as it is.
        width: Size of the last axis of what it gets.
    """
    precision = DOUBLE
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        if isinstance(function, nn.Module):
            function, precision = _in_double(copy.deepcopy(function).cpu(), width)
        function, x = _as_elementwise(function, width, precision.dtype)
        second = derivatives(function, x, 2)[2]
    return not bool(second.any())


def _points(width: int, dtype: torch.dtype) -> Tensor:
    """Every feature gets the same numbers, shape ``(_POINTS, width)``."""
    x = torch.linspace(-_FAR, _FAR, _POINTS, dtype=dtype) + _ASIDE
    return x[:, None].repeat(1, width)


def _in_double(module: nn.Module, width: int) -> tuple[nn.Module, Precision]:
    """A copy in double precision if it works there, else in single."""
    tried = copy.deepcopy(module).double()
    try:
        with torch.no_grad():
            found = tried(_points(width, torch.float64))
    except Exception:  # what it raises in its own precision is told there
        return copy.deepcopy(module), SINGLE
    return (tried, DOUBLE) if found.dtype == torch.float64 else (copy.deepcopy(module), SINGLE)


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


def _perturbed(module: nn.Module, share: float) -> nn.Module:
    """A copy with other parameters of the same sign and size; those that are 0 become positive."""
    module = copy.deepcopy(module)
    generator = torch_generator(0, "parameters of a trial")
    with torch.no_grad():
        for parameter in module.parameters() if share else ():
            noise = torch.rand(parameter.shape, generator=generator).to(parameter.dtype)
            from_zero = torch.where(parameter == 0, abs(share) * noise, 0.0)
            parameter.mul_(1 + share * noise).add_(from_zero)
    return module


def _as_elementwise(
    module: Callable[[Tensor], Tensor], width: int, dtype: torch.dtype
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """An elementwise function that has the module's derivatives, and where to look at it."""
    x = _points(width, dtype)
    changed = x.clone()
    changed[_POINTS // 2, width // 2] += 0.7
    with torch.no_grad():
        before = module(x.clone())
        differs = (before != module(changed)) & ~before.isnan()
    rows = differs.any(dim=1)
    rows[_POINTS // 2] = False
    differs[_POINTS // 2, width // 2] = False
    if not differs.any():
        return lambda points: module(points.clone()), x
    generator = torch_generator(0, "lines of a trial")
    start, direction, weight = (
        torch.randn(_LINES, width, generator=generator, dtype=torch.float64).to(dtype)
        for _ in range(3)
    )
    direction = direction / direction.norm()

    def along(points: Tensor) -> Tensor:
        """Of each point alone."""
        return torch.stack([(weight * module(start + s * direction)).sum() for s in points])

    def along_together(points: Tensor) -> Tensor:
        """The same where no row sees another."""
        rows = start + points[:, None, None] * direction
        found = module(rows.reshape(-1, width)).reshape(rows.shape)
        return (weight * found).sum(dim=(1, 2))

    return along if rows.any() else along_together, x[::_SPARSE, 0].clone()


def _check_by_input(
    token: str,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    highest: int,
    precision: Precision,
) -> None:
    found = _differentiated(token, function, x, highest)
    for order in range(1, highest + 1):
        below = lambda offset, k=order - 1: derivatives(function, x + offset, k)[k]  # noqa: E731
        # Of large values, so that an activation which computes in single precision is not refused
        # where it is all but flat.
        size = precision.of_values * float(found[order - 1].abs().quantile(0.8)) + 1e-7
        excused = _EXCUSED * max(1, x.numel() // _POINTS)
        wrong, expected = compare(found[order], below, precision, size, excused)
        if int(wrong.sum()) > excused:
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


def _check_by_parameters(
    token: str,
    module: nn.Module,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    highest: int,
    precision: Precision,
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
            found = (gradient * direction).sum()
            size = precision.of_values * abs(float(loss.detach())) + 1e-6
            wrong, expected = compare(found, _moved(total, parameter, direction), precision, size)
            if bool(wrong):
                raise BadInput(
                    f"activation {token!r}: the gradient by its parameter {name!r} of its"
                    f" {NAMES[order]}s is {float(found):.6g} along a direction, and"
                    f" {float(expected):.6g} by finite differences: the parameter would be trained"
                    " on another function"
                )


def _moved(
    total: Callable[[], Tensor], parameter: Tensor, direction: Tensor
) -> Callable[[float], Tensor]:
    """What is computed with a parameter that is so far along a direction, which then goes back."""
    before = parameter.detach().clone()

    def at(offset: float) -> Tensor:
        try:
            with torch.no_grad():
                parameter.copy_(before + offset * direction)
            return total().detach()
        finally:
            with torch.no_grad():
                parameter.copy_(before)

    return at


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
