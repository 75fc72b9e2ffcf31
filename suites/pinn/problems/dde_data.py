"""The parts of which the problems' DeepXDE data are built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from suites.pinn.backend import dde
from suites.pinn.problems.problem import Points
from suites.pinn.problems.truth import Supervised, Truth

if TYPE_CHECKING:
    from torch import Tensor

#: DeepXDE's default (Hammersley) draws about the same points for every seed; this one draws from
#: NumPy's global generator, which the task seeds.
SAMPLER = "pseudo"


#: Arrays that DeepXDE remembers values of, by condition.
_remembered: WeakKeyDictionary[Any, list[np.ndarray]] = WeakKeyDictionary()


def keep_for(condition: Any, points: np.ndarray) -> None:
    """Let an array live as long as a condition that is evaluated on it.

    DeepXDE keeps a condition's values by the identity of the array, for ever. If the array were
    freed, another could get its identity, and with it the wrong values.
    """
    kept = _remembered.setdefault(condition, [])
    if not any(array is points for array in kept):
        kept.append(points)


def other_points(data: Any) -> str:
    """What makes data draw other points every time, as an argument."""
    static = isinstance(data, dde.data.FPDE) and data.disc.meshtype == "static"
    return "meshtype='dynamic'" if static else f"train_distribution={SAMPLER!r}"


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
