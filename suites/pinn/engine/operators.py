"""Which derivatives of a network a loss really depends on.

A residual asks for single derivatives, u_xx and u_yy, but may depend on few combinations of them,
u_xx + u_yy. Each combination is a linear differential operator that one stream can carry through
the network (see `suites.pinn.engine.taylor`). The residuals' own dependence on the derivatives
gives the combinations, so there are only as many streams as the rank of that dependence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: A partial derivative: the inputs that it is taken by, ascending. (0, 1) is ∂²/∂x₀∂x₁.
Index = tuple[int, ...]

#: Relative size below which a dependence is rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Operator:
    """Σⱼ linear[j] ∂ⱼ + Σ c D_a D_b, where D_a and D_b are first-order operators of the same plan.

    Attributes:
        linear: Coefficient of each first derivative.
        products: ``(a, b, c)`` with a ≤ b: positions in the plan, and the coefficient.
    """

    linear: tuple[float, ...]
    products: tuple[tuple[int, int, float], ...] = ()


@dataclass(frozen=True)
class Plan:
    """The operators whose values are computed, and the derivatives that they answer for.

    Attributes:
        operators: The operators, those of first order first.
        served: For each derivative that a residual asks for, the operator that answers. If the
            residuals depend only on a combination of derivatives, the combination's operator
            answers for one of them, and the others are ``None``, which stands for 0.
    """

    operators: tuple[Operator, ...]
    served: Mapping[Index, int | None]


def plan_operators(
    dependence: np.ndarray, indices: Sequence[Index], n_inputs: int, *, share: bool = True
) -> Plan:
    """The fewest operators that determine every residual.

    Args:
        dependence: Gradients of residuals by the derivatives, shape ``(n, len(indices))``; rows are
            points, outputs and equations.
        indices: The derivatives that were asked for, of order 1 or 2.
        n_inputs: Number of the network's inputs.
        share: Combine derivatives; otherwise each is an operator of its own.
    """
    asked = sorted(set(indices))
    second = [index for index in asked if len(index) == 2]
    # Products are made of first derivatives by single inputs, which are streams anyway.
    needed = {(axis,) for index in second for axis in index} if second else set()
    first = sorted({index for index in asked if len(index) == 1} | needed)
    # Second derivatives first: what elimination leaves is then of first order.
    columns = [*second, *first]
    matrix = np.zeros((len(dependence), len(columns)))
    for k, index in enumerate(indices):
        matrix[:, columns.index(index)] = dependence[:, k]
    unseen = ~((matrix != 0) & np.isfinite(matrix)).any(axis=0)
    unseen &= np.array([index in asked for index in columns], dtype=bool)
    matrix, scale = _scaled(matrix) if share else (np.eye(len(columns)), np.ones(len(columns)))
    # A derivative that is compared or rounded has no gradient, and may matter all the same.
    basis, _ = _reduced(np.vstack([matrix, np.eye(len(columns))[unseen]]))
    used = np.flatnonzero(basis[:, : len(second)].any(axis=0))
    axes = sorted({(axis,) for k in used for axis in second[k]})
    units = np.eye(len(columns))[[columns.index(axis) for axis in axes]]
    basis, pivots = _reduced(np.vstack([basis, units]))
    basis = basis * scale
    basis /= basis[np.arange(len(pivots)), pivots][:, None]
    return _operators(basis, pivots, columns, asked, n_inputs)


def _operators(
    basis: np.ndarray,
    pivots: list[int],
    columns: list[Index],
    asked: list[Index],
    n_inputs: int,
) -> Plan:
    """The rows of a reduced basis as operators."""
    of_first_order = [k for k, pivot in enumerate(pivots) if len(columns[pivot]) == 1]
    of_second_order = [k for k in range(len(pivots)) if k not in of_first_order]
    order = [*of_first_order, *of_second_order]
    position = {columns[pivots[k]]: p for p, k in enumerate(order)}
    operators = []
    for k in order:
        linear = [0.0] * n_inputs
        products = []
        for column in np.flatnonzero(basis[k]):
            index, coefficient = columns[column], float(basis[k, column])
            if len(index) == 1:
                linear[index[0]] = coefficient
            else:
                a, b = sorted(position[axis,] for axis in index)
                products.append((a, b, coefficient))
        operators.append(Operator(tuple(linear), tuple(products)))
    return Plan(tuple(operators), {index: position.get(index) for index in asked})


def _scaled(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows as directions, in columns of equal size, and the columns' sizes.

    So a coefficient that is much smaller than the others (a viscosity) is not taken for rounding.
    Rows that are not finite are left out.
    """
    matrix = matrix[np.isfinite(matrix).all(axis=1)]
    sizes = np.abs(matrix).max(axis=0, initial=0.0)
    matrix = matrix / np.where(sizes > 0, sizes, 1.0)
    lengths = np.abs(matrix).max(axis=1, initial=0.0)
    matrix = matrix[lengths > 0] / lengths[lengths > 0, None]
    if len(matrix) > matrix.shape[1]:
        matrix = np.linalg.qr(matrix, mode="r")
    return matrix, np.where(sizes > 0, sizes, 1.0)


def _reduced(matrix: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Reduced row echelon form without its zero rows, and the columns of the pivots."""
    rows = matrix.copy()
    size = np.abs(rows).max(initial=0.0)
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        rank = len(pivots)
        if rank == len(rows):
            break
        best = rank + int(np.argmax(np.abs(rows[rank:, column])))
        if abs(rows[best, column]) <= _TOLERANCE * size:
            continue
        rows[[rank, best]] = rows[[best, rank]]
        rows[rank] /= rows[rank, column]
        others = np.arange(len(rows)) != rank
        rows[others] -= np.outer(rows[others, column], rows[rank])
        pivots.append(column)
    basis = rows[: len(pivots)]
    basis[np.abs(basis) <= _TOLERANCE * np.abs(basis).max(axis=1, initial=0.0)[:, None]] = 0.0
    return basis, pivots
