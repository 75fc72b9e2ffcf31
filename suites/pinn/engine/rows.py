"""The points that a loss needs, each once.

DeepXDE feeds the network the points of every condition, then those of the equations, whether or
not they are the same. Here a point that several loss terms share is one row of a table; a term
takes its rows by position. Rows that need derivatives come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

#: Up to so many contiguous pieces are joined; more are gathered by position.
_MOST_SLICES = 4


class Selection:
    """The positions of a term's rows in the table, in the term's own order.

    Args:
        positions: The positions, shape ``(n,)``.
        device: Device of the tensors that are selected from.
    """

    def __init__(self, positions: np.ndarray, device: torch.device) -> None:
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        bounds = [0, *breaks.tolist(), len(positions)]
        pieces = [
            (int(positions[a]), int(positions[a]) + b - a) for a, b in pairwise(bounds) if b > a
        ]
        self._slices = [slice(*piece) for piece in pieces] if len(pieces) <= _MOST_SLICES else None
        self._index = torch.as_tensor(positions, device=device)

    def of(self, table: Tensor) -> Tensor:
        """The term's rows of a table, shape ``(…, rows, columns)`` to ``(…, n, columns)``."""
        if self._slices is None:
            return table.index_select(-2, self._index)
        parts = [table[..., piece, :] for piece in self._slices] or [table[..., :0, :]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)


@dataclass(frozen=True)
class Table:
    """Points, each as often as the term that has it most often.

    Attributes:
        points: The points, shape ``(n, n_inputs)``.
        derivative_rows: Number of points, at the beginning, that need derivatives.
        positions: For each term, the positions of its points.
    """

    points: np.ndarray
    derivative_rows: int
    positions: list[np.ndarray]

    def counts(self) -> np.ndarray:
        """How often the terms together have each point, shape ``(n,)``."""
        return np.bincount(np.concatenate(self.positions), minlength=len(self.points))


def make_table(terms: Sequence[np.ndarray], derived: Sequence[bool]) -> Table:
    """The table of all terms' points.

    Rows are grouped by the terms that share them. So a term's rows are few contiguous pieces. A
    point that a term has twice has two rows: two draws of which one has such a coincidence give
    tables of the same shape, and one compiled loss serves both.

    Args:
        terms: Points of each term, shape ``(n, n_inputs)``.
        derived: Whether a term needs derivatives at its points.
    """
    points = np.ascontiguousarray(np.concatenate(terms))
    term_of = np.repeat(np.arange(len(terms)), [len(term) for term in terms])
    as_bytes = points.view(np.dtype((np.void, points.dtype.itemsize * points.shape[1]))).ravel()
    _, point = np.unique(as_bytes, return_inverse=True)
    nth = _occurrences(point * len(terms) + term_of)
    _, first, inverse = np.unique(
        point * (int(nth.max(initial=0)) + 1) + nth, return_index=True, return_inverse=True
    )
    member = np.zeros((len(first), len(terms)), dtype=bool)
    member[inverse, term_of] = True
    needs = member[:, np.asarray(derived, dtype=bool)].any(axis=1)
    # Derivatives first, then by the terms, then as the points came.
    order = np.lexsort((first, *member.T, ~needs))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    bounds = np.cumsum([len(term) for term in terms])[:-1]
    return Table(points[first[order]], int(needs.sum()), np.split(place[inverse], bounds))


def _occurrences(values: np.ndarray) -> np.ndarray:
    """How often each value has come before, shape ``(n,)``."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(values)]
    start = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
    found = np.empty(len(values), dtype=np.int64)
    found[order] = np.arange(len(values)) - start
    return found
