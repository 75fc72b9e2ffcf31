"""Where the hand-written losses are evaluated: every point once, each condition's in one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.engine.terms import Term

#: Rows of an array.
Rows = slice | np.ndarray


@dataclass(frozen=True)
class PeerPoints:
    """Points and data, in the order of the conditions where there is one thing for each of them.

    Attributes:
        equations: Points of the equations, shape ``(n, n_inputs)``.
        further: Points at which only values are asked for, shape ``(m, n_inputs)``: the other
            ends of periods.
        rows: The rows of each condition among the equations' points.
        targets: The value that each condition asks for, shape ``(rows, 1)``; 0 for all but
            initial and Dirichlet conditions.
        normals: Outward normals of the Neumann conditions, shape ``(rows, n_inputs)``; empty for
            the others.
    """

    equations: np.ndarray
    further: np.ndarray
    rows: tuple[Rows, ...]
    targets: tuple[np.ndarray, ...]
    normals: tuple[np.ndarray, ...]


def peer_points(terms: Sequence[Term]) -> PeerPoints:
    """The points of a problem's terms, the equations' first.

    The rows are sorted, so that no step gathers them: a mean does not depend on their order.

    Args:
        terms: From `suites.pinn.engine.terms.terms_of`.

    Raises:
        ValueError: The points of a condition are not those of the equations that it filters.
    """
    equations, *conditions = terms
    masks = [_mask(term.condition, equations.points) for term in conditions]
    order = np.lexsort(masks)
    rows: list[Rows] = []
    targets: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    further = np.zeros((0, equations.points.shape[1]), equations.points.dtype)
    for term, mask in zip(conditions, masks, strict=True):
        count = int(mask.sum())
        if not np.array_equal(equations.points[mask], term.points[:count]):
            raise ValueError("the points of a condition are not those of the equations")
        where = np.flatnonzero(mask[order])
        # The condition's own order, from that of the sorted rows.
        own = np.searchsorted(np.flatnonzero(mask), order[where])
        rows.append(_rows(where))
        targets.append(_target(term)[own])
        normals.append(_normals(term)[own])
        if isinstance(term.condition, dde.icbc.PeriodicBC):
            further = term.points[count:][own]  # the same for all components
    return PeerPoints(equations.points[order], further, tuple(rows), tuple(targets), tuple(normals))


def _rows(where: np.ndarray) -> Rows:
    """A slice, if the rows are one: two conditions may share a few."""
    first, last = int(where[0]), int(where[-1])
    return slice(first, last + 1) if last - first == len(where) - 1 else where


def _mask(condition: Any, points: np.ndarray) -> np.ndarray:
    """Which points are the condition's, as DeepXDE's `filter` finds them."""
    geometry = condition.geom
    if isinstance(condition, dde.icbc.IC):
        found = condition.on_initial(points, geometry.on_initial(points))
    else:
        found = condition.on_boundary(points, geometry.on_boundary(points))
    return np.asarray(found, dtype=bool)


def _target(term: Term) -> np.ndarray:
    """The values asked for: what the error of outputs of 0 lacks."""
    if not isinstance(term.condition, (dde.icbc.IC, dde.icbc.DirichletBC)):
        return np.zeros((len(term.points), 1), term.points.dtype)
    outputs = term.inputs.new_zeros(len(term.points), term.condition.component + 1)
    (errors,) = term.errors(term.inputs, outputs)
    found: np.ndarray = -errors.detach().cpu().numpy()
    return found


def _normals(term: Term) -> np.ndarray:
    if not isinstance(term.condition, dde.icbc.NeumannBC):
        return np.zeros((len(term.points), 0), term.points.dtype)
    normals = term.condition.boundary_normal(term.points, 0, len(term.points), None)
    found: np.ndarray = normals.detach().cpu().numpy()
    return found
