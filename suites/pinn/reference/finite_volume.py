"""Second-order finite volumes for fluid-like conservation laws on uniform grids.

MUSCL reconstruction of the primitive variables (van Leer 1979) with the monotonised-central
limiter (van Leer 1977), the HLLC flux (Toro, Spruce & Speares 1994; Toro 2009, section 10.4;
Batten et al. 1997) and Heun's strong-stability-preserving Runge–Kutta method (Shu & Osher 1988).
Several dimensions are unsplit: every stage adds the fluxes through all faces of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

Boundary = Literal["periodic", "outflow", "reflective"]


class ConservationLaw(Protocol):
    """A hyperbolic system with one contact wave, such as the Euler equations.

    Fields are the first axis of every array, in the order density (or depth), one velocity (in
    primitive variables) or momentum (in conserved variables) per dimension, then any other. The
    methods that know a direction take it along field 1; the scheme exchanges the velocities.
    """

    def conserved(self, primitive: np.ndarray) -> np.ndarray:
        """Conserved variables, same shape."""

    def primitive(self, conserved: np.ndarray) -> np.ndarray:
        """Primitive variables, same shape; FloatingPointError outside the physical range."""

    def flux(self, primitive: np.ndarray) -> np.ndarray:
        """Flux of the conserved variables along field 1."""

    def sound_speed(self, primitive: np.ndarray) -> np.ndarray:
        """Speed of the fast waves relative to the flow, shape without the field axis."""

    def wave_speeds(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Speeds of the left, the contact and the right wave between two primitive states."""

    def star_state(
        self, primitive: np.ndarray, speed: np.ndarray, contact: np.ndarray
    ) -> np.ndarray:
        """Conserved state between the wave of `speed` and the contact."""


def contact_speed(
    density: tuple[np.ndarray, np.ndarray],
    velocity: tuple[np.ndarray, np.ndarray],
    pressure: tuple[np.ndarray, np.ndarray],
    left_speed: np.ndarray,
    right_speed: np.ndarray,
) -> np.ndarray:
    """Speed of HLLC's middle wave from the (left, right) states (Toro 2009, equation 10.37)."""
    left = density[0] * (left_speed - velocity[0])
    right = density[1] * (right_speed - velocity[1])
    jump = pressure[1] - pressure[0]
    return (jump + velocity[0] * left - velocity[1] * right) / (left - right)


def einfeldt_speeds(
    velocity: tuple[np.ndarray, np.ndarray],
    sound: tuple[np.ndarray, np.ndarray],
    mean_velocity: np.ndarray,
    mean_sound: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Outer wave speeds from the (left, right) states and their Roe mean (Einfeldt 1988)."""
    left = np.minimum(velocity[0] - sound[0], mean_velocity - mean_sound)
    right = np.maximum(velocity[1] + sound[1], mean_velocity + mean_sound)
    return left, right


def hllc_flux(law: ConservationLaw, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """HLLC flux between primitive states of shape ``(n_fields, ...)`` (Toro 2009, section 10.4)."""
    left_speed, contact, right_speed = law.wave_speeds(left, right)
    from_left = contact >= 0
    state = np.where(from_left, left, right)
    speed = np.where(from_left, left_speed, right_speed)
    # Zero where the whole fan has passed the face, so that the flux is the upwind one there.
    reach = np.where(from_left, np.minimum(left_speed, 0.0), np.maximum(right_speed, 0.0))
    jump = law.star_state(state, speed, contact) - law.conserved(state)
    return law.flux(state) + reach * jump


def limited_slopes(padded: np.ndarray) -> np.ndarray:
    """Monotonised-central slopes per cell along the last axis, which shrinks by two cells."""
    step = np.diff(padded, axis=-1)
    below, above = step[..., :-1], step[..., 1:]
    magnitude = np.abs(step)
    bound = 2.0 * np.minimum(magnitude[..., :-1], magnitude[..., 1:])
    central = 0.5 * (below + above)
    slope = np.copysign(np.minimum(bound, np.abs(central)), central)
    return np.where(below * above > 0, slope, 0.0)


def _pad(cells: np.ndarray, boundaries: tuple[Boundary, Boundary]) -> np.ndarray:
    """Two ghost cells on both ends of the last axis; field 1 is odd at a reflective end."""
    lower, upper = boundaries
    ends = []
    for boundary, inner, far, edge in (
        (lower, cells[..., :2], cells[..., -2:], cells[..., :1]),
        (upper, cells[..., -2:], cells[..., :2], cells[..., -1:]),
    ):
        if boundary == "periodic":
            ghost = far
        elif boundary == "outflow":
            ghost = np.repeat(edge, 2, axis=-1)
        else:
            ghost = inner[..., ::-1].copy()
            ghost[1] *= -1.0
        ends.append(ghost)
    return np.concatenate([ends[0], cells, ends[1]], axis=-1)


class FiniteVolume:
    """Semi-discrete scheme and its time integration on one uniform grid.

    Args:
        law: The conservation law.
        spacing: Cell width per dimension.
        boundaries: (lower, upper) boundary per dimension.
        face_areas: In one dimension, the area of the ``n + 1`` faces (r in a radial problem).
        cell_volumes: In one dimension, the volume of the ``n`` cells per unit of width.
        source: Source of the conserved variables per unit of volume, from the primitive ones.
        courant: Courant number, at most 1/2 for the total-variation bound of MUSCL with Heun.

    Raises:
        ValueError: A periodic end meets another kind of end, or an unknown boundary.
    """

    def __init__(
        self,
        law: ConservationLaw,
        spacing: Sequence[float],
        boundaries: Sequence[tuple[Boundary, Boundary]],
        *,
        face_areas: np.ndarray | None = None,
        cell_volumes: np.ndarray | None = None,
        source: Callable[[np.ndarray], np.ndarray] | None = None,
        courant: float = 0.5,
    ) -> None:
        for pair in boundaries:
            unknown = set(pair) - {"periodic", "outflow", "reflective"}
            if unknown:
                raise ValueError(f"unknown boundary {unknown.pop()!r}")
            if "periodic" in pair and pair[0] != pair[1]:
                raise ValueError(f"a periodic end needs a periodic other end, not {pair}")
        if len(boundaries) != len(spacing):
            raise ValueError(f"{len(boundaries)} pairs of boundaries in {len(spacing)} dimensions")
        self.law = law
        self.spacing = tuple(spacing)
        self.boundaries = tuple(boundaries)
        self.face_areas = face_areas
        self.cell_volumes = cell_volumes
        self.source = source
        self.courant = courant

    def rate(self, averages: np.ndarray) -> np.ndarray:
        """Time derivative of the cell averages, shape ``(n_fields, *cells)``."""
        primitive = self.law.primitive(averages)
        rate = np.zeros_like(averages) if self.source is None else self.source(primitive)
        for axis, (width, boundaries) in enumerate(zip(self.spacing, self.boundaries, strict=True)):
            along = np.arange(len(primitive))
            along[[1, 1 + axis]] = along[[1 + axis, 1]]
            padded = _pad(np.moveaxis(primitive, 1 + axis, -1)[along], boundaries)
            half = 0.5 * limited_slopes(padded)
            flux = hllc_flux(
                self.law,
                padded[..., 1:-2] + half[..., :-1],
                padded[..., 2:-1] - half[..., 1:],
            )
            if self.face_areas is not None:
                flux *= self.face_areas
            change = np.diff(flux, axis=-1) / width
            if self.cell_volumes is not None:
                change /= self.cell_volumes
            rate -= np.moveaxis(change[along], -1, 1 + axis)
        return rate

    def _longest_step(self, averages: np.ndarray) -> float:
        primitive = self.law.primitive(averages)
        sound = self.law.sound_speed(primitive)
        crossings = sum(
            float(np.max(np.abs(primitive[1 + axis]) + sound)) / width
            for axis, width in enumerate(self.spacing)
        )
        return self.courant / crossings

    def advance(self, averages: np.ndarray, duration: float) -> np.ndarray:
        """Cell averages after `duration`, shape ``(n_fields, *cells)``.

        Raises:
            FloatingPointError: The state has left the physical range.
        """
        remaining = duration
        while remaining > 0:
            steps = math.ceil(remaining / self._longest_step(averages) - 1e-12)
            step = remaining / max(steps, 1)
            predicted = averages + step * self.rate(averages)
            averages = 0.5 * (averages + predicted + step * self.rate(predicted))
            remaining = remaining - step if steps > 1 else 0.0
        return averages


def cell_averages(initial: Callable[[np.ndarray], np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Averages of a function over the cells between `edges`, exact for polynomials of degree 5.

    Args:
        initial: From points of shape ``(m,)`` to values of shape ``(n_fields, m)``.
        edges: Ascending cell edges, shape ``(n + 1,)``.

    Returns:
        Shape ``(n_fields, n)``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(3)
    points = edges[:-1, None] + np.diff(edges)[:, None] * (0.5 + 0.5 * nodes)
    values = initial(points.ravel())
    return (values.reshape(len(values), *points.shape) * (0.5 * weights)).sum(axis=-1)


def point_values(
    averages: np.ndarray,
    lower: float,
    width: float,
    boundaries: tuple[Boundary, Boundary],
    points: np.ndarray,
) -> np.ndarray:
    """Values at points from cell averages, by the parabola per cell that keeps the average.

    The parabolas are those of Colella & Woodward (1984, section 1), third order where
    the solution is smooth and monotone; values are held within the averages of the cell and its
    two neighbours, so that no shock overshoots.

    Args:
        averages: Shape ``(n_fields, n)``, on uniform cells from `lower` on.
        lower: Lower end of the first cell.
        width: Width of a cell.
        boundaries: Boundary at both ends; points beyond a periodic end are wrapped.
        points: Shape ``(m,)``.

    Returns:
        Shape ``(n_fields, m)``.

    Raises:
        ValueError: A point lies outside a grid that is not periodic.
    """
    n = averages.shape[-1]
    position = (np.asarray(points, dtype=float) - lower) / width
    if boundaries[0] == "periodic":
        position = position % n
    elif position.min() < -1e-9 or position.max() > n * (1 + 1e-12) + 1e-9:
        raise ValueError(f"points outside the cells, {lower} to {lower + n * width}")
    cell = np.clip(np.floor(position).astype(int), 0, n - 1)
    within = position - cell
    padded = _pad(averages, boundaries)
    edges = (7.0 * (padded[:, 1:-2] + padded[:, 2:-1]) - padded[:, :-3] - padded[:, 3:]) / 12.0
    left, right = edges[:, cell], edges[:, cell + 1]
    below, mean, above = (padded[:, cell + shift] for shift in (1, 2, 3))
    bend = 6.0 * mean - 3.0 * (left + right)
    values = left + within * (right - left + bend * (1.0 - within))
    return np.clip(
        values,
        np.minimum(np.minimum(below, above), mean),
        np.maximum(np.maximum(below, above), mean),
    )
