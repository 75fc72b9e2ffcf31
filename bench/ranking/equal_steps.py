"""Arms train equally long: an error after more steps says nothing of a technique."""

from __future__ import annotations

from collections.abc import Sequence

from bench.ranking.ranking import Contestant
from bench.ranking.runs import Runs
from bench.studies.definition import Variant
from bench.studies.plan import parse_options
from bench.text.errors import BadInput


def check_equal_steps(runs: Runs, arms: Sequence[Contestant]) -> None:
    """Refuse an arm that trains for more or fewer steps than the reference, or is evaluated apart.

    Its own ``--steps`` and ``--lbfgs-steps`` may divide the reference's steps otherwise, so that a
    chain of optimisers is compared at equal steps.

    Args:
        runs: Makes the runs.
        arms: The reference first.

    Raises:
        BadInput: One does.
    """
    reference = arms[0]
    for case in runs.asked:
        whole = runs.plain(case, reference).training
        for arm in arms[1:]:
            its = runs.plain(case, arm).training
            words = Variant.parse(arm.arm).options
            own = parse_options(runs.suite, arm.label, words)[0].evaluations
            if own is not None:
                raise BadInput(
                    f"arm {arm.arm!r} is evaluated {own} times, {reference.label!r}"
                    f" {whole.evaluations} times: give --evaluations for all arms"
                )
            if its.total_steps != whole.total_steps:
                raise BadInput(
                    f"arm {arm.arm!r} trains for {its.total_steps} steps, {reference.label!r} for"
                    f" {whole.total_steps} on {case[0]} under the budget {runs.budget!r}: an arm's"
                    " --steps and --lbfgs-steps must add up to those of the reference; what differs"
                    " for all is given outside the arm"
                )
