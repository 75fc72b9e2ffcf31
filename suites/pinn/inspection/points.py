"""Whether every condition of a problem has points."""

from __future__ import annotations

from typing import Any

from bench.text.errors import BadInput
from suites.pinn.problems.problem import Problem


def check_points(problem: Problem, data: Any) -> None:
    """Refuse a condition without points: the mean of no errors is not a number.

    Args:
        problem: For the names.
        data: ``dde.data.PDE`` that has drawn its points.

    Raises:
        BadInput: A condition has none.
    """
    named = [term.name for term in problem.terms if term.kind != "residual"]
    for k, count in enumerate(data.num_bcs):
        if not count:
            # Labels follow the problem's own terms.
            name = named[k] if k < len(named) else f"condition {k + 1}"
            raise BadInput(
                f"problem {problem.name!r}: the condition {name!r} has no points: it holds at none"
                f" of the {len(data.train_x_all)} points that were drawn"
            )
