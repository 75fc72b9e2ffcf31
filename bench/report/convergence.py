"""Whether runs are long enough to be compared: the skill of what arms are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.report.results import Case, Results
from bench.text.formatting import number

#: A network below this skill is still learning what the problem is.
CONVERGED = 0.9


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
