"""What the problems' DeepXDE data are built of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problem import Points, Supervised, Truth

if TYPE_CHECKING:
    from torch import Tensor

#: DeepXDE's default (Hammersley) draws about the same points for every seed; this one draws from
#: NumPy's global generator, which the task seeds.
SAMPLER = "pseudo"


def time_pde(
    geometry: Any,
    pde: Callable[[Tensor, Tensor], Any],
    conditions: Sequence[Any],
    points: Points,
    supervised: Supervised | None,
) -> Any:
    """A ``dde.data.TimePDE`` on freshly drawn points, with the supervised points as conditions.

    Args:
        geometry: ``dde.geometry.GeometryXTime``.
        pde: Residuals, as DeepXDE defines them.
        conditions: Initial and boundary conditions, in the order of the problem's terms.
        points: How many points to draw.
        supervised: Labels, or ``None``.
    """
    labels = []
    if supervised is not None:
        labels = [
            dde.icbc.PointSetBC(supervised.points, supervised.values[:, [k]], component=output)
            for k, output in enumerate(supervised.outputs)
        ]
    return dde.data.TimePDE(
        geometry,
        pde,
        [*conditions, *labels],
        num_domain=points.domain,
        num_boundary=points.boundary,
        num_initial=points.initial,
        train_distribution=SAMPLER,
    )


def initial_condition(geometry: Any, truth: Truth, output: int) -> Any:
    """``dde.icbc.IC`` of one output: the truth's initial state."""
    initial = truth.initial
    assert initial is not None

    def value(x: np.ndarray) -> np.ndarray:
        return initial(x[:, :-1])[:, [output]]

    return dde.icbc.IC(geometry, value, lambda _, on_initial: on_initial, component=output)


def on_wall(half_width: float) -> Callable[[np.ndarray, bool], bool]:
    """The boundary of the square (−`half_width`, `half_width`)² without its corners.

    DeepXDE's normals at the corners are diagonal.
    """

    def found(x: np.ndarray, on_boundary: bool) -> bool:
        return on_boundary and not np.isclose(np.abs(x[:2]), half_width).all()

    return found
