"""Known faults of DeepXDE's geometries, mended where DeepXDE is imported.

Each is of DeepXDE 1.15, and its mending changes nothing that was right:

* ``Triangle`` and ``Polygon`` take the cross product of 2-vectors, which NumPy 2.5 refuses.
* The shapes of the plane give points in double precision whatever the precision is, which no
  network in single precision takes, and of which then most are not found on the boundary.
* ``Polygon.random_boundary_points`` go on along an edge beyond its end where an edge gets none: of
  few points, many lie outside. They leave out draws at corners, where the normal is that of either
  edge, and take the lengths of the edges in another order than the points do: some corners stay.
* ``Ellipse.bbox`` is that of no ellipse, so that a union with one draws points in a part of it.
* ``StarShaped.on_boundary`` gives one answer for all points together, and ``StarShaped.bbox`` cuts
  the domain where a coefficient is negative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

#: The methods of a geometry that give points.
_POINTS = {"random_points", "uniform_points", "random_boundary_points", "uniform_boundary_points"}


def mend(deepxde: ModuleType) -> None:
    """Mend the faults.

    Args:
        deepxde: The module ``deepxde``.
    """
    plane = deepxde.geometry.geometry_2d
    for name in ("is_left", "is_on_line_segment"):
        setattr(plane, name, _with_plane_cross(getattr(plane, name)))
    plane.Triangle.inside = _with_plane_cross(plane.Triangle.inside)
    plane.Polygon.random_boundary_points = _polygon_boundary(plane)
    for shape in (plane.Disk, plane.Ellipse, plane.Polygon, plane.StarShaped, plane.Triangle):
        for name in _POINTS & vars(shape).keys():
            setattr(shape, name, _in_working_precision(getattr(shape, name), deepxde))
    plane.Ellipse.__init__ = _then(plane.Ellipse.__init__, _bound_ellipse)
    plane.StarShaped.__init__ = _then(plane.StarShaped.__init__, _bound_star)
    plane.StarShaped.on_boundary = _star_boundary(plane)


class _PlaneNumPy(ModuleType):
    """NumPy, with the cross product of 2-vectors that it had before 2.5."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def cross(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        """a₁b₂ − a₂b₁ along the last axis, which has two entries."""
        assert axis == -1
        found: np.ndarray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
        return found


def _with_plane_cross(function: FunctionType) -> FunctionType:
    """The same function, for which ``np`` is `_PlaneNumPy`."""
    names = {**function.__globals__, "np": _PlaneNumPy("numpy")}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__)


def _in_working_precision(method: Callable[..., np.ndarray], deepxde: ModuleType) -> Any:
    @functools.wraps(method)
    def points(self: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        return method(self, *args, **kwargs).astype(deepxde.config.real(np))

    return points


def _polygon_boundary(plane: ModuleType) -> Any:
    def random_boundary_points(self: Any, n: int, random: str = "pseudo") -> np.ndarray:
        """Points on the edges in the order of the edges, none at a corner; the draws of DeepXDE."""
        lengths = np.linalg.norm(self.segments, axis=1)
        ends = np.cumsum(lengths)
        # DeepXDE leaves out what is near these sums of lengths, too: its points stay its own.
        stock = np.cumsum(np.roll(lengths, -1)[:-1])
        corners = np.concatenate([[0], ends, stock]) / self.perimeter
        spare, drawn = self.nvertices, np.empty(0)
        while len(drawn) < n:
            drawn = np.ravel(plane.sample(n + spare, 1, random))
            for corner in corners:
                drawn = drawn[~plane.isclose(drawn, corner)]
            spare *= 2
        drawn = np.sort(drawn[:n] * self.perimeter)
        starts = np.roll(self.vertices, 1, axis=0)
        edge = np.minimum(np.searchsorted(ends, drawn), len(ends) - 1)
        along = np.minimum((drawn - ends[edge] + lengths[edge]) / lengths[edge], 1)
        found: np.ndarray = starts[edge] + along[:, None] * self.segments[edge]
        return found

    return random_boundary_points


def _then(method: Callable[..., None], more: Callable[[Any], None]) -> Any:
    """The method, after which `more` is done."""

    @functools.wraps(method)
    def both(self: Any, *args: Any, **kwargs: Any) -> None:
        method(self, *args, **kwargs)
        more(self)

    return both


def _bound_ellipse(ellipse: Any) -> None:
    """The half-widths of (a cos φ, b sin φ) turned by an angle are √(Σ of the squares)."""
    axes = ellipse.rotation_mat * np.array([ellipse.semimajor, ellipse.semiminor])
    half = np.linalg.norm(axes, axis=1).astype(ellipse.center.dtype)
    ellipse.bbox = ellipse.center - half, ellipse.center + half
    ellipse.diam = 2 * ellipse.semimajor


def _bound_star(star: Any) -> None:
    """No r(θ) = r₀ + Σ (aᵢ cos iθ + bᵢ sin iθ) exceeds r₀ + Σ √(aᵢ² + bᵢ²)."""
    most = star.radius + np.hypot(star.coeffs_cos, star.coeffs_sin).sum()
    star.bbox = star.center - most, star.center + most
    star.diam = 2 * most


def _star_boundary(plane: ModuleType) -> Any:
    def on_boundary(self: Any, x: np.ndarray) -> np.ndarray:
        """Of each point, shape ``(n, 2)`` to ``(n,)``."""
        r, theta = plane.polar(x - self.center)
        found: np.ndarray = plane.isclose(r, self._r_theta(theta))
        return found

    return on_boundary
