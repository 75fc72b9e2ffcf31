"""The physics of the five problems, against residuals that sympy derives from the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import sympy
import torch
from sympy import Expr, Rational, cos, diff, exp, sin

from suites.pinn.backend import dde, set_dtype
from suites.pinn.problems.catalogue import BUILT_IN, VARIANTS, get_problem
from suites.pinn.problems.problem import Points, Problem
from suites.pinn.problems.truth import Truth

x, y, t = sympy.symbols("x y t", real=True)
POINTS = Points(domain=16, boundary=24, initial=16)
#: Number of rows that residuals are compared on.
ROWS = 200

#: Inputs and domain of each problem, as DESIGN.md states them.
DOMAINS: dict[str, tuple[tuple[sympy.Symbol, float, float], ...]] = {
    "advection-1d": ((x, 0, 1), (t, 0, 2)),
    "compressible-flow-1d": ((x, 0, 1), (t, 0, 1)),
    "diffusion-reaction-2d": ((x, -1, 1), (y, -1, 1), (t, 0, 5)),
    "diffusion-sorption-1d": ((x, 0, 1), (t, 0, 500)),
    "shallow-water-2d": ((x, -2.5, 2.5), (y, -2.5, 2.5), (t, 0, 1)),
}


def advection(u: Expr) -> list[Expr]:
    return [diff(u, t) + Rational(1, 10) * diff(u, x)]


def euler(density: Expr, u: Expr, p: Expr) -> list[Expr]:
    energy = p / (Rational(5, 3) - 1) + density * u**2 / 2
    return [
        diff(density, t) + diff(density * u, x),
        density * (diff(u, t) + u * diff(u, x)) + diff(p, x),
        diff(energy, t) + diff(u * (energy + p), x),
    ]


def reaction(u: Expr, v: Expr) -> list[Expr]:
    def laplacian(f: Expr) -> Expr:
        return diff(f, x, 2) + diff(f, y, 2)

    k = Rational(5, 1000)
    return [
        diff(u, t) - (Rational(1, 1000) * laplacian(u) + u - u**3 - k - v),
        diff(v, t) - (Rational(5, 1000) * laplacian(v) + u - v),
    ]


def sorption(u: Expr) -> list[Expr]:
    phi, density, k, n = Rational(29, 100), 2880, Rational(35, 100_000), Rational(874, 1000)
    retardation = 1 + (1 - phi) / phi * density * k * n * (u + Rational(1, 10**6)) ** (n - 1)
    return [diff(u, t) - Rational(5, 10_000) / retardation * diff(u, x, 2)]


def shallow_water(h: Expr, u: Expr, v: Expr) -> list[Expr]:
    return [
        diff(h, t) + diff(h * u, x) + diff(h * v, y),
        diff(u, t) + u * diff(u, x) + v * diff(u, y) + diff(h, x),
        diff(v, t) + u * diff(v, x) + v * diff(v, y) + diff(h, y),
    ]


EQUATIONS = {
    "advection-1d": advection,
    "compressible-flow-1d": euler,
    "diffusion-reaction-2d": reaction,
    "diffusion-sorption-1d": sorption,
    "shallow-water-2d": shallow_water,
}

#: Smooth states that solve nothing and have no symmetry by which an error could cancel.
STATES: dict[str, list[tuple[Expr, ...]]] = {
    "advection-1d": [(sin(3 * x) * exp(-t) + x * t,), (cos(5 * x - 2 * t) + t**2,)],
    "compressible-flow-1d": [
        (2 + sin(2 * x - t) / 2, cos(x + t) + x * t, 3 + x**2 * cos(t)),
        (1 + x * t, x - t**2, exp(x - t)),
    ],
    "diffusion-reaction-2d": [
        (sin(2 * x + y) * exp(-t), x**2 * y + t * cos(3 * y)),
        (cos(x) + y**4 * t, sin(x - 2 * y) + t),
    ],
    "diffusion-sorption-1d": [
        (Rational(1, 2) + sin(3 * x) * cos(t / 100) / 4,),
        (exp(-x * (1 + t / 500)),),
    ],
    "shallow-water-2d": [
        (2 + sin(x + 2 * y - t) / 2, cos(x) * y + t, x * t + sin(3 * y)),
        (1 + x**2 + t * y, x * y - t, exp(x / 3) * y**2),
    ],
}


def _entropy_wave() -> tuple[Expr, ...]:
    """The density is carried by a uniform flow at uniform pressure."""
    speed = Rational(3, 10)
    return 1 + sin(2 * sympy.pi * (x - speed * t)) / 2, speed + 0 * x, Rational(7, 10) + 0 * x


def _rarefaction(axis: sympy.Symbol) -> tuple[Expr, ...]:
    """The fan of a dam break (Ritter), here at time 1 + t, with √h = 3 before the dam."""
    ratio, root = axis / (t + 1), 3
    speed, root = Rational(2, 3) * (ratio + root), (2 * root - ratio) / 3
    flow = (speed, 0 * x) if axis is x else (0 * x, speed)
    return root**2, *flow


_ROOT = -(Rational(5, 1000) ** Rational(1, 3))

#: States that solve the equations exactly.
SOLUTIONS: list[tuple[str, str, tuple[Expr, ...]]] = [
    ("advection-1d", "travelling wave", (sin(6 * (x - t / 10)) + cos(x - t / 10) ** 2,)),
    ("advection-1d", "uniform", (Rational(3) + 0 * x,)),
    ("compressible-flow-1d", "entropy wave", _entropy_wave()),
    ("compressible-flow-1d", "uniform", (Rational(2), Rational(1, 3), Rational(5))),
    ("diffusion-reaction-2d", "uniform equilibrium", (_ROOT, _ROOT)),
    ("diffusion-sorption-1d", "steady", (1 - x / 2,)),
    ("diffusion-sorption-1d", "uniform", (Rational(1, 2),)),
    ("shallow-water-2d", "at rest", (Rational(2), Rational(0), Rational(0))),
    ("shallow-water-2d", "uniform stream", (Rational(2), Rational(1, 3), Rational(-1, 4))),
    ("shallow-water-2d", "rarefaction in x", _rarefaction(x)),
    ("shallow-water-2d", "rarefaction in y", _rarefaction(y)),
]

_TORCH = {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp}


def outputs_of(state: Sequence[Expr], name: str, inputs: torch.Tensor) -> torch.Tensor:
    """A state as a differentiable function of the inputs, like a network's output."""
    symbols = [symbol for symbol, _, _ in DOMAINS[name]]
    columns = inputs.split(1, dim=1)
    # Keeps second derivatives of constant and linear states in the graph, as a network's are.
    nothing = 0 * (inputs**3).sum(dim=1, keepdim=True)
    return torch.cat(
        [sympy.lambdify(symbols, e, [_TORCH, "math"])(*columns) + nothing for e in state], dim=1
    )


def values_of(expression: Expr, name: str, points: np.ndarray) -> np.ndarray:
    """An expression at points, shape ``(n,)``."""
    symbols = [symbol for symbol, _, _ in DOMAINS[name]]
    found = sympy.lambdify(symbols, expression, "numpy")(*points.T)
    return np.broadcast_to(np.asarray(found, dtype=float), (len(points),))


@dataclass(frozen=True)
class Built:
    """A problem, its truth and its data in float64."""

    problem: Problem
    truth: Truth
    data: object


@pytest.fixture(scope="module")
def built() -> dict[str, Built]:
    set_dtype("float64")
    np.random.seed(0)
    found = {}
    for name in BUILT_IN:
        problem = get_problem(name)
        truth = problem.truth(None, 0, False)
        found[name] = Built(problem, truth, problem.data(truth, POINTS, None))
    return found


@pytest.fixture(autouse=True)
def double() -> None:
    set_dtype("float64")
    dde.grad.clear()


def residuals(one: Built, state: Sequence[Expr], points: np.ndarray) -> list[np.ndarray]:
    """What DeepXDE would square and average, one array per equation."""
    inputs = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    outputs = outputs_of(state, one.problem.name, inputs)
    found = one.data.pde(inputs, outputs)
    found = found if isinstance(found, list | tuple) else [found]
    for residual in found:
        assert residual.shape == (len(points), 1)
    return [residual.detach().numpy()[:, 0] for residual in found]


def some_points(name: str) -> np.ndarray:
    random = np.random.default_rng(1)
    return np.stack([random.uniform(a, b, ROWS) for _, a, b in DOMAINS[name]], axis=-1)


# --- equations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state"), [(name, state) for name, states in STATES.items() for state in states]
)
def test_every_residual_is_its_equation(
    built: dict[str, Built], name: str, state: tuple[Expr, ...]
) -> None:
    points = some_points(name)
    found = residuals(built[name], state, points)
    wanted = [values_of(e, name, points) for e in EQUATIONS[name](*state)]
    assert len(found) == len(wanted) == built[name].problem.n_equations
    for mine, exact in zip(found, wanted, strict=True):
        size = np.max(np.abs(exact))
        assert size > 1e-5
        assert np.max(np.abs(mine - exact)) < 1e-10 * size


@pytest.mark.parametrize(
    ("name", "what", "state"), SOLUTIONS, ids=[f"{n}-{w}" for n, w, _ in SOLUTIONS]
)
def test_exact_solutions_leave_no_residual(
    built: dict[str, Built], name: str, what: str, state: tuple[Expr, ...]
) -> None:
    # The solution is one of the equations as they are stated, not only of the code.
    assert all(
        abs(float(e.subs({x: 0.31, y: -0.62, t: 0.47}))) < 1e-12 for e in EQUATIONS[name](*state)
    )
    for residual in residuals(built[name], state, some_points(name)):
        np.testing.assert_allclose(residual, 0, atol=1e-12)


def test_the_noise_variant_has_the_same_equations() -> None:
    problem = get_problem("diffusion-reaction-2d-noise")
    truth = Truth(None, lambda points: np.zeros((len(points), 2)), (0, 1))  # type: ignore[arg-type]
    one = Built(problem, truth, problem.data(truth, POINTS, None))
    state, points = STATES["diffusion-reaction-2d"][0], some_points("diffusion-reaction-2d")
    inputs = torch.tensor(points, requires_grad=True)
    found = one.data.pde(inputs, outputs_of(state, "diffusion-reaction-2d", inputs))  # type: ignore[attr-defined]
    for mine, exact in zip(found, reaction(*state), strict=True):
        wanted = values_of(exact, "diffusion-reaction-2d", points)
        np.testing.assert_allclose(mine.detach().numpy()[:, 0], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BUILT_IN)
def test_points_lie_in_the_domain(built: dict[str, Built], name: str) -> None:
    points = np.asarray(built[name].data.train_x_all)
    for column, (_, low, high) in zip(points.T, DOMAINS[name], strict=True):
        assert low <= column.min() < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < column.max() <= high


# --- conditions -------------------------------------------------------------------------------


def errors(one: Built, state: Sequence[Expr]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each condition by the name of its loss term: its points and its error on a state."""
    data = one.data
    named = [term.name for term in one.problem.terms if term.kind != "residual"]
    assert len(named) == len(data.bcs)
    rows = np.asarray(data.train_x, dtype=float)
    inputs = torch.tensor(rows, requires_grad=True)
    outputs = outputs_of(state, one.problem.name, inputs)
    found, start = {}, 0
    for name, condition, count in zip(named, data.bcs, data.num_bcs, strict=True):
        assert count > 0
        error = condition.error(data.train_x, inputs, outputs, start, start + count)
        found[name] = rows[start : start + count], error.detach().numpy()[:, 0]
        start += count
    return found


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("advection-1d", 1e-14),
        ("compressible-flow-1d", 2e-3),
        ("diffusion-reaction-2d", 1e-10),
        ("diffusion-sorption-1d", 1e-12),
        ("shallow-water-2d", 1e-12),
    ],
)
def test_the_truth_starts_from_the_initial_state(
    built: dict[str, Built], name: str, tolerance: float
) -> None:
    reference, initial = built[name].truth.reference, built[name].truth.initial
    assert reference.axes[-1][0] == 0
    space = np.stack(
        [axis.ravel() for axis in np.meshgrid(*reference.axes[:-1], indexing="ij")], axis=-1
    )
    first = reference.values[..., 0, :].reshape(-1, reference.n_outputs)
    # The inflow's value jumps to 1 at x = 0.
    inside = space[:, 0] > 0 if name == "diffusion-sorption-1d" else slice(None)
    np.testing.assert_allclose(first[inside], initial(space[inside]), atol=tolerance)


@pytest.mark.parametrize(
    ("name", "terms"),
    [("advection-1d", ["LBC"]), ("compressible-flow-1d", ["LBCd", "LBCv", "LBCp"])],
)
def test_periodic_conditions_compare_the_two_ends(
    built: dict[str, Built], name: str, terms: list[str]
) -> None:
    one, state = built[name], STATES[name][0]
    found = errors(one, state)
    for k, term in enumerate(terms):
        points, error = found[term]
        first, second = np.split(points, 2)
        np.testing.assert_allclose(np.abs(first[:, 0] - second[:, 0]), 1)
        np.testing.assert_allclose(first[:, 1], second[:, 1])
        assert {0.0, 1.0} == set(np.unique(points[:, 0]))
        wanted = values_of(state[k], name, first) - values_of(state[k], name, second)
        assert np.max(np.abs(wanted)) > 0.1
        np.testing.assert_allclose(error, wanted, atol=1e-12)
    wave = [cos(2 * sympy.pi * x) * (1 + t) + k for k in range(len(terms))]
    for term in terms:
        np.testing.assert_allclose(errors(one, wave)[term][1], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "terms", "wall"),
    [
        ("diffusion-reaction-2d", ["LBCu", "LBCv"], 1.0),
        ("shallow-water-2d", ["LBCh", "LBCu", "LBCv"], 2.5),
    ],
)
def test_walls_take_the_outward_normal_derivative_of_each_output(
    built: dict[str, Built], name: str, terms: list[str], wall: float
) -> None:
    one, state = built[name], STATES[name][1]
    found = errors(one, state)
    for k, term in enumerate(terms):
        points, error = found[term]
        on_x = np.isclose(np.abs(points[:, 0]), wall)
        on_y = np.isclose(np.abs(points[:, 1]), wall)
        assert (on_x ^ on_y).all() and on_x.any() and on_y.any()
        slope_x = values_of(diff(state[k], x), name, points) * np.sign(points[:, 0])
        slope_y = values_of(diff(state[k], y), name, points) * np.sign(points[:, 1])
        np.testing.assert_allclose(error, np.where(on_x, slope_x, slope_y), atol=1e-12)
    # cos(nπ(x + L)/2L) has no flux through the walls.
    angle = sympy.pi / Rational(2 * wall)
    flat = cos(angle * (x + Rational(wall))) * cos(2 * angle * (y + Rational(wall))) * (1 + t)
    found = errors(one, [flat] * len(terms))
    for term in terms:
        np.testing.assert_allclose(found[term][1], 0, atol=1e-12)


def test_sorption_flows_in_at_one(built: dict[str, Built]) -> None:
    name = "diffusion-sorption-1d"
    points, error = errors(built[name], STATES[name][0])["LBC_inflow"]
    assert set(points[:, 0]) == {0.0}
    np.testing.assert_allclose(error, values_of(STATES[name][0][0], name, points) - 1, atol=1e-12)


def test_sorption_outflow_has_minus_the_slope(built: dict[str, Built]) -> None:
    name, diffusion = "diffusion-sorption-1d", Rational(5, 10_000)
    points, error = errors(built[name], STATES[name][0])["LBC_outflow"]
    assert set(points[:, 0]) == {1.0}
    u = STATES[name][0][0]
    np.testing.assert_allclose(
        error, values_of(u + diffusion * diff(u, x), name, points), atol=1e-12
    )
    # u = −D u_x holds for e^(−x/D); with the other sign the error would be 2.
    decaying = exp((1 - x) / diffusion)
    rows = np.asarray(built[name].data.train_x)
    inputs = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    outputs = outputs_of([decaying], name, inputs.clamp(min=0.9) + 0 * inputs)
    data = built[name].data
    start = sum(data.num_bcs[:-1])
    condition, end = data.bcs[-1], start + data.num_bcs[-1]
    assert torch.allclose(outputs[start:end], torch.ones(1, dtype=torch.float64))
    error = condition.error(rows, inputs, outputs, start, end)
    np.testing.assert_allclose(error.detach().numpy(), 0, atol=1e-10)


def test_the_steady_state_of_sorption_meets_both_its_ends(built: dict[str, Built]) -> None:
    found = errors(built["diffusion-sorption-1d"], [1 - x / (1 + Rational(5, 10_000))])
    for term in ("LBC_inflow", "LBC_outflow"):
        np.testing.assert_allclose(found[term][1], 0, atol=1e-12)


def test_only_published_sorption_ends_in_a_relu() -> None:
    outputs = torch.tensor([[-2.0], [0.0], [3.0]])
    for name in (*BUILT_IN, *VARIANTS):
        found = get_problem(name).output_transform(torch.zeros(3, 2), outputs)
        wanted = outputs.clamp(min=0) if name == "diffusion-sorption-1d-relu" else outputs
        assert torch.equal(found, wanted)


def test_sorption_stays_finite_below_zero(built: dict[str, Built]) -> None:
    """The power in R(u) is NaN for u < 0; u is clamped there, and only there."""
    one = built["diffusion-sorption-1d"]
    inputs = torch.tensor(some_points("diffusion-sorption-1d"), requires_grad=True)
    u = -0.5 - inputs[:, :1] ** 2 * inputs[:, 1:] / 500
    residual = one.data.pde(inputs, u)  # type: ignore[attr-defined]
    factor = 1 + (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874 * 1e-6 ** (0.874 - 1)
    x, t = inputs.detach()[:, :1], inputs.detach()[:, 1:]
    wanted = -(x**2) / 500 + 5e-4 / factor * 2 * t / 500
    torch.testing.assert_close(residual.detach(), wanted, rtol=1e-10, atol=1e-14)
