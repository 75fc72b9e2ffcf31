"""Whether runs are long enough to be compared: the skill of what arms are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.arm import BASELINE
from bench.report.results import Case, Results
from bench.text.formatting import number

#: A network below this skill is still learning what the problem is.
CONVERGED = 0.9


def unconverged(results: Results) -> dict[Case, float]:
    """The cases whose reference has learned too little, with its median skill over the seeds.

    The reference is the baseline, or where a study has none the best of those that arms are
    compared with.
    """
    references = {comparison.reference for comparison in results.comparisons}
    references = {BASELINE} & references or references
    found: dict[Case, float] = {}
    for case in results.cases:
        skills = results.columns[case.problem].skills
        medians = [results.median(case, name, skills[0]) for name in references] if skills else []
        best = max((median for median in medians if median is not None), default=math.inf)
        if math.isfinite(best) and best < CONVERGED:  # what diverged is said elsewhere
            found[case] = best
    return found


def clause(skills: Mapping[str, float]) -> str:
    """``not converged: a (skill 0.5)``; empty if there is none."""
    each = ", ".join(f"{name} (skill {number(skill)})" for name, skill in skills.items())
    return each and f"not converged: {each}"
