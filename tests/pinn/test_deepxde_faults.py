"""DeepXDE's geometries, as problems of a user's own use them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pinn_specs
import pytest

from suites.pinn.backend import dde, quiet, set_dtype
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.wrap import wrap

L_SHAPE = [[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]]
Make = Callable[[], Any]

#: With their areas or volumes.
GEOMETRIES: dict[str, tuple[Make, float]] = {
    "interval": (lambda: dde.geometry.Interval(-1, 2), 3),
    "rectangle": (lambda: dde.geometry.Rectangle([-1, 0], [1, 3]), 6),
    "disk": (lambda: dde.geometry.Disk([1, 2], 0.7), np.pi * 0.49),
    "ellipse": (lambda: dde.geometry.Ellipse([1, 2], 2.0, 0.5, 0.3), np.pi),
    "triangle": (lambda: dde.geometry.Triangle([0, 0], [2, 0], [0.5, 1]), 1),
    "triangle, clockwise": (lambda: dde.geometry.Triangle([0, 0], [0.5, 1], [2, 0]), 1),
    "polygon": (lambda: dde.geometry.Polygon(L_SHAPE), 3),
    "polygon, clockwise": (lambda: dde.geometry.Polygon(L_SHAPE[::-1]), 3),
    # r₀² π + π/2 Σ (aᵢ² + bᵢ²)
    "star": (
        lambda: dde.geometry.StarShaped([1, 2], 1.0, [0.1, -0.3], [0.02, 0.1]),
        np.pi * (1 + (0.1**2 + 0.3**2 + 0.02**2 + 0.1**2) / 2),
    ),
    "cuboid": (lambda: dde.geometry.Cuboid([0, 0, 0], [1, 2, 3]), 6),
    "sphere": (lambda: dde.geometry.Sphere([1, 2, 3], 0.5), np.pi / 6),
    "hypercube": (lambda: dde.geometry.Hypercube([0] * 4, [1] * 4), 1),
    "hypersphere": (lambda: dde.geometry.Hypersphere([1] * 4, 0.5), np.pi**2 / 32),
    "union": (
        lambda: dde.geometry.Ellipse([1, 2], 2.0, 0.5) | dde.geometry.Disk([1, 2], 0.1),
        np.pi,
    ),
    "difference": (
        lambda: dde.geometry.Polygon(L_SHAPE) - dde.geometry.Disk([0.5, 0.5], 0.2),
        3 - np.pi * 0.04,
    ),
    "intersection": (
        lambda: dde.geometry.Rectangle([0, 0], [1, 1]) & dde.geometry.Disk([1, 1], 0.5),
        np.pi / 16,
    ),
}
#: DeepXDE says of these that it has no normals of them.
NO_NORMALS = {"ellipse", "union"}


@pytest.fixture(params=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either precision; NumPy's generator is seeded."""
    set_dtype(request.param)
    state = np.random.get_state()
    np.random.seed(0)
    with quiet():
        yield request.param
    np.random.set_state(state)
    set_dtype("float32")


@pytest.fixture(params=GEOMETRIES)
def case(request: pytest.FixtureRequest, precision: str) -> tuple[str, Any, float]:
    """Name, geometry and volume."""
    make, volume = GEOMETRIES[request.param]
    return request.param, make(), volume


def test_points_fill_the_geometry_and_its_bounds(case: tuple[str, Any, float]) -> None:
    _, geometry, volume = case
    points = geometry.random_points(4000)
    assert points.shape == (4000, geometry.dim)
    assert points.dtype == dde.config.real(np)
    assert geometry.inside(points).all()
    lower, upper = (np.ravel(side) for side in geometry.bbox)
    assert (points >= lower - 1e-5).all()
    assert (points <= upper + 1e-5).all()
    # A larger box by rejection: the same volume and mean, whatever the bounds are said to be.
    low, high = lower - 0.5, upper + 0.5
    box = low + (high - low) * np.random.random((60_000, geometry.dim))
    within = geometry.inside(box)
    assert np.isclose(within.mean() * np.prod(high - low), volume, rtol=0.08)
    spread = box[within].std(axis=0)
    assert np.allclose(points.mean(axis=0), box[within].mean(axis=0), atol=0.08 * spread.max())
    assert np.allclose(points.std(axis=0), spread, rtol=0.06)


@pytest.mark.parametrize("count", [1, 3, 8, 400])
def test_boundary_points_are_on_the_boundary_with_outward_normals(
    case: tuple[str, Any, float], count: int
) -> None:
    name, geometry, _ = case
    points = geometry.random_boundary_points(count)
    evenly = geometry.uniform_boundary_points(count + 7)
    for found in (points, evenly):
        assert found.dtype == dde.config.real(np)
        assert geometry.on_boundary(found).shape == (len(found),)
        assert geometry.on_boundary(found).all()
    if name in NO_NORMALS:
        return
    normals = geometry.boundary_normal(points)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert not geometry.inside(points + 1e-3 * normals).any()
    # Beside a corner the way in may lead out again.
    assert geometry.inside(points - 1e-3 * normals).mean() > 0.98 or count < 100


def test_the_boundary_is_not_everywhere(case: tuple[str, Any, float]) -> None:
    _, geometry, _ = case
    points = geometry.random_points(200)
    found = geometry.on_boundary(points)
    assert found.shape == (200,)
    assert found.mean() < 0.05
    both = np.concatenate([points[:5], geometry.random_boundary_points(5)])
    assert geometry.on_boundary(both)[5:].all()


def test_each_edge_of_a_polygon_gets_its_share(precision: str) -> None:
    polygon = dde.geometry.Polygon(L_SHAPE)
    points = polygon.random_boundary_points(8000)
    for share, on_edge in [
        (1 / 4, np.isclose(points[:, 1], 0, atol=1e-6)),
        (1 / 4, np.isclose(points[:, 0], 0, atol=1e-6)),
        (1 / 8, np.isclose(points[:, 1], 2, atol=1e-6)),
        (1 / 8, np.isclose(points[:, 0], 1, atol=1e-6)),
    ]:
        assert abs(on_edge.mean() - share) < 0.02


def _regular(corners: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.column_stack([np.cos(angle), np.sin(angle)])


POLYGONS = {
    "square": _regular(4),
    "hexagon": _regular(6),
    "octagon": _regular(8),
    "L": np.array(L_SHAPE),
    "uneven": np.array([[0, 0], [3, 0], [3, 1], [0.5, 1.5], [0, 1]]),
}


def _stock_points(polygon: Any, count: int, sampler: str) -> np.ndarray:
    """By DeepXDE's own method, which nothing has mended."""
    points: np.ndarray = _stock_plane().Polygon.random_boundary_points(polygon, count, sampler)
    return points


@functools.cache
def _stock_plane() -> Any:
    path = dde.geometry.geometry_2d.__file__
    found = importlib.util.spec_from_file_location("deepxde.geometry.stock_2d", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _right(polygon: Any, points: np.ndarray) -> bool:
    """Whether each point is on one edge, and they follow each other along the boundary."""
    ends = polygon.vertices
    starts = np.roll(ends, 1, axis=0)
    length = np.linalg.norm(ends - starts, axis=1)
    done, rest = (np.linalg.norm(points[:, None] - side, axis=2) for side in (starts, ends))
    on_edge = done + rest - length < 1e-6
    position = ((np.cumsum(length) - length + done) * on_edge).sum(axis=1)
    return bool((on_edge.sum(axis=1) == 1).all() and (np.diff(position) >= 0).all())


@pytest.mark.filterwarnings("ignore:The balance properties of Sobol")
@pytest.mark.parametrize("sampler", ["pseudo", "Halton", "Hammersley", "Sobol"])
@pytest.mark.parametrize("name", POLYGONS)
def test_points_on_a_polygon_are_on_one_edge_each_and_deepxde_s_where_these_are(
    name: str, sampler: str, precision: str
) -> None:
    polygon = dde.geometry.Polygon(POLYGONS[name])
    kept = 0
    for count in (1, 5, 63, 250):
        np.random.seed(count)
        points = polygon.random_boundary_points(count, sampler)
        assert points.shape == (count, 2)
        assert _right(polygon, points)
        np.random.seed(count)
        stock = _stock_points(polygon, count, sampler)
        if len(stock) == count and _right(polygon, stock):
            kept += 1
            assert np.allclose(points, stock, atol=1e-5)
    # Halves, quarters and eighths of this one's boundary are corners, and are drawn at once.
    assert kept or (name == "L" and sampler != "pseudo")


def test_normals_of_the_polygon_are_those_of_its_edges(precision: str) -> None:
    polygon = dde.geometry.Polygon(L_SHAPE)
    middles = np.array([[1, 0], [2, 0.5], [1.5, 1], [1, 1.5], [0.5, 2], [0, 1]])
    right = [[0, -1], [1, 0], [0, 1], [1, 0], [0, 1], [-1, 0]]
    assert np.allclose(polygon.boundary_normal(middles), right)


def test_an_ellipse_is_bounded_by_itself(precision: str) -> None:
    ellipse = dde.geometry.Ellipse([1, 2], 2.0, 0.5, 0.3)
    boundary = ellipse.uniform_boundary_points(20_000)
    assert np.allclose(ellipse.bbox[0], boundary.min(axis=0), atol=1e-4)
    assert np.allclose(ellipse.bbox[1], boundary.max(axis=0), atol=1e-4)
    assert ellipse.diam == 4


def _poisson(geometry: Any) -> Problem:
    """Δu = 4 with u = |x|² on the boundary."""

    def data() -> Any:
        shape = geometry()
        return dde.data.PDE(
            shape,
            lambda x, y: dde.grad.hessian(y, x, i=0, j=0) + dde.grad.hessian(y, x, i=1, j=1) - 4,
            [
                dde.icbc.DirichletBC(
                    shape, lambda x: (x**2).sum(axis=1, keepdims=True), lambda _, on: on
                )
            ],
            num_domain=60,
            num_boundary=40,
            train_distribution="pseudo",
        )

    return wrap(
        data,
        name="poisson",
        outputs=["u"],
        losses=["Lf", "LBC"],
        exact=lambda x: (x**2).sum(axis=1, keepdims=True),
    )


POLYGON = _poisson(lambda: dde.geometry.Polygon(L_SHAPE))
TRIANGLE = _poisson(lambda: dde.geometry.Triangle([0, 0], [2, 0], [0.5, 1]))
STAR = _poisson(lambda: dde.geometry.StarShaped([0, 0], 1.0, [0.1, -0.3], [0.02, 0.1]))
ELLIPSE = _poisson(lambda: dde.geometry.Ellipse([0, 0], 2.0, 0.5, 0.3))


@pytest.mark.parametrize("name", ["POLYGON", "TRIANGLE", "STAR", "ELLIPSE"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_problem_on_the_shape_has_all_its_boundary_and_trains(name: str, dtype: str) -> None:
    given = {"protocol": "standard", "dtype": dtype, "steps": 60, "lr": 1e-2}
    task = pinn_specs.task(f"{__name__}:{name}", **given)
    assert task.description["condition_points"] == {"LBC": 40}
    before = task.evaluate().metrics["heldout_loss"]
    for _ in range(60):
        task.step()
    assert task.evaluate().metrics["heldout_loss"] < 0.5 * before
