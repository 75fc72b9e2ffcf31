"""The weights of the loss terms: what rescaling the labels does to a PINN's loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.techniques.rescaling import Scale
from bench.text.errors import BadInput
from suites.pinn.backend import dde
from suites.pinn.problems.problem import Problem, Term


def loss_weights(
    problem: Problem, terms: Sequence[Term], conditions: Sequence[Any], scales: Sequence[Scale]
) -> list[float]:
    """1/S_k² for each equation and 1/C_i² for each condition: every term in the new unit.

    Args:
        problem: Declares S_k.
        terms: All loss terms.
        conditions: DeepXDE's conditions, in the order of their terms.
        scales: C_i of every output.

    Raises:
        BadInput: The labels are rescaled and the problem does not say in which unit a residual or
            an operator condition is.
    """
    factors = [scale.factor for scale in scales]
    residuals = problem.residual_scales(factors)
    if residuals is None or len(residuals) != problem.n_equations:
        if any(factor != 1 for factor in factors):
            raise BadInput(
                f"problem {problem.name!r} declares no unit for its {problem.n_equations} residuals"
                " (residual_scales), so its labels cannot be rescaled"
            )
        residuals = [1.0] * problem.n_equations
    named = [term for term in terms if term.kind != "residual"]
    of_conditions = [
        _condition_scale(term, condition, factors)
        for term, condition in zip(named, conditions, strict=True)
    ]
    return [1 / scale**2 for scale in (*residuals, *of_conditions)]


def _condition_scale(term: Term, condition: Any, factors: Sequence[float]) -> float:
    """The unit of a condition: that of the output that it constrains."""
    if term.output is not None:
        return factors[term.output]
    if isinstance(condition, (dde.icbc.OperatorBC, dde.icbc.PointSetOperatorBC)):
        if any(factor != 1 for factor in factors):
            raise BadInput(
                f"the operator condition {term.name!r} does not say in which output's unit it is"
                " (Term(name, kind, output)), so the labels cannot be rescaled"
            )
        return 1.0
    return factors[np.atleast_1d(condition.component)[0]]
