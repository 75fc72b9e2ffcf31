"""Whether runs are long enough to be compared: the skill of what arms are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.report.results import Case, Comparison, Results
from bench.text.formatting import number

#: A network below this skill is still learning what the problem is.
CONVERGED = 0.9
#: One of at most this skill has learned nothing that a comparison could be of.
LEARNED_NOTHING = 0.1


def unconverged(results: Results) -> dict[Case, float]:
    """The cases where something that arms are compared with has learned too little.

    Returns:
        Of each case the lowest skill of the references, each the median over its seeds.
    """
    references = {comparison.reference for comparison in results.comparisons}
    found: dict[Case, float] = {}
    for case in results.cases:
        skills = results.columns[case.problem].skills
        medians = [results.median(case, name, skills[0]) for name in references] if skills else []
        # What diverged is said elsewhere.
        known = [median for median in medians if median is not None and math.isfinite(median)]
        if known and min(known) < CONVERGED:
            found[case] = min(known)
    return found


def clause(skills: Mapping[str, float]) -> str:
    """``not converged: a (skill 0.5)``; empty if there is none."""
    each = ", ".join(f"{name} (skill {number(skill)})" for name, skill in skills.items())
    return each and f"not converged: {each}"


def learned_nothing(results: Results, comparison: Comparison) -> list[str]:
    """The cases on which the reference of a comparison has learned nothing, and how that shows.

    There its skill, the median over the seeds, is at most `LEARNED_NOTHING`, or half of its runs
    have collapsed according to their diagnosis: the best constant, or zero forces, would be as
    good.

    Returns:
        ``advection-1d (skill 0.03)``, ``md17-ethanol (2 of 3 collapsed)``.
    """
    said = []
    for case in comparison.by_case:
        runs = len(results.of(case, comparison.reference))
        collapsed = results.collapsed(case, comparison.reference)
        skills = results.columns[case.problem].skills
        skill = results.median(case, comparison.reference, skills[0]) if skills else None
        if skill is not None and -math.inf < skill <= LEARNED_NOTHING:
            said.append(f"{results.title(case)} (skill {number(skill)})")
        elif runs and 2 * collapsed >= runs:
            said.append(f"{results.title(case)} ({collapsed} of {runs} collapsed)")
    return said
