"""Error ratios as people read them, and what stands where diverged runs leave no ratio."""

from __future__ import annotations

import math

import numpy as np

from bench.report.results import Case, Comparison
from bench.statistics.effects import ratio
from bench.text.formatting import ratio_text


class Lost(str):
    """``7 of 9 diverged``: a text where a ratio would be zero or infinite.

    Attributes:
        rank: The place among ratios: infinite, the worst; 0 where only the reference diverged.
    """

    __slots__ = ("rank",)
    rank: float

    def __new__(cls, text: str, rank: float) -> Lost:
        made = super().__new__(cls, text)
        made.rank = rank
        return made


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


def ratio_or_lost(
    log_ratio: float, comparison: Comparison, case: Case | None = None
) -> float | Lost:
    """The ratio, or, where it is none because of diverged runs, how many these are.

    Args:
        log_ratio: Natural logarithm of the ratio; infinite or nan if diverged runs outweigh, and 0
            if both diverged in every pair.
        comparison: What it is of.
        case: The case that it is of, or all.
    """
    cases = comparison.by_case if case is None else [case]
    some = any(np.isfinite(comparison.by_case[one]).any() for one in cases)
    none = not (some and math.isfinite(log_ratio))
    if none and (text := diverged_text(comparison, case)):
        ours, theirs = _lost(comparison, case)
        return Lost(text, 0.0 if theirs and not ours else math.inf)
    return ratio(log_ratio)


def main_ratio(comparison: Comparison) -> float | Lost:
    """Of all cases and seeds of a comparison."""
    return ratio_or_lost(comparison.effect.estimate, comparison)


def interval(comparison: Comparison) -> tuple[float | None, float | None]:
    """The ends of the 95 % interval; ``None`` if there is none, or no ratio that it is of."""
    _, low, high = comparison.effect.ratios
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
