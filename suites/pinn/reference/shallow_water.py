"""Ground truth of the radial dam break of the shallow-water equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.pinn.reference.arguments import check_axis, check_cells, check_times
from suites.pinn.reference.convergence import richardson
from suites.pinn.reference.finite_volume import (
    FiniteVolume,
    contact_speed,
    einfeldt_speeds,
    point_values,
)
from suites.pinn.reference.radial_shocks import find_shocks
from suites.pinn.reference.reference import Reference

_SAMPLES = 32768  # radii that the error is estimated at: finer than the place of a shock
_UNDISTURBED = 1e-12  # relative departure from the outer depth that counts as a wave


@dataclass(frozen=True)
class ShallowWater:
    """Shallow-water equations over a flat bottom; primitive (h, u[, v]), conserved (h, hu[, hv]).

    h_t + (hu)_x + (hv)_y = 0, (hu)_t + (hu² + ½gh²)_x + (huv)_y = 0 and the same for v
    (Takamoto et al., arXiv 2210.07182).

    Attributes:
        g: Gravity, in units of length per time squared.
    """

    g: float = 1.0

    def conserved(self, primitive: np.ndarray) -> np.ndarray:
        conserved = primitive * primitive[0]
        conserved[0] = primitive[0]
        return conserved

    def primitive(self, conserved: np.ndarray) -> np.ndarray:
        if not conserved[0].min() > 0:
            raise FloatingPointError("the water depth is not positive")
        primitive = conserved / conserved[0]
        primitive[0] = conserved[0]
        return primitive

    def flux(self, primitive: np.ndarray) -> np.ndarray:
        depth, velocity = primitive[:2]
        flux = self.conserved(primitive) * velocity
        flux[1] += 0.5 * self.g * depth**2
        return flux

    def sound_speed(self, primitive: np.ndarray) -> np.ndarray:
        return np.sqrt(self.g * primitive[0])

    def wave_speeds(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        root_left, root_right = np.sqrt(left[0]), np.sqrt(right[0])
        mean_velocity = (root_left * left[1] + root_right * right[1]) / (root_left + root_right)
        mean_sound = np.sqrt(0.5 * self.g * (left[0] + right[0]))
        slow, fast = einfeldt_speeds(
            (left[1], right[1]),
            (self.sound_speed(left), self.sound_speed(right)),
            mean_velocity,
            mean_sound,
        )
        pressure = 0.5 * self.g * left[0] ** 2, 0.5 * self.g * right[0] ** 2
        contact = contact_speed((left[0], right[0]), (left[1], right[1]), pressure, slow, fast)
        return slow, contact, fast

    def star_state(
        self, primitive: np.ndarray, speed: np.ndarray, contact: np.ndarray
    ) -> np.ndarray:
        depth = primitive[0] * (speed - primitive[1]) / (speed - contact)
        star = primitive * depth
        star[0] = depth
        star[1] = contact * depth
        return star


def radial_scheme(cells: int, width: float, g: float) -> FiniteVolume:
    """The scheme for (rh)_t + (rhu)_r = 0, (rhu)_t + (r(hu² + ½gh²))_r = ½gh² on (0, cells·width).

    Faces have the area r and cells the volume of their rings, so that water is kept to rounding
    and still water stays still.
    """
    edges = np.arange(cells + 1) * width
    centres = 0.5 * (edges[:-1] + edges[1:])

    def source(primitive: np.ndarray) -> np.ndarray:
        return np.stack([np.zeros_like(centres), 0.5 * g * primitive[0] ** 2 / centres])

    return FiniteVolume(
        ShallowWater(g),
        (width,),
        (("reflective", "outflow"),),
        face_areas=edges,
        cell_volumes=centres,
        source=source,
    )


def initial_rings(
    cells: int, width: float, inner: float, outer: float, radius: float
) -> np.ndarray:
    """Exact ring averages of (h, hu) at t = 0, shape ``(2, cells)``."""
    edges = np.arange(cells + 1) * width
    wet = np.diff(np.minimum(edges, radius) ** 2) / np.diff(edges**2)
    return np.stack([outer + (inner - outer) * wet, np.zeros(cells)])


def evolve_radial(
    times: np.ndarray,
    points: np.ndarray,
    cells: int,
    reach: float,
    *,
    inner: float = 2.0,
    outer: float = 1.0,
    radius: float = 0.5,
    g: float = 1.0,
) -> np.ndarray:
    """Depth and radial velocity of the dam break at one resolution.

    Args:
        times: Ascending times from 0 on, shape ``(n_times,)``.
        points: Radii, shape ``(n_points,)``; water beyond `reach` is undisturbed.
        cells: Number of cells on (0, `reach`).
        reach: Radius that no wave may arrive at.
        inner, outer: Depth inside and outside of the dam.
        radius: Radius of the dam.
        g: Gravity.

    Returns:
        (h, u_r) in the last axis, shape ``(n_points, n_times, 2)``.

    Raises:
        ValueError: A wave arrives at `reach` before the last time.
    """
    law = ShallowWater(g)
    width = reach / cells
    averages = initial_rings(cells, width, inner, outer, radius)
    # The front of water over a dry bed (Stoker 1957) is faster than one over water.
    fastest = 2.0 * np.sqrt(g * max(inner, outer))
    inside = points < reach
    values = np.empty((len(points), len(times), 2))
    values[...] = (outer, 0.0)
    now = 0.0
    for i, time in enumerate(times):
        if time == 0:
            values[points < radius, i, 0] = inner
            continue
        disturbed = np.abs(averages - [[outer], [0.0]]).max(axis=0) > _UNDISTURBED * outer
        front = int(np.flatnonzero(disturbed)[-1]) + 1 if disturbed.any() else 0
        # Only the cells that a wave can be in by then are advanced; the others are at rest.
        active = min(cells, front + int(np.ceil(fastest * (time - now) / width)) + 4)
        scheme = radial_scheme(active, width, g)
        averages[:, :active] = scheme.advance(averages[:, :active], time - now)
        now = time
        if np.abs(averages[0, active - 1] - outer) > _UNDISTURBED * outer:
            raise ValueError(f"a wave arrives at r = {active * width:g} before t = {time:g}")
        at_points = point_values(averages, 0.0, width, ("reflective", "outflow"), points[inside])
        values[inside, i] = law.primitive(at_points).T
        for shock in find_shocks(np.arange(cells + 1) * width, law.primitive(averages), g):
            near = (points > shock.lower) & (points < shock.upper)
            values[near, i] = shock.values(points[near]).T
    return values


def solve(
    times: Sequence[float] | np.ndarray,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    inner: float = 2.0,
    outer: float = 1.0,
    radius: float = 0.5,
    g: float = 1.0,
    cells: int = 8000,
    half_width: float = 2.5,
) -> Reference:
    """Ground truth of the radial dam break on the square (−`half_width`, `half_width`)².

    The solution is radial until a wave arrives at a wall, and it is computed as a radial one.
    Shocks are placed within a few hundredths of a cell (`radial_shocks`), and their position keeps
    an error of first order. The L2 error, of order 1/2 in the cell width, comes from the points
    between the computed and the true shock. On a grid without such points it is ten times smaller.

    Args:
        times: Ascending times from 0 on; at t = 0 the result is the exact initial state.
        x, y: Ascending coordinates within the square.
        inner, outer: Depth inside and outside of the dam, both positive.
        radius: Radius of the dam.
        g: Gravity.
        cells: Number of cells of the finest radial grid on (0, `half_width`), a multiple of 4.
        half_width: Distance of the walls from the centre.

    Returns:
        Axes (x, y, t), outputs (h, u, v). The error is estimated over the disc within the walls and
        not at the requested points, where a single point beside a shock would decide it.

    Raises:
        ValueError: `cells` is not a positive multiple of 4, the times or coordinates do not fit,
            or a wave arrives at a wall before the last time.
    """
    times, x, y = (np.asarray(axis, dtype=float) for axis in (times, x, y))
    check_cells(cells)
    if not (min(inner, outer) > 0 and 0 < radius < half_width):
        raise ValueError("depths must be positive and the dam must lie inside the square")
    check_times(times)
    for axis in (x, y):
        check_axis(axis, -half_width, half_width, "coordinates")
    distance = np.hypot(x[:, None], y)
    radii, where = np.unique(distance, return_inverse=True)
    along_x = np.divide(x[:, None], distance, out=np.zeros_like(distance), where=distance > 0)
    along_y = np.divide(y, distance, out=np.zeros_like(distance), where=distance > 0)

    samples = (np.arange(_SAMPLES) + 0.5) * half_width / _SAMPLES
    points = np.concatenate([radii, samples])
    coarse, medium, fine = (
        evolve_radial(times, points, n, half_width, inner=inner, outer=outer, radius=radius, g=g)
        for n in (cells // 4, cells // 2, cells)
    )
    # Rings of the disc count by their area; both components of the velocity have the error of
    # the radial one.
    area = np.sqrt(samples)[:, None, None]
    (of_depth, of_speed), order = richardson(
        *(area * radial[len(radii) :] for radial in (coarse, medium, fine))
    )
    depth, speed = np.moveaxis(fine[where.reshape(distance.shape)], -1, 0)
    return Reference(
        axes=(x, y, times),
        values=np.stack([depth, speed * along_x[..., None], speed * along_y[..., None]], axis=-1),
        method=f"radial finite volumes, MUSCL + HLLC, {cells} cells",
        error=(of_depth, of_speed, of_speed),
        order=order,
    )


def solve_cartesian(
    time: float,
    cells: int,
    inner: float = 2.0,
    outer: float = 1.0,
    radius: float = 0.5,
    g: float = 1.0,
    half_width: float = 2.5,
) -> tuple[np.ndarray, np.ndarray]:
    """The dam break by the same scheme in two dimensions: a check of the radial solution.

    Args:
        time: Time at which the solution is wanted.
        cells: Number of cells per side of the square.
        inner, outer, radius, g, half_width: The same as for `solve`.

    Returns:
        Cell centres, shape ``(cells,)``, and the cell averages of (h, hu, hv), shape
        ``(3, cells, cells)``.
    """
    width = 2.0 * half_width / cells
    centres = (np.arange(cells) + 0.5) * width - half_width
    parts = 8
    fine = (np.arange(parts * cells) + 0.5) * width / parts - half_width
    wet = np.hypot(fine[:, None], fine) < radius
    share = wet.reshape(cells, parts, cells, parts).mean(axis=(1, 3))
    averages = np.zeros((3, cells, cells))
    averages[0] = outer + (inner - outer) * share
    scheme = FiniteVolume(ShallowWater(g), (width, width), (("reflective",) * 2,) * 2)
    return centres, scheme.advance(averages, time)
