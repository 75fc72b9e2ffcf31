"""Error ratios as people read them, and what stands where diverged runs leave no ratio."""

from __future__ import annotations

import math

from bench.report.results import Case, Comparison
from bench.report.tabulation import Keyed
from bench.statistics.effects import ratio
from bench.text.formatting import ratio_text


class Lost(Keyed):
    """``7 of 9 diverged``: a text where a ratio would be zero or infinite.

    Its key is its rank: infinite, the worst; 0 where only the reference diverged.
    """

    __slots__ = ()

    @property
    def rank(self) -> float:
        """The place among ratios."""
        return self.key


def diverged_text(comparison: Comparison, case: Case | None = None) -> str:
    """``7 of 9 diverged``; empty if no run did.

    Args:
        comparison: The comparison.
        case: One case, or all.
    """
    ours, theirs = _lost(comparison, case)
    cases = comparison.by_case if case is None else [case]
    pairs = sum(len(comparison.by_case[one]) for one in cases)
    said = [f"{ours} of {pairs} diverged"] if ours else []
    if theirs:
        said.append(f"reference: {theirs} of {pairs}{'' if ours else ' diverged'}")
    return ", ".join(said)


def main_ratio(comparison: Comparison) -> float | Lost:
    """Over the cases on which neither side diverges; if there is none, how many runs diverged."""
    estimate = comparison.effect.estimate
    return ratio(estimate) if not math.isnan(estimate) else _lost_of(comparison, None)


def case_ratio(comparison: Comparison, case: Case) -> float | Lost:
    """Of one case; where one side diverges, how many of its runs do."""
    found = comparison.on[case]
    return ratio(found.estimate) if found.counts else _lost_of(comparison, case)


def _lost_of(comparison: Comparison, case: Case | None) -> Lost:
    said = diverged_text(comparison, case)
    cases = comparison.by_case if case is None else [case]
    worse = any((comparison.by_case[one] > 0).any() for one in cases)
    better = any((comparison.by_case[one] < 0).any() for one in cases)
    # An error of a run that is done may be no finite number.
    return Lost(said or "not finite", 0.0 if better and not worse else math.inf)


def interval(comparison: Comparison, like: bool = False) -> tuple[float | None, float | None]:
    """The ends of the 95 % interval; ``None`` if there is none, or no ratio that it is of.

    Args:
        comparison: The comparison.
        like: For problems like these, and not for these.
    """
    found = comparison.effect
    ends = (found.like_low, found.like_high) if like else (found.low, found.high)
    low, high = map(ratio, ends)
    if isinstance(main_ratio(comparison), Lost) or math.isnan(low) or math.isnan(high):
        return None, None
    return low, high


def compact(comparison: Comparison) -> str:
    """``0.31 [0.25, 0.4]``, ``7 of 9 diverged``, or ``–`` without a pair."""
    if not comparison.effect.pairs:
        return "–"
    found = main_ratio(comparison)
    if isinstance(found, Lost):
        return found
    low, high = interval(comparison)
    ends = "" if low is None or high is None else f" [{ratio_text(low)}, {ratio_text(high)}]"
    return f"{ratio_text(found)}{ends}"


def _lost(comparison: Comparison, case: Case | None) -> tuple[int, int]:
    every = comparison.lost.values() if case is None else [comparison.lost[case]]
    return sum(ours for ours, _ in every), sum(theirs for _, theirs in every)
