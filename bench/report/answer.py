"""The answer of a study: a sentence, and its comparisons ranked, each with its verdict first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.convergence import clause, learned_nothing, unconverged
from bench.report.ratios import Lost, diverged_text, interval, main_ratio
from bench.report.results import Comparison, Results
from bench.statistics.claims import LEAST_SEEDS_ALONE
from bench.store.record import FINAL
from bench.text.formatting import counted, number, ratio_text

#: Problems that a sentence names; of more it gives a count and extremes.
_SPELLED = 4
#: Problems that a line of the ranking names; of more it gives their number.
_NAMED = 2
#: Comparisons that an answer lists.
MOST_LISTED = 12
#: Outcomes in the order of a ranking.
RANKS = ("better", "equivalent", "mixed", "undecided", "worse", "no claim")


@dataclass(frozen=True)
class Finding:
    """One line of the ranking.

    Attributes:
        verdict: The outcome of the comparison.
        comparison: Its name.
        figures: The ratio with its interval, or how many runs diverged.
        remarks: Why there is no claim, or what a claim is worth.
    """

    verdict: str
    comparison: str
    figures: str
    remarks: Sequence[str]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.comparison}, {'; '.join([self.figures, *self.remarks])}"


def headline(results: Results) -> str:
    """What was compared on what, how it came out, and what makes that doubtful, in one line."""
    decided = _decided(results)
    if not decided:
        progress = ", ".join(f"{n} {status}" for status, n in sorted(results.statuses.items()))
        return f"No answer yet: no two runs of any comparison have ended ({progress})."
    where = f"On {_extent(decided)}"
    if waiting := sum(n for status, n in results.statuses.items() if status not in FINAL):
        where = f"So far ({waiting} runs are missing), on {_extent(decided)}"
    outcomes = Counter(comparison.outcome for comparison in decided)
    counts = ", ".join(f"{outcomes[o]} {o}" for o in RANKS if outcomes[o])
    of = f"of {len(decided)} comparisons " if len(decided) > 1 else ""
    return f"{where}, {of}{counts}.{_nothing_clause(results, decided)}{_early_clause(results)}"


def ranking(results: Results) -> list[Finding]:
    """Every comparison that has a pair, by verdict and then by its ratio: what is better first,
    what makes no claim last."""

    def place(comparison: Comparison) -> tuple[int, float]:
        estimate = comparison.effect.estimate
        return RANKS.index(comparison.outcome), 0.0 if math.isnan(estimate) else estimate

    return [
        Finding(c.outcome, c.name, figures(c), remarks(results, c))
        for c in sorted(_decided(results), key=place)
    ]


def lines(results: Results) -> list[str]:
    """The answer as lines of text."""
    found = ranking(results)
    more = len(found) - MOST_LISTED
    rest = [f"and {counted(more, 'more comparison')}"] if more > 0 else []
    return [headline(results), *map(str, found[:MOST_LISTED]), *rest]


def figures(comparison: Comparison, part: str = "") -> str:
    """``0.31 times the L2RE (95 % interval 0.25 to 0.4), 9 pairs``.

    Args:
        comparison: The comparison.
        part: Said after the metric: what the ratio is of, if not of all.
    """
    found = main_ratio(comparison)
    if isinstance(found, Lost):
        return found
    text = f"{ratio_text(found)} times the {comparison.metric}{part}"
    low, high = interval(comparison)
    if low is not None and high is not None:
        text += f" (95 % interval {ratio_text(low)} to {ratio_text(high)}"
        like = interval(comparison, like=True)
        if like[0] is not None and like[1] is not None:
            text += f"; for problems like these {ratio_text(like[0])} to {ratio_text(like[1])}"
        text += ")"
    text += f", {counted(comparison.effect.pairs, 'pair')}"
    diverged = diverged_text(comparison)
    return f"{text}, {diverged}" if diverged else text


def remarks(results: Results, comparison: Comparison) -> list[str]:
    """On how many problems it is what, why it makes no claim, and what its reference has learned
    too little of."""
    said = []
    found = comparison.claim
    if comparison.unseen:
        said.append(f"{' and '.join(comparison.unseen)} did not see the equation")
    elif found.exploratory:
        said.append(f"exploratory: several comparisons need {LEAST_SEEDS_ALONE} seeds to claim")
    elif found.enough and len(found.outcomes) > 1:
        said.append(on_problems(comparison))
    if found.verdict == "undecided" and not found.exploratory and not comparison.unseen:
        if found.seeds_needed is not None:
            said.append(f"about {found.seeds_needed} seeds would decide")
        elif not found.enough:
            said.append("too few seeds for a claim")
    if nothing := learned_nothing(results, comparison):
        where = ", ".join(nothing)
        if len(nothing) > _NAMED:
            where = f"{len(nothing)} of {len(comparison.by_case)} problems"
        said.append(f"{comparison.reference} learned nothing on {where}")
    return said


def on_problems(comparison: Comparison) -> str:
    """``better on 3, undecided on 1, diverges on 1``."""
    found = comparison.claim.outcomes
    words = ("better", "undecided", "worse", "diverges", "reference diverges")
    return ", ".join(f"{word} on {found.count(word)}" for word in words if word in found)


def _decided(results: Results) -> list[Comparison]:
    return [comparison for comparison in results.comparisons if comparison.effect.pairs]


def _nothing_clause(results: Results, decided: Sequence[Comparison]) -> str:
    """A sentence about comparisons with what has learned nothing; empty if there is none."""
    count = sum(bool(learned_nothing(results, comparison)) for comparison in decided)
    if not count:
        return ""
    return f" In {count} of {len(decided)} the reference learned nothing on some problem."


def _early_clause(results: Results) -> str:
    """A sentence about problems on which a reference is no solution yet; empty if there is none."""
    found = {results.title(case): skill for case, skill in unconverged(results).items()}
    if len(found) > _SPELLED:
        skills = f"{number(min(found.values()))} to {number(max(found.values()))}"
        return f" Not converged: {len(found)} of {len(results.cases)} problems (skill {skills})."
    said = clause(found)
    return said and f" {said[0].upper()}{said[1:]}."


def _extent(comparisons: Sequence[Comparison]) -> str:
    """The problems, models and seeds that the comparisons are made on, for people."""
    cases = {case for comparison in comparisons for case in comparison.by_case}
    problems = {case.problem for case in cases}
    models = {case.model for case in cases}
    counts = {len(r) for comparison in comparisons for r in comparison.by_case.values()}
    parts = [counted(len(problems), "problem")]
    if len(models) > 1:
        parts.append(counted(len(models), "model"))
    least, most = min(counts), max(counts)
    parts.append(counted(most, "seed") if least == most else f"{least} to {most} seeds")
    return " × ".join(parts)
