"""Sharp shocks in place of the captured ones of a radial shallow-water solution.

A finite-volume scheme spreads a shock over a few cells but conserves the water in them, so the
place of the jump is known far better than a cell's width: it is where the smooth states on both
sides, continued up to each other, hold the same water (subcell resolution, Harten 1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HALF_ZONE = 8  # cells on either side that a captured shock with its tail may cover
_FIT = 6  # cells beyond the zone that its smooth neighbours are continued from
_STRENGTH = 0.02  # smallest drop of u between two cells, in units of the sound speed
_SHARPNESS = 4.0  # least ratio of that drop to those outside the zone


@dataclass(frozen=True)
class Shock:
    """A shock at radius `position`, with the lines that replace the cells around it.

    Attributes:
        position: Radius of the jump.
        lower, upper: Ends of the zone of replaced cells.
        inside, outside: Lines (slope, value at `position`) of h and u on both sides, shape
            ``(2, 2)``, one row per coefficient.
    """

    position: float
    lower: float
    upper: float
    inside: np.ndarray
    outside: np.ndarray

    def values(self, radii: np.ndarray) -> np.ndarray:
        """(h, u) at radii within the zone, shape ``(2, n)``."""
        offset = radii - self.position
        inside, outside = (
            slope[:, None] * offset + value[:, None] for slope, value in (self.inside, self.outside)
        )
        return np.where(radii < self.position, inside, outside)


def _water(line: np.ndarray, lower: float, upper: float) -> float:
    """∫ h r dr of the depth ``line[0] r + line[1]``."""
    slope, value = line
    return slope * (upper**3 - lower**3) / 3.0 + value * (upper**2 - lower**2) / 2.0


def _fit(edges: np.ndarray, state: np.ndarray, cells: slice) -> np.ndarray:
    centres = 0.5 * (edges[:-1] + edges[1:])[cells]
    return np.polyfit(centres, state[:, cells].T, 1)


def _sharp(edges: np.ndarray, state: np.ndarray, first: int, last: int) -> Shock | None:
    """The shock in the cells `first` to `last` (excluded), if a jump there holds their water."""
    inside = _fit(edges, state, slice(first - _FIT, first))
    outside = _fit(edges, state, slice(last, last + _FIT))
    lower, upper = edges[first], edges[last]
    held = np.sum(state[0, first:last] * np.diff(edges[first : last + 1] ** 2)) / 2.0

    def excess(position: float) -> float:
        return _water(inside[:, 0], lower, position) + _water(outside[:, 0], position, upper) - held

    low, high = lower, upper
    if excess(low) * excess(high) >= 0:
        return None
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(low) * excess(middle) > 0 else (low, middle)
    position = 0.5 * (low + high)
    at_shock = [np.stack([line[0], line[0] * position + line[1]]) for line in (inside, outside)]
    return Shock(position, lower, upper, *at_shock)


def find_shocks(edges: np.ndarray, state: np.ndarray, g: float) -> list[Shock]:
    """The isolated captured shocks of a radial flow.

    The flow slows down outwards across a shock of either family and speeds up in a rarefaction,
    so a shock is where u drops much faster than around it. A shock that is still forming, or
    closer to the axis or to another one than its own width, is left as captured.

    Args:
        edges: Cell edges, shape ``(n + 1,)``.
        state: Cell averages of the depth and the radial velocity, shape ``(2, n)``.
        g: Gravity.
    """
    drop = -np.diff(state[1])
    strong = drop > _STRENGTH * np.sqrt(g * state[0, :-1])
    margin = _HALF_ZONE + _FIT
    shocks = []
    for i in np.flatnonzero(strong).tolist():
        if i < margin or i + 1 + margin >= state.shape[1]:
            continue
        around = drop[i - margin : i + margin + 1]
        outside = np.abs(np.r_[around[: _FIT - 1], around[-_FIT + 1 :]])
        if drop[i] < around.max() or drop[i] < _SHARPNESS * outside.max():
            continue
        shock = _sharp(edges, state, i + 1 - _HALF_ZONE, i + 1 + _HALF_ZONE)
        if shock is not None:
            shocks.append(shock)
    return shocks
