"""The weights of loss terms: a protocol's, with what the user asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.text.errors import BadInput, unknown
from suites.pinn.problems.problem import Problem, Term
from suites.pinn.protocols import Protocol


def check_weights(weights: Mapping[str, float], terms: Sequence[Term], where: str) -> None:
    """Refuse a weight that is of no term, or that is not positive and finite.

    Args:
        weights: By the terms' names.
        terms: The loss terms that there are.
        where: Who gives the weights, for messages.

    Raises:
        BadInput: One is wrong.
    """
    if not isinstance(weights, Mapping):
        raise BadInput(
            f"{where} is a mapping of names to weights, as {{{terms[-1].name!r}: 10}}, got"
            f" {type(weights).__name__}"
        )
    for name, weight in weights.items():
        if name not in [term.name for term in terms]:
            raise unknown(f"loss term in {where}", name, [term.name for term in terms])
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if number and weight == 0:
            raise BadInput(
                f"{where}: a weight of {name} of 0 would leave the term out, which is another"
                " problem; a weight is positive"
            )
        if not (number and math.isfinite(weight) and weight > 0):
            raise BadInput(f"{where}: a weight is positive and finite, got {weight!r} for {name}")


def term_weights(
    problem: Problem, protocol: Protocol, asked: Sequence[str], labels: Sequence[Term]
) -> dict[str, float]:
    """The weights that are not 1, by the terms' names.

    Args:
        problem: Has weights of its own.
        protocol: Says whether they hold.
        asked: ``TERM=W`` each; they take the place of the problem's.
        labels: The terms of the labels that are given.

    Raises:
        BadInput: What is asked for, or the problem, names an unknown term or a wrong weight.
    """
    terms = [*problem.terms, *labels]
    own = problem.weights if protocol.weighted else {}
    check_weights(own, terms, f"the weights of problem {problem.name!r}")
    given: dict[str, float] = {}
    for text in asked:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--weight {text!r} has no weight; the form is TERM=W, like Lf=10")
        if name in given:
            raise BadInput(f"--weight gives {name} twice")
        try:
            given[name] = float(value)
        except ValueError:
            raise BadInput(f"--weight {text!r}: {value!r} is no number") from None
    check_weights(given, terms, "--weight")
    merged = {**own, **given}
    return {name: float(weight) for name, weight in merged.items() if weight != 1}
