"""The contract of an activation."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from bench.arm import Arm
from bench.spec.randomness import torch_generator
from bench.techniques.activation import make_activation, make_activations
from bench.techniques.calculus import (
    NAMES,
    central_difference,
    derivatives,
    largest_jump,
    residual_loss,
    slope_along,
)
from bench.techniques.networks import drawing_modules
from bench.techniques.trial import check_derivatives
from bench.testing.contract import contract_of
from bench.testing.devices import devices
from bench.text.errors import BadInput, typed

_EVERY_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])
#: Nearer to a kink than this nothing is compared.
_APART = 0.05


class ActivationContract:
    """What an activation must be for a loss on derivatives; see `activation_contract`."""

    kinks: Sequence[float] = (0.0,)
    highest: int = 3

    def test_can_be_chosen_in_an_arm(self, token: str) -> None:
        arm = Arm(activation=token)
        assert Arm.parse(str(arm)) == arm
        arm.check_own()
        assert make_activation(token).training, f"activation {token!r} is made in evaluation mode"

    def test_every_layer_has_its_own(self, token: str) -> None:
        first, second = make_activations(token, [1, 1])
        shared = {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}
        names = [name for name, p in first.named_parameters() if id(p) in shared]
        assert not names, (
            f"activation {token!r} makes modules that share {names}: each layer is to have its own"
        )

    @_EVERY_DTYPE
    def test_keeps_shape_dtype_and_device(self, token: str, dtype: str) -> None:
        whole = torch.linspace(-4.9, 5, 24, dtype=getattr(torch, dtype)).reshape(4, 6)
        layouts = [whole, whole[0, 0], whole[:0], whole[None], whole.t(), whole[::2, 1::2]]
        layouts.append(whole[:1].expand(3, 6))
        for device in devices():
            module = _of_any_shape(token).to(device, whole.dtype)
            for x in (layout.to(device) for layout in layouts):
                with torch.no_grad():
                    found, copied = module(x), module(x.contiguous())
                for what in ("shape", "dtype", "device"):
                    given, got = getattr(x, what), getattr(found, what)
                    assert got == given, (
                        f"activation {token!r} maps the {what} {_told(given)} to {_told(got)}"
                    )
                assert torch.allclose(found, copied, rtol=1e-5, atol=1e-6), (
                    f"activation {token!r} gives other values for a view of a tensor than for its"
                    " copy"
                )
                _differentiated(token, module, x, 2)

    def test_maps_each_element_by_itself(self, token: str) -> None:
        module = _double(token)
        x = torch.linspace(-3, 3, 35, dtype=torch.float64).reshape(5, 7)
        with torch.no_grad():
            whole = module(x.clone())
            alone = torch.stack([module(one.clone()) for one in x.flatten()]).reshape(5, 7)
        assert torch.allclose(whole, alone, rtol=1e-12, atol=1e-14), (
            f"activation {token!r} is not elementwise: at x = {_at(x, whole - alone)} it gives"
            f" {_where(whole, whole - alone)} in a tensor of shape (5, 7) and"
            f" {_where(alone, whole - alone)} alone"
        )

    def test_leaves_its_input_as_it_is(self, token: str) -> None:
        x = torch.linspace(-3, 3, 35, dtype=torch.float64)
        given = x.clone()
        with torch.no_grad():
            _double(token)(given)
        assert torch.equal(given, x), (
            f"activation {token!r} changes its input in place: derivatives need it as it was"
        )

    def test_is_one_function(self, token: str) -> None:
        module = _double(token)
        x = torch.linspace(-3, 3, 35, dtype=torch.float64)
        with torch.no_grad():
            first, again, predicted = module(x), module(x), module.eval()(x)
        assert torch.equal(first, again), (
            f"activation {token!r} is random: at x = {_at(x, first - again)} it gives"
            f" {_where(first, first - again)} and then {_where(again, first - again)}"
        )
        assert torch.equal(first, predicted), (
            f"activation {token!r} is another function in evaluation than in training: what is"
            " scored is not what was trained"
        )

    def test_is_continuous(self, token: str) -> None:
        at, before, after = largest_jump(_double(token), -50.0, 50.0)
        assert abs(after - before) < 1e-9 * (1 + abs(before)), (
            f"activation {token!r} is not continuous: it jumps from {before:.6g} to {after:.6g} at"
            f" x = {at:.6g}"
        )

    def test_derivatives_are_those_of_the_function(self, token: str) -> None:
        """Of each order against finite differences of the one below, in float64."""
        module, x, step = _double(token), self._points(), 1e-3
        found = _differentiated(token, module, x, self.highest)
        for order in range(1, self.highest + 1):
            below = lambda at, k=order - 1: derivatives(module, at, k)[k]  # noqa: E731
            expected = central_difference(below, x, step)
            error = (found[order] - expected).abs()
            size = expected.abs().max() + found[order - 1].abs().max() + 1e-3
            assert (error <= 1e-6 * size).all(), (
                f"activation {token!r}: its {NAMES[order]} at x = {_at(x, error)} is"
                f" {_where(found[order], error)} by automatic differentiation, and"
                f" {_where(expected, error)} by finite differences of its {NAMES[order - 1]}"
            )

    def test_derivatives_are_right_in_a_wide_layer(self, token: str) -> None:
        """Also by parameters, and where each neuron has its own; as before any run."""
        with drawing_modules(0):
            module = make_activation(token, 6)
        try:
            check_derivatives(token, module, 6, self.highest)
        except BadInput as error:
            raise AssertionError(str(error)) from error

    @_EVERY_DTYPE
    def test_is_finite_far_out(self, token: str, dtype: str) -> None:
        far = [-1e4, -1e3, -90.0, 90.0, 1e3, 1e4]
        x = torch.tensor(far, dtype=getattr(torch, dtype))
        module = _of_any_shape(token).to(x.dtype)
        for order, values in enumerate(_differentiated(token, module, x, self.highest)):
            bad = ~values.isfinite()
            assert not bad.any(), (
                f"activation {token!r}: its {NAMES[order]} at x = {_at(x, bad)} is"
                f" {_where(values, bad)} in {dtype}"
            )

    def test_a_loss_on_derivatives_has_its_gradient(self, token: str) -> None:
        """Of a small network, by each parameter, own ones of the activation included."""
        net, x = self._network(token)
        order = self.highest - 1
        try:
            loss = residual_loss(net, x, order)
            gradients = torch.autograd.grad(loss, list(net.parameters()), materialize_grads=True)
        except RuntimeError as error:
            raise AssertionError(
                f"activation {token!r}: a loss on {NAMES[order]}s has no gradient: {typed(error)}"
            ) from error
        generator = torch_generator(0, "directions")
        size = max(float(gradient.norm()) for gradient in gradients)
        for (name, parameter), gradient in zip(net.named_parameters(), gradients, strict=True):
            direction = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            expected = slope_along(lambda: residual_loss(net, x, order), parameter, direction)
            found = float((gradient * direction).sum())
            assert abs(found - expected) <= 1e-6 * size, (
                f"activation {token!r}: the gradient of a loss on {NAMES[order]}s by"
                f" {_OWNER[name.partition('.')[0]]} is {found:.8g} along a direction, and"
                f" {expected:.8g} by finite differences"
            )

    def test_own_parameters_are_trained(self, token: str) -> None:
        """Each has a gradient in a loss on the value; one without is never trained."""
        module, x = _double(token), self._points()
        weight = torch.linspace(0.5, 2, len(x), dtype=torch.float64)
        loss = (weight * module(x)).sum()
        for name, parameter in module.named_parameters():
            assert parameter.requires_grad, f"activation {token!r}: {name!r} is not trained"
            (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True, allow_unused=True)
            assert gradient is not None and bool(gradient.abs().max() > 0), (
                f"activation {token!r}: its parameter {name!r} gets no gradient"
            )

    def test_forward_mode_and_batching_agree(self, token: str) -> None:
        """`torch.func`: derivatives in forward mode, in both modes together, and batched."""
        module, x = _double(token), self._points()
        expected = _differentiated(token, module, x, self.highest)
        for way, order, compute in _ways(module, x, self.highest):
            try:
                found = compute()
            except Exception as error:
                raise AssertionError(
                    f"activation {token!r} does not work under {way}: {typed(error)}"
                ) from error
            off = found - expected[order]
            assert torch.allclose(found, expected[order], rtol=1e-10, atol=1e-12), (
                f"activation {token!r}: its {NAMES[order]} at x = {_at(x, off)} is"
                f" {_where(found, off)} by {way}, and {_where(expected[order], off)} in reverse"
                " mode"
            )

    def test_can_be_traced(self, token: str) -> None:
        """By ``make_fx``, through two gradients, and the trace serves other numbers."""
        module = _double(token)

        def second(x: Tensor) -> Tensor:
            first = torch.autograd.grad(
                module(x).sum(), x, create_graph=True, materialize_grads=True
            )[0]
            if not first.requires_grad:
                return torch.zeros_like(x)
            return torch.autograd.grad(first.sum(), x, create_graph=True, materialize_grads=True)[0]

        x = self._points()
        other = (0.5 * x.flip(0)).requires_grad_()
        try:
            traced = make_fx(second)(x.requires_grad_())
        except Exception as error:
            raise AssertionError(
                f"activation {token!r} cannot be traced by make_fx: {typed(error)}"
            ) from error
        found, expected = traced(other), second(other)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-13), (
            f"activation {token!r}: its trace by make_fx is for the numbers that it was traced"
            f" with: at x = {_at(other, found - expected)} its second derivative is"
            f" {_where(found, found - expected)} instead of {_where(expected, found - expected)}"
        )

    def test_copies_and_states_are_whole(self, token: str) -> None:
        module, x = _double(token), self._points()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.25)
            expected = module(x)
            state = copy.deepcopy(module.state_dict())
            other = _double(token, seed=1)
            other.load_state_dict(state)
            copied, loaded = copy.deepcopy(module)(x), other(x)
        for what, found in (("a deep copy", copied), ("its state_dict", loaded)):
            assert torch.equal(found, expected), (
                f"activation {token!r} is not restored by {what}: something that it depends on is"
                " neither a parameter nor a buffer"
            )

    def _points(self) -> Tensor:
        """On either side of 0, apart from the kinks; float64."""
        x = torch.linspace(-6, 6, 97, dtype=torch.float64) + 0.0123
        return x[self._smooth(x)]

    def _smooth(self, x: Tensor) -> Tensor:
        """Where no kink is near."""
        far = torch.ones_like(x, dtype=torch.bool)
        for kink in self.kinks:
            far &= (x - kink).abs() > _APART
        return far

    def _network(self, token: str) -> tuple[nn.Module, Tensor]:
        """A network of one hidden layer, and points at which no kink is near; float64."""
        with drawing_modules(0):
            first = nn.Linear(2, 4)
            net = nn.Sequential(first, make_activation(token, 4), nn.Linear(4, 1)).double()
            x = 3 * torch.randn(500, 2, dtype=torch.float64)
        with torch.no_grad():
            far = self._smooth(first(x)).all(dim=1)
        return net, x[far][:24]


class _CompiledActivationContract(ActivationContract):
    """The same for one that `torch.compile` takes, too."""

    def test_can_be_compiled(self, token: str) -> None:
        torch._dynamo.reset()
        net, x = self._network(token)
        parameters = list(net.parameters())
        expected = net(x)
        gradients = torch.autograd.grad(expected.sum(), parameters)
        try:
            found = torch.compile(net, backend="aot_eager", fullgraph=True)(x)
        except Exception as error:
            raise AssertionError(
                f"activation {token!r} cannot be compiled as one graph: {typed(error)}"
            ) from error
        compiled = torch.autograd.grad(found.sum(), parameters)
        for mine, other in zip((found, *compiled), (expected, *gradients), strict=True):
            assert torch.allclose(mine, other, rtol=1e-12, atol=1e-13), (
                f"activation {token!r} gives other numbers when it is compiled"
            )


def activation_contract(
    *tokens: str,
    kinks: Sequence[float] = (0.0,),
    derivatives: int = 3,
    compiles: bool = False,
) -> type[ActivationContract]:
    """Tests of an activation: ``TestSnake = activation_contract("mine:Snake")``.

    It maps each element by itself, keeps shape, dtype and device, leaves its input alone, draws
    nothing, is continuous and one function in training and evaluation. One that takes the width has
    the width 1 here, except in a layer. Its derivatives are those of its values by
    finite differences, finite up to |x| = 1e4 in float32 and float64, and the same in
    forward mode, batched and traced. A loss on derivatives has its gradient by every parameter, and
    copies and states are whole.

    Args:
        tokens: Names, or ``module:attribute``, as ``--activation`` takes them.
        kinks: Where a derivative may not exist; derivatives are compared 0.05 apart from there.
        derivatives: How many must be right. A loss on first derivatives (a force) needs 2 for its
            gradient, one on second derivatives (most equations) 3.
        compiles: Test it under `torch.compile`, too, which takes seconds.
    """
    if derivatives not in (2, 3):
        raise ValueError(f"derivatives is 2 or 3, not {derivatives!r}")
    kind = _CompiledActivationContract if compiles else ActivationContract
    return contract_of(kind, tokens, kinks=tuple(kinks), highest=derivatives)


def _ways(
    module: nn.Module, x: Tensor, highest: int
) -> Iterator[tuple[str, int, Callable[[], Tensor]]]:
    """Ways of `torch.func` to a derivative: name, order, and what computes it at `x`."""
    vmap = torch.vmap
    jacobians: list[Callable[..., Any]] = [torch.func.jacfwd, torch.func.jacrev]
    pushed = repeated = cast(Callable[[Tensor], Tensor], module)
    yield "torch.vmap", 0, lambda: vmap(module)(x)
    for order in range(1, highest + 1):
        pushed, repeated = _pushed(pushed), torch.func.grad(repeated)
        yield f"{order} times torch.func.jvp", order, partial(pushed, x)
        yield f"{order} times torch.func.grad, batched", order, partial(vmap(repeated), x)
    yield "torch.func.jvp of grad", 2, partial(_pushed(vmap(torch.func.grad(module))), x)
    for outer, inner in itertools.product(jacobians, repeat=2):
        name = f"torch.func.{outer.__name__} of {inner.__name__}"
        yield name, 2, partial(vmap(outer(inner(module))), x)
        if highest > 2:
            yield f"{name} of grad", 3, partial(vmap(outer(inner(torch.func.grad(module)))), x)


def _pushed(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The derivative of an elementwise function in forward mode."""
    return lambda u: torch.func.jvp(function, (u,), (torch.ones_like(u),))[1]


#: What the parts of the small network are, for messages.
_OWNER = {
    "0": "a weight of the layer before it",
    "1": "its own parameter",
    "2": "a weight of the layer behind it",
}


def _double(token: str, seed: int = 0) -> nn.Module:
    with drawing_modules(seed):
        return _of_any_shape(token).double()


class _OneFeature(nn.Module):
    """One with parameters for every feature, of tensors of any shape: each number is a row."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(x.unsqueeze(-1))
        return found.squeeze(-1)


def _of_any_shape(token: str) -> nn.Module:
    module = make_activation(token)
    by_feature = any(parameter.ndim for parameter in module.parameters())
    return _OneFeature(module) if by_feature else module


def _differentiated(token: str, module: nn.Module, x: Tensor, order: int) -> list[Tensor]:
    """`derivatives`, with a sentence where there is none."""
    for highest in range(1, order + 1):
        try:
            found = derivatives(module, x, highest)
        except RuntimeError as error:
            raise AssertionError(
                f"activation {token!r} has no {NAMES[highest]} by automatic differentiation:"
                f" {typed(error)}"
            ) from error
    return found


def _told(what: object) -> object:
    return tuple(what) if isinstance(what, torch.Size) else what


def _worst(error: Tensor) -> int:
    return int(error.detach().double().abs().nan_to_num(nan=torch.inf).argmax())


def _at(x: Tensor, error: Tensor) -> str:
    return f"{float(x.detach().flatten()[_worst(error)]):.6g}"


def _where(values: Tensor, error: Tensor) -> str:
    return f"{float(values.detach().flatten()[_worst(error)]):.8g}"
