"""DeepXDE's derivatives answered from known ones, against DeepXDE's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import deepxde
import pytest
import torch
from deepxde.gradients import hessian as imported_hessian
from deepxde.gradients import jacobian as imported_jacobian
from torch import Tensor

from suites.pinn.backend import dde
from suites.pinn.engine.serving import Column, Rows, Server

Expression = Callable[[Tensor, Tensor], Tensor]

ROWS, INPUTS, OUTPUTS = 6, 2, 2
POWERS = torch.tensor([p for p in product(range(5), repeat=INPUTS) if sum(p) <= 4])


class Polynomials:
    """Two polynomials of two variables, trained by their coefficients, with known derivatives."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.weights = draw(len(POWERS), OUTPUTS).requires_grad_()
        self.points = draw(ROWS, INPUTS)
        self.asked: list[Column] = []

    def __call__(self, x: Tensor, index: tuple[int, ...] = ()) -> Tensor:
        """The derivative of both by the inputs in `index`."""
        left, factor = POWERS.clone(), torch.ones(len(POWERS), dtype=torch.float64)
        for axis in index:
            factor = factor * left[:, axis]
            left[:, axis] = (left[:, axis] - 1).clamp(min=0)
        return (x[:, None, :] ** left).prod(dim=2) * factor @ self.weights

    def rows(self) -> tuple[Rows, Tensor, Tensor]:
        """Rows that are served, their inputs and outputs."""
        inputs, outputs = self.points.clone().requires_grad_(), self(self.points)

        def provide(column: Column) -> Tensor:
            self.asked.append(column)
            output, index = column
            return self(self.points, index)[:, output : output + 1]

        return Rows(inputs, outputs, provide), inputs, outputs

    def served(self, expression: Expression) -> Tensor:
        """An expression whose derivatives are served."""
        rows, inputs, outputs = self.rows()
        server = Server()
        with server.active():
            server.about(rows)
            return expression(inputs, outputs)

    def by_deepxde(self, expression: Expression) -> Tensor:
        """The same by differentiating the polynomials."""
        dde.grad.clear()
        x = self.points.clone().requires_grad_()
        try:
            return expression(x, self(x))
        finally:
            dde.grad.clear()


@pytest.fixture
def net() -> Polynomials:
    return Polynomials()


def d(y: Tensor, x: Tensor, j: int | None, i: int | None = 0) -> Tensor:
    found: Tensor = dde.grad.jacobian(y, x, i=i, j=j)
    return found


def d2(y: Tensor, x: Tensor, i: int, j: int, component: int = 0) -> Tensor:
    found: Tensor = dde.grad.hessian(y, x, component=component, i=i, j=j)
    return found


EXPRESSIONS: dict[str, Expression] = {
    # Of the network's outputs.
    "jacobian": lambda x, y: torch.cat([d(y, x, j, i) for i in (0, 1) for j in (0, 1)], dim=1),
    "a row": lambda x, y: d(y, x, None, 1),
    "hessian": lambda x, y: torch.cat([d2(y, x, i, j, 1) for i in (0, 1) for j in (0, 1)], dim=1),
    "hessian by default": lambda x, y: dde.grad.hessian(y, x),
    "jacobian of jacobian": lambda x, y: d(d(y, x, 1, 1), x, 0),
    "jacobian of a row": lambda x, y: d(d(y, x, None, 1), x, 1, 0),
    "a row of a row": lambda x, y: d(d(y, x, None, 1), x, None, 1),
    "hessian of a row": lambda x, y: d2(d(y, x, None, 1), x, 0, 1, component=1),
    "third order": lambda x, y: d(d2(y, x, 1, 0), x, 0),
    "hessian of jacobian": lambda x, y: d2(d(y, x, 0, 1), x, 1, 1),
    "fourth order": lambda x, y: d2(d2(y, x, 0, 1), x, 1, 1),
    # Of what is computed from them.
    "a product": lambda x, y: d(y[:, :1] * y[:, 1:], x, 0, None),
    "a row of a product": lambda x, y: d(y[:, :1] * y[:, 1:], x, None),
    "hessian of a product": lambda x, y: d2(y[:, :1] * y[:, 1:], x, 0, 1),
    "a slice": lambda x, y: d(y[:, 1:2], x, 1),
    "hessian of a slice": lambda x, y: d2(y[:, 1:2], x, 1, 0),
    "with coordinates": lambda x, y: d(x[:, 1:] ** 2 * y[:, :1], x, 1),
    "hessian with coordinates": lambda x, y: d2(torch.sin(x[:, :1]) * y[:, 1:], x, 0, 0),
    "of coordinates alone": lambda x, y: d(x[:, :1] ** 3 * x[:, 1:], x, 0),
    "hessian of coordinates alone": lambda x, y: d2(x[:, :1] ** 3 * x[:, 1:], x, 0, 1),
    "several components": lambda x, y: d(torch.cat([y * y, torch.sin(y)], dim=1), x, 1, 2),
    "porous flow": lambda x, y: d(y[:, :1] * d(y, x, 0), x, 0),
    "a flux": lambda x, y: d((1 + y[:, 1:] ** 2) * d(y, x, None), x, 1, 1),
    "a flux with a coefficient": lambda x, y: d(torch.exp(x[:, :1]) * d(y, x, 0, 1), x, 0),
    "twice nested": lambda x, y: d(x[:, :1] * d(y[:, :1] * d(y, x, 1), x, 0), x, 0),
    "of a second derivative": lambda x, y: d(torch.tanh(d2(y, x, 0, 0, 1)) * y[:, :1], x, 1),
    "of a sum of second derivatives": lambda x, y: d2(d2(y, x, 0, 0) + d2(y, x, 1, 1), x, 0, 0),
    "a norm of the gradient": lambda x, y: d((d(y, x, None) ** 2).sum(1, keepdim=True), x, 0),
    "imported by name": lambda x, y: imported_jacobian(y, x, i=1, j=0) * imported_hessian(y, x),
    "by another path": lambda x, y: (
        deepxde.gradients.jacobian(y, x, i=0, j=1) * deepxde.grad.hessian(y, x, component=1)
    ),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_and_gradients_are_deepxde_s(net: Polynomials, name: str) -> None:
    """The gradients by the network's parameters."""
    mine, other = net.served(EXPRESSIONS[name]), net.by_deepxde(EXPRESSIONS[name])
    assert mine.shape == other.shape
    torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    weights = torch.linspace(-1, 2, mine.numel(), dtype=torch.float64).reshape(mine.shape)
    gradients = [
        torch.autograd.grad(found, net.weights, weights, materialize_grads=True)[0]
        if found.requires_grad and "alone" not in name
        else torch.zeros(1)
        for found in (mine, other)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-11)


def test_only_what_is_asked_for_is_provided_once_and_sorted(net: Polynomials) -> None:
    def expression(x: Tensor, y: Tensor) -> Tensor:
        mixed = d2(y, x, 1, 0)
        assert d(d(y, x, 0), x, 1) is mixed and d2(y, x, 0, 1) is mixed
        return mixed + d(d(y, x, None), x, 1)

    net.served(expression)
    assert len(net.asked) == len(set(net.asked))
    assert set(net.asked) == {(0, (0,)), (0, (1,)), (0, (0, 1))}


def test_a_computed_derivative_is_computed_once(net: Polynomials) -> None:
    def expression(x: Tensor, y: Tensor) -> Tensor:
        flux = y[:, :1] * y[:, 1:]
        found = d(flux, x, 1)
        assert d(flux, x, 1) is found and d(flux, x, 0) is not found
        return found

    net.served(expression)


def test_the_third_order_is_provided_and_not_computed(net: Polynomials) -> None:
    net.served(lambda x, y: d(d2(y, x, 1, 0, 1), x, 0))
    assert net.asked[-1] == (1, (0, 0, 1))


def test_a_constant_has_the_derivative_0(net: Polynomials) -> None:
    """Where DeepXDE fails."""
    for j, width in ((0, 1), (None, 2)):
        found = net.served(lambda x, y, j=j: d(torch.ones(ROWS, 1), x, j))
        assert torch.equal(found, torch.zeros(ROWS, width, dtype=torch.float64))
    found = net.served(lambda x, y: d(x[:, 1:] ** 2, x, 0))
    assert torch.equal(found, torch.zeros(ROWS, 1, dtype=torch.float64))


def test_a_derivative_served_as_0_may_be_computed_with() -> None:
    """What stands for a derivative without influence has no graph."""
    inputs = torch.randn(ROWS, 2, dtype=torch.float64, requires_grad=True)
    outputs = torch.randn(ROWS, 1, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(ROWS, 1, dtype=torch.float64, requires_grad=True)
    rows = Rows(inputs, outputs, lambda c: slope if c[1] == (0,) else torch.zeros_like(slope))
    flux = outputs * rows.jacobian(outputs, 0, 0) + rows.jacobian(outputs, 0, 1)
    torch.testing.assert_close(rows.jacobian(flux, 0, 0), slope * slope)


@pytest.mark.parametrize("y", [lambda x, y: y, lambda x, y: y * x[:, :1]], ids=["own", "computed"])
@pytest.mark.parametrize(
    ("i", "j"), [(None, None), (2, 0), (-1, 0), (0, 2), (0, -1), (None, 0), (5, None)]
)
def test_wrong_indices_fail_as_in_deepxde(
    net: Polynomials, i: int | None, j: int | None, y: Expression
) -> None:
    def expression(x: Tensor, outputs: Tensor) -> Tensor:
        return d(y(x, outputs), x, j, i)

    failures = []
    for evaluate in (net.served, net.by_deepxde):
        with pytest.raises(Exception) as caught:
            evaluate(expression)
        failures.append((caught.type, str(caught.value)))
    assert failures[0] == failures[1]


@pytest.mark.parametrize(("component", "i", "j"), [(2, 0, 0), (-1, 0, 0), (0, 2, 0), (0, 0, 2)])
def test_wrong_indices_of_a_hessian_are_values_out_of_range(
    net: Polynomials, component: int, i: int, j: int
) -> None:
    for evaluate in (net.served, net.by_deepxde):
        with pytest.raises(ValueError):
            evaluate(lambda x, y: d2(y, x, i, j, component))


def test_a_single_input_and_output_need_no_index() -> None:
    inputs = torch.randn(ROWS, 1, requires_grad=True)
    outputs, slope = torch.randn(ROWS, 1, requires_grad=True), torch.randn(ROWS, 1)
    server = Server()
    with server.active():
        server.about(Rows(inputs, outputs, lambda column: slope))
        assert torch.equal(dde.grad.jacobian(outputs, inputs), slope)
        assert torch.equal(dde.grad.hessian(outputs, inputs), slope)


def test_a_derivative_by_something_else_is_refused(net: Polynomials) -> None:
    rows, inputs, outputs = net.rows()
    server = Server()
    with server.active():
        with pytest.raises(ValueError, match="something else than the inputs"):
            d(outputs, inputs, 0)  # nothing has been said yet
        server.about(rows)
        for other in (inputs.clone(), inputs[:, :1], outputs):
            for derivative in (dde.grad.jacobian, dde.grad.hessian):
                with pytest.raises(ValueError, match="something else than the inputs"):
                    derivative(outputs, other, i=0, j=0)
    assert net.asked == []


def test_rows_are_told_apart(net: Polynomials) -> None:
    (first, x, y), (second, other_x, other_y) = net.rows(), net.rows()
    server = Server()
    with server.active():
        server.about(first)
        mine = d(y, x, 0)
        server.about(second)
        theirs = d(other_y, other_x, 1)
        with pytest.raises(ValueError, match="something else than the inputs"):
            d(y, x, 0)
    torch.testing.assert_close(mine, net(net.points, (0,))[:, :1])
    torch.testing.assert_close(theirs, net(net.points, (1,))[:, :1])


def assert_stock_answers(net: Polynomials) -> None:
    """DeepXDE answers by itself."""
    x = net.points.clone().requires_grad_()
    dde.grad.clear()
    torch.testing.assert_close(d(3 * x[:, :1], x, 0), torch.full((ROWS, 1), 3.0).double())
    torch.testing.assert_close(d2(x[:, :1] ** 2, x, 0, 0), torch.full((ROWS, 1), 2.0).double())
    dde.grad.clear()


def test_deepxde_is_restored(net: Polynomials) -> None:
    assert_stock_answers(net)
    net.served(lambda x, y: d(y, x, 0))
    assert_stock_answers(net)


def test_deepxde_is_restored_after_a_failure(net: Polynomials) -> None:
    def failing(x: Tensor, y: Tensor) -> Tensor:
        raise ArithmeticError(f"{d(y, x, 0).shape}")

    with pytest.raises(ArithmeticError):
        net.served(failing)
    assert_stock_answers(net)


def test_what_deepxde_had_cached_is_kept_and_not_answered(net: Polynomials) -> None:
    rows, x, y = net.rows()
    dde.grad.clear()
    cached = d(3 * x[:, :1], x, 0)
    before = dict(dde.gradients.gradients_reverse.jacobian._Jacobians.Js)
    assert before
    server = Server()
    with server.active():
        server.about(rows)
        dde.grad.clear()
        assert not torch.equal(d(y, x, 0), cached)
    assert dde.gradients.gradients_reverse.jacobian._Jacobians.Js == before
    dde.grad.clear()


def test_servers_may_be_nested(net: Polynomials) -> None:
    """A condition's error may evaluate a loss of its own."""
    rows, x, y = net.rows()
    outer = Server()
    with outer.active():
        outer.about(rows)
        inner = net.served(lambda x, y: d(y, x, 1))
        torch.testing.assert_close(d(y, x, 1), inner)
    assert_stock_answers(net)
