"""The contract of a normalisation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from bench.arm import Arm
from bench.spec.randomness import torch_generator
from bench.techniques.calculus import residual_loss, slope_along
from bench.techniques.norm_layers import measure_frozen_statistics
from bench.techniques.normalization import make_normalization
from bench.testing.contract import contract_of
from bench.testing.devices import devices
from bench.text.errors import typed

_ROWS, _FEATURES = 7, 5
_EVERY_MODE = pytest.mark.parametrize("mode", ["training", "evaluation"])
_EVERY_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


class NormalizationContract:
    """What a normalisation must be for a loss on derivatives; see `normalization_contract`."""

    coupled: bool = False

    def test_can_be_chosen_in_an_arm(self, token: str) -> None:
        arm = Arm(normalization=token)
        assert Arm.parse(str(arm)) == arm
        arm.check_own()
        assert make_normalization(token, _FEATURES).training, (
            f"normalization {token!r} is made in evaluation mode"
        )

    @_EVERY_MODE
    @_EVERY_DTYPE
    def test_keeps_shape_dtype_and_device(self, token: str, dtype: str, mode: str) -> None:
        for device in devices():
            x = _batch().to(device, getattr(torch, dtype))
            found = _layer(token, mode).to(device, x.dtype)(x)
            for what in ("shape", "dtype", "device"):
                given, got = getattr(x, what), getattr(found, what)
                assert got == given, f"normalization {token!r} maps the {what} {given} to {got}"

    @_EVERY_MODE
    def test_leaves_its_input_as_it_is(self, token: str, mode: str) -> None:
        x = _batch()
        given = x.clone()
        with torch.no_grad():
            _layer(token, mode)(given)
        assert torch.equal(given, x), (
            f"normalization {token!r} changes its input in place in {mode}: derivatives need it as"
            " it was"
        )

    @_EVERY_MODE
    def test_draws_nothing(self, token: str, mode: str) -> None:
        layer, x = _layer(token, mode), _batch()
        with torch.no_grad():
            # A copy, since training may change what the layer remembers.
            first, again = copy.deepcopy(layer)(x), layer(x)
        assert torch.equal(first, again), (
            f"normalization {token!r} is random in {mode}: for the same rows it gives other numbers"
        )

    def test_rows_are_coupled_as_declared(self, token: str) -> None:
        """In training, where batch statistics make a residual another than the pointwise one."""
        coupling = _coupling(_layer(token, "training"))
        if self.coupled:
            assert coupling > 1e-6, (
                f"normalization {token!r} does not couple rows in training: leave out coupled=True"
            )
        else:
            assert coupling == 0, (
                f"normalization {token!r} couples the rows of a batch in training (by"
                f" {coupling:.2g}): a residual or force is then not that of one point; say"
                " coupled=True if that is meant"
            )

    def test_rows_are_apart_in_evaluation(self, token: str) -> None:
        coupling = _coupling(_layer(token, "evaluation"))
        assert coupling == 0, (
            f"normalization {token!r} couples the rows of a batch in evaluation (by"
            f" {coupling:.2g}): a prediction depends on what else is predicted"
        )

    def test_evaluation_leaves_its_state(self, token: str) -> None:
        layer = _layer(token, "evaluation")
        before = copy.deepcopy(layer.state_dict())
        layer(3 * _batch() + 1)
        for name, value in layer.state_dict().items():
            assert torch.equal(value, before[name]), (
                f"normalization {token!r}: evaluation changes {name!r}"
            )

    @_EVERY_MODE
    def test_derivatives_are_those_of_the_function(self, token: str, mode: str) -> None:
        """First and second along a direction of the whole batch, against finite differences."""
        layer, x = _layer(token, mode), _batch()
        generator = torch_generator(0, "directions")
        direction = x.std(dim=0) * _drawn(x.shape, generator)
        weight = _drawn(x.shape, generator)
        shift = torch.zeros((), dtype=x.dtype, requires_grad=True)

        def value() -> Tensor:
            return (weight * layer(x + shift * direction)).sum()

        def slope() -> Tensor:
            return torch.autograd.grad(value(), shift, create_graph=True)[0]

        def bend() -> Tensor:
            return torch.autograd.grad(slope(), shift, materialize_grads=True)[0]

        one = torch.ones((), dtype=x.dtype)
        for name, below, above in (("first", value, slope), ("second", slope, bend)):
            try:
                found = float(above().detach()) if below().requires_grad else 0.0
            except RuntimeError as error:
                raise AssertionError(
                    f"normalization {token!r} has no {name} derivative by automatic"
                    f" differentiation in {mode}: {typed(error)}"
                ) from error
            expected = slope_along(below, shift.data, one, 1e-3)
            assert name != "first" or abs(expected) > 0, (
                f"normalization {token!r}: in {mode} its output does not depend on its input"
            )
            size = abs(expected) + abs(float(below().detach())) + 1e-3
            assert abs(found - expected) <= 1e-6 * size, (
                f"normalization {token!r}: its {name} derivative in {mode}, along a direction of a"
                f" batch, is {found:.8g} by automatic differentiation, and {expected:.8g} by finite"
                " differences"
            )

    @_EVERY_MODE
    def test_a_loss_on_derivatives_has_its_gradient(self, token: str, mode: str) -> None:
        """Of a network with two such layers, on second derivatives, by each parameter."""
        net, x = _network(token)
        net.train(mode == "training")
        loss = residual_loss(net, x, 2)
        gradients = torch.autograd.grad(loss, list(net.parameters()), materialize_grads=True)
        generator = torch_generator(0, "directions")
        size = max(float(gradient.norm()) for gradient in gradients)
        for (name, parameter), gradient in zip(net.named_parameters(), gradients, strict=True):
            direction = _drawn(parameter.shape, generator)
            expected = slope_along(lambda: residual_loss(net, x, 2), parameter, direction)
            found = float((gradient * direction).sum())
            whose = "its own parameter" if name[0] in "25" else "a weight of the network"
            assert abs(found - expected) <= 1e-6 * size, (
                f"normalization {token!r}: the gradient of a loss on second derivatives by {whose}"
                f" ({name}) in {mode} is {found:.8g} along a direction, and {expected:.8g} by"
                " finite differences"
            )

    @_EVERY_MODE
    def test_is_finite_where_nothing_varies(self, token: str, mode: str) -> None:
        """Rows that are all alike, with features that are all alike: no variance to divide by."""
        x = torch.full((_ROWS, _FEATURES), 2.0, dtype=torch.float64, requires_grad=True)
        found = _layer(token, mode)(x)
        (slope,) = torch.autograd.grad(found.square().sum(), x, create_graph=True)
        bends = [torch.zeros_like(x)]
        if slope.requires_grad:
            bends += torch.autograd.grad(slope.square().sum(), x, materialize_grads=True)
        for name, values in (("value", found), ("slope", slope), ("curvature", bends[-1])):
            assert values.isfinite().all(), (
                f"normalization {token!r}: its {name} is not finite in {mode} where all rows and"
                " features are alike"
            )

    def test_copies_and_states_are_whole(self, token: str) -> None:
        trained, x = make_normalization(token, _FEATURES).double(), _batch()
        with torch.no_grad():
            for parameter in trained.parameters():
                parameter.add_(0.25)
            for scale in (1.0, 3.0):
                trained(scale * x + scale)
        expected = trained.eval()(x)
        other = make_normalization(token, _FEATURES).double().eval()
        other.load_state_dict(copy.deepcopy(trained.state_dict()))
        for what, layer in (("a deep copy", copy.deepcopy(trained)), ("its state_dict", other)):
            assert torch.equal(layer(x), expected), (
                f"normalization {token!r} is not restored by {what}: something that it depends on"
                " is neither a parameter nor a buffer"
            )

    def test_own_parameters_are_trained(self, token: str) -> None:
        layer = _layer(token, "training")
        x = _batch()
        loss = (_drawn(x.shape, torch_generator(0, "weights of rows")) * layer(x)).sum()
        for name, parameter in layer.named_parameters():
            assert parameter.requires_grad, f"normalization {token!r}: {name!r} is not trained"
            (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True, allow_unused=True)
            assert gradient is not None and bool(gradient.abs().max() > 0), (
                f"normalization {token!r}: its parameter {name!r} gets no gradient"
            )


def normalization_contract(*tokens: str, coupled: bool = False) -> type[NormalizationContract]:
    """Tests of a normalisation: ``TestMine = normalization_contract("mine:RootMeanSquare")``.

    It keeps shape, dtype and device, leaves its input alone and draws nothing. Rows do not
    influence each other in evaluation, nor in training unless that is declared, and evaluation
    leaves its state. Its derivatives are those of its values by finite differences, a loss on
    second derivatives has its gradient by every parameter, and all stay finite where nothing
    varies. Copies and states are whole.

    Args:
        tokens: Names, or ``module:attribute``, as ``--normalization`` takes them.
        coupled: Rows do influence each other in training, as by batch norm.
    """
    return contract_of(NormalizationContract, tokens, coupled=coupled)


def _drawn(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _batch() -> Tensor:
    """Rows whose features differ in mean and spread."""
    spread = torch.tensor([0.1, 1.0, 30.0, 2.0, 0.5], dtype=torch.float64)
    rows = torch.Size([_ROWS, _FEATURES])
    return 3 + spread * _drawn(rows, torch_generator(0, "rows of a contract"))


def _layer(token: str, mode: str) -> nn.Module:
    """A layer that has seen a batch in training, with parameters that are no longer the first."""
    layer = make_normalization(token, _FEATURES).double()
    measure_frozen_statistics(layer, lambda: layer(_batch()))
    with torch.no_grad():
        for k, parameter in enumerate(layer.parameters()):
            parameter.add_(0.25 * (k + 1))
        layer(2 * _batch() - 1)
    return layer.train(mode == "training")


def _coupling(layer: nn.Module) -> float:
    """Largest change of a row's output when another row is moved."""
    x = _batch()
    moved = x.clone()
    moved[0] = 2 * moved[0] + 1
    with torch.no_grad():
        before, after = layer(x), layer(moved)
    return float((after - before)[1:].abs().max())


def _network(token: str) -> tuple[nn.Module, Tensor]:
    """A network of two hidden layers, and points; float64."""
    generator = torch_generator(0, "network of a contract")
    norms = [make_normalization(token, 6) for _ in range(2)]
    net = nn.Sequential(
        *(nn.Linear(3, 6), nn.Tanh(), norms[0], nn.Linear(6, 6), nn.Tanh(), norms[1]),
        nn.Linear(6, 1),
    ).double()
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(_drawn(layer.weight.shape, generator) / layer.in_features**0.5)
                layer.bias.copy_(_drawn(layer.bias.shape, generator) / 2)
    x = _drawn(torch.Size([9, 3]), generator)
    measure_frozen_statistics(net, lambda: net(x))
    net(x)
    return net, x
