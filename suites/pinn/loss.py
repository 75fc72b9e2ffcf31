"""The loss of a PINN: its terms by name, and their weights, which rescaling the labels changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.techniques.rescaling import Scale
from bench.text.errors import BadInput
from suites.pinn.backend import dde
from suites.pinn.problems.problem import TOTALS, Problem, Term


class Loss:
    """Named terms and the weighted sum that is minimised.

    Args:
        terms: All terms; those of supervised points, which held-out data may lack, are the last.
        weights: Of each, shape ``(n_terms,)``.
    """

    def __init__(self, terms: Sequence[Term], weights: Tensor) -> None:
        self.terms = terms
        self.weights = weights

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Terms by name, with the totals of each kind (``Lf``, ``LIC``, …).

        Args:
            values: Of the first of the terms, along the first axis; further axes stay.
        """
        present = self.terms[: len(values)]
        named = {term.name: value for term, value in zip(present, values.unbind(), strict=True)}
        for kind, total in TOTALS.items():
            of_kind = [named[term.name] for term in present if term.kind == kind]
            if of_kind and total not in named:
                one = len(of_kind) == 1
                named[total] = of_kind[0] if one else torch.stack(of_kind).sum(dim=0)
        return named

    def weighted(self, values: Tensor) -> Tensor:
        """The loss that is minimised.

        Args:
            values: Of the first of the terms.
        """
        return (values * self.weights[: len(values)]).sum()

    def check_names(self, problem: str, conditions: int, equations: int) -> None:
        """Refuse a problem that has not as many names as losses.

        Args:
            problem: Its name.
            conditions: How many its data have.
            equations: How many it evaluates to.

        Raises:
            BadInput: The numbers differ.
        """
        for kind, count in (("conditions", conditions), ("equations", equations)):
            names = [t.name for t in self.terms if (t.kind == "residual") == (kind == "equations")]
            if len(names) != count:
                raise BadInput(
                    f"problem {problem!r} names {len(names)} {kind} ({', '.join(names)}) but has"
                    f" {count}"
                )


def loss_weights(
    problem: Problem, terms: Sequence[Term], conditions: Sequence[Any], scales: Sequence[Scale]
) -> list[float]:
    """1/S_k² for each equation and 1/C_i² for each condition: every term in the new unit.

    Args:
        problem: Declares S_k.
        terms: All loss terms.
        conditions: DeepXDE's conditions, in the order of their terms.
        scales: C_i of every output, its `Scale.unit`.

    Raises:
        BadInput: The labels are rescaled and the problem does not say in which unit a residual or
            an operator condition is.
    """
    factors = [scale.unit for scale in scales]
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
