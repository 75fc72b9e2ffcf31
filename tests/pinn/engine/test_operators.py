"""Which differential operators a network has to carry for a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from suites.pinn.engine.operators import Index, Operator, Plan, plan_operators

Derivatives = Callable[[Index], np.ndarray]

X, T = (0,), (1,)
XX, XT, TT = (0, 0), (0, 1), (1, 1)


def cubic(n_inputs: int, rng: np.random.Generator) -> Derivatives:
    """The derivatives of a random cubic polynomial at random points."""
    powers = np.array([p for p in product(range(4), repeat=n_inputs) if sum(p) <= 3])
    coefficients = rng.normal(size=len(powers))
    points = rng.normal(size=(6, n_inputs))

    def derivative(index: Index) -> np.ndarray:
        left, factor = powers.copy(), coefficients.copy()
        for axis in index:
            factor = factor * left[:, axis]
            left[:, axis] = np.maximum(left[:, axis] - 1, 0)
        monomials = (points[:, None, :] ** left).prod(axis=2)
        return monomials @ factor

    return derivative


def applied(operator: Operator, plan: Plan, of: Derivatives) -> np.ndarray:
    """An operator's value."""
    total = sum(c * of((j,)) for j, c in enumerate(operator.linear))
    for a, b, coefficient in operator.products:
        left, right = plan.operators[a], plan.operators[b]
        assert a <= b and not left.products and not right.products
        for (i, p), (j, q) in product(enumerate(left.linear), enumerate(right.linear)):
            total = total + coefficient * p * q * of((min(i, j), max(i, j)))
    return np.asarray(total)


def served(plan: Plan, index: Index, of: Derivatives) -> np.ndarray:
    """What a residual gets for a derivative."""
    position = plan.served[index]
    return 0 * of(index) if position is None else applied(plan.operators[position], plan, of)


def assert_determines(plan: Plan, dependence: np.ndarray, indices: Sequence[Index]) -> None:
    """Residuals of what is served are those of the derivatives."""
    assert set(plan.served) == set(indices)
    rng = np.random.default_rng(1)
    n_inputs = len(plan.operators[0].linear) if plan.operators else 3
    for _ in range(3):
        of = cubic(n_inputs, rng)
        true = np.stack([of(index) for index in indices])
        given = np.stack([served(plan, index, of) for index in indices])
        sizes = np.abs(dependence) @ (np.abs(true) + np.abs(given))
        assert (np.abs(dependence @ given - dependence @ true) <= 1e-11 * sizes).all()


def second_order(plan: Plan) -> list[Operator]:
    return [operator for operator in plan.operators if operator.products]


# --- what is merged -----------------------------------------------------------------------------


def test_advection_is_one_directional_derivative() -> None:
    dependence = np.array([[0.4, 1.0], [-0.8, -2.0], [0.04, 0.1]])
    plan = plan_operators(dependence, [X, T], 2)
    assert plan.operators == (Operator((1.0, pytest.approx(2.5))),)
    assert plan.served == {X: 0, T: None}
    assert_determines(plan, dependence, [X, T])


def test_different_directions_at_different_points_are_not_merged() -> None:
    dependence = np.array([[0.4, 1.0], [0.4 + 1e-6, 1.0]])
    plan = plan_operators(dependence, [X, T], 2)
    assert plan.operators == (Operator((1.0, 0.0)), Operator((0.0, 1.0)))
    assert plan.served == {X: 0, T: 1}


def test_a_laplacian_is_one_operator() -> None:
    plan = plan_operators(np.array([[1.0, 1.0], [3.0, 3.0]]), [XX, TT], 2)
    laplacian = Operator((0.0, 0.0), ((0, 0, 1.0), (1, 1, pytest.approx(1.0))))
    assert plan.operators == (Operator((1.0, 0.0)), Operator((0.0, 1.0)), laplacian)
    assert plan.served == {XX: 2, TT: None}


def test_an_anisotropic_operator_with_a_mixed_derivative_is_one() -> None:
    dependence = np.array([[2.0, -1.0, 7.0], [4.0, -2.0, 14.0]])
    plan = plan_operators(dependence, [XX, XT, TT], 2)
    (operator,) = second_order(plan)
    coefficients = {(a, b): c for a, b, c in operator.products}
    assert coefficients == pytest.approx({(0, 0): 1.0, (0, 1): -0.5, (1, 1): 3.5})
    assert_determines(plan, dependence, [XX, XT, TT])


def test_a_mixed_derivative_alone() -> None:
    plan = plan_operators(np.ones((4, 1)), [XT], 2)
    assert plan.operators[2:] == (Operator((0.0, 0.0), ((0, 1, 1.0),)),)
    assert plan.served == {XT: 2}


@pytest.mark.parametrize("diffusivity", [1.0, 0.05, 1e-9, 1e9])
def test_the_heat_equation_is_one_operator_with_a_linear_part(diffusivity: float) -> None:
    indices = [X, XX, (1, 1), (2,)]
    dependence = np.array([[0.0, -diffusivity, -diffusivity, 1.0]] * 5)
    plan = plan_operators(dependence, indices, 3)
    (operator,) = second_order(plan)
    assert operator.linear == (0.0, 0.0, pytest.approx(-1 / diffusivity))
    assert operator.products == ((0, 0, 1.0), (1, 1, pytest.approx(1.0)))
    assert len(plan.operators) == 3
    # u_x has no influence, but the Laplacian is made of it.
    assert plan.served == {X: 0, XX: 2, (1, 1): None, (2,): None}
    assert_determines(plan, dependence, indices)


def test_different_diffusivities_are_not_merged() -> None:
    dependence = np.array([[-1.0, 1.0], [-2.0, 1.0]])
    plan = plan_operators(dependence, [XX, T], 2)
    assert plan.served == {XX: 2, T: 1}
    assert plan.operators[1:] == (Operator((0.0, 1.0)), Operator((0.0, 0.0), ((0, 0, 1.0),)))


def test_a_tiny_viscosity_is_no_rounding() -> None:
    """Burgers: u_t + u·u_x − ν·u_xx with another u at every point."""
    velocity = np.linspace(-1, 1, 9)
    one = np.ones_like(velocity)
    dependence = np.stack([one, velocity, -1e-9 * one], axis=1)
    plan = plan_operators(dependence, [T, X, XX], 2)
    assert len(plan.operators) == 2 and len(second_order(plan)) == 1
    assert plan.served == {T: None, X: 0, XX: 1}
    assert_determines(plan, dependence, [T, X, XX])


def test_tiny_viscosities_that_differ_are_not_merged() -> None:
    plan = plan_operators(np.array([[1.0, -1e-9], [1.0, -1.001e-9]]), [T, XX], 2)
    assert plan.served == {T: 1, XX: 2}


def test_the_scale_of_a_residual_is_no_difference() -> None:
    """Rows are one condition at points of very different size."""
    dependence = np.outer(10.0 ** np.arange(-12, 13, 4), [1.0, 3.0, -0.2])
    plan = plan_operators(dependence, [XX, TT, T], 2)
    assert len(second_order(plan)) == 1
    assert_determines(plan, dependence, [XX, TT, T])


def test_a_small_residual_counts_as_much() -> None:
    plan = plan_operators(np.array([[1.0, 1.0], [1e-12, 2e-12]]), [XX, TT], 2)
    assert plan.served == {XX: 2, TT: 3}


def test_rounding_does_not_split_an_operator() -> None:
    rng = np.random.default_rng(0)
    dependence = np.outer(rng.normal(size=200), [1.0, 3.0, -0.2])
    dependence *= 1 + 1e-15 * rng.normal(size=dependence.shape)
    plan = plan_operators(dependence, [XX, TT, T], 2)
    assert len(second_order(plan)) == 1 and len(plan.operators) == 3


# --- the ends -----------------------------------------------------------------------------------


def test_rows_that_are_not_finite_say_nothing() -> None:
    good = np.array([[1.0, 2.0]] * 3)
    bad = np.array([[np.nan, 1.0], [1.0, np.inf], [-np.inf, np.nan]])
    wanted = plan_operators(good, [XX, TT], 2)
    assert plan_operators(np.concatenate([bad, good, bad]), [XX, TT], 2) == wanted


@pytest.mark.parametrize("rows", [0, 5])
def test_no_derivatives(rows: int) -> None:
    assert plan_operators(np.zeros((rows, 0)), [], 2) == Plan((), {})


@pytest.mark.parametrize("rows", [0, 5])
def test_derivatives_whose_influence_was_not_seen_are_computed(rows: int) -> None:
    """One that is only compared, or rounded, has no gradient."""
    for dependence in (np.zeros((rows, 3)), np.full((rows, 3), np.nan)):
        plan = plan_operators(dependence, [XX, X, T], 2)
        assert len(plan.operators) == 3 and None not in plan.served.values()


def test_one_that_was_not_seen_is_not_merged_with_others() -> None:
    plan = plan_operators(np.array([[1.0, 0.0], [2.0, 0.0]]), [X, XX], 2)
    assert plan.served == {X: 0, XX: 1}
    assert plan.operators[1] == Operator((0.0, 0.0), ((0, 0, 1.0),))


@pytest.mark.parametrize("dependence", [np.zeros((2, 4)), np.ones((2, 4)), np.full((1, 4), np.nan)])
def test_without_sharing_each_derivative_is_its_own(dependence: np.ndarray) -> None:
    indices = [XX, XT, TT, T]
    plan = plan_operators(dependence, indices, 2, share=False)
    of = cubic(2, np.random.default_rng(0))
    for index in indices:
        np.testing.assert_allclose(served(plan, index, of), of(index), rtol=1e-13)
    assert len(set(plan.served.values())) == len(indices)


# --- any ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_what_is_served_determines_every_residual(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_inputs = int(rng.integers(1, 4))
    every: list[Index] = [(j,) for j in range(n_inputs)]
    every += combinations_with_replacement(range(n_inputs), 2)
    indices = [every[k] for k in rng.permutation(len(every))[: rng.integers(1, len(every) + 1)]]
    rank = int(rng.integers(1, len(indices) + 1))
    spanning = rng.normal(size=(rank, len(indices))) * (rng.random((rank, len(indices))) < 0.7)
    dependence = rng.normal(size=(30, rank)) @ spanning
    # Rows of any size, and coefficients of any size (a viscosity).
    dependence *= 10.0 ** rng.uniform(-6, 6, size=(30, 1))
    dependence *= 10.0 ** rng.uniform(-9, 0, size=len(indices))
    plan = plan_operators(dependence, indices, n_inputs)
    assert_determines(plan, dependence, indices)
    assert_determines(
        plan_operators(dependence, indices, n_inputs, share=False), dependence, indices
    )
    firsts = sum(not operator.products for operator in plan.operators)
    assert all(operator.products for operator in plan.operators[firsts:])
    unseen = int((dependence == 0).all(axis=0).sum())
    assert len(second_order(plan)) <= rank + unseen
    assert len(plan.operators) <= rank + unseen + n_inputs
