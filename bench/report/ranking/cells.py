"""Figures of a ranking as people read them: never without what they leave out."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.report.ranking.findings import Standing
from bench.report.ranking.targets import RelativeTime
from bench.report.ratios import Lost, diverged_text, main_ratio
from bench.report.results import Comparison
from bench.report.tabulation import Cell
from bench.statistics.effects import Effect, ratio
from bench.statistics.targets import Time
from bench.text.formatting import ratio_text, times_text


def error_text(one: Standing) -> str:
    """``×0.71``, ``×0.6 on 1 of 3, 6 of 9 diverged``, ``9 of 9 diverged``; ``×1`` of the reference;
    empty without a pair."""
    compared = one.comparison
    if compared is None:
        return "×1"
    if not compared.effect.pairs:
        return ""
    found = main_ratio(compared)
    if isinstance(found, Lost):
        return found
    diverged = diverged_text(compared)
    return f"{times_text(found)}{part_text(one)}{diverged and f', {diverged}'}"


def part_text(one: Standing) -> str:
    """`` on 1 of 3``: the cases that an error ratio is of; empty if these are all."""
    assert one.comparison is not None
    count = cases_of_ratio(one.comparison)
    return f" on {count} of {one.cases}" if count < one.cases else ""


def cases_of_ratio(compared: Comparison) -> int:
    """Number of cases that the error ratio is the mean of."""
    counting = [found for found in compared.effect.on if found.counts]
    return len([found for found in counting if found.pairs > 1] or counting)


def time_text(found: RelativeTime) -> str:
    """``0.81 [0.6, 1.1]`` where all is exact; ``> 1.2; 0.39 [0.3, 0.5] on 1 of 3`` where some is
    not: the bounds of the mean over all, and the ratio on the cases where it is exact.

    ``both at the shortest`` where both reach it at the shortest length already; ``–`` where the
    lengths that were tried give no bound otherwise; empty without a length of both.
    """
    times, exact = found.ratio, ""
    if times.exact:
        exact = _two(times.estimate)
        ends = f" [{_two(found.low)}, {_two(found.high)}]"
        exact += ", no interval" if math.isnan(found.low) else ends
    if found.whole:
        return exact
    bounds = "" if math.isnan(times.low) else bounds_text(Time(times.low, times.high), _two)
    if exact:
        part = f"{exact} on {times.exact} of {found.cases}"
        return part if bounds == "–" or times.low == times.high else f"{bounds}; {part}"
    if not bounds and times.neither:
        return "neither reaches it"
    if found.at_the_shortest:
        return "both at the shortest"
    return bounds


def effect_cell(found: Effect) -> Cell:
    """Its ratio, and how many pairs diverged; ``None`` without a pair."""
    if not found.pairs:
        return None
    both = sum(one.both_diverged for one in found.on)
    ours, theirs = found.diverged + both, found.reference_diverged + both
    said = [f"{ours} of {found.pairs} diverged"] if ours else []
    if theirs:
        said.append(f"reference: {theirs} of {found.pairs}{'' if ours else ' diverged'}")
    if math.isnan(found.estimate):
        return Lost(", ".join(said) or "not finite", math.inf if ours >= theirs else 0.0)
    middle = ratio(found.estimate)
    return Lost(", ".join([ratio_text(middle), *said]), middle) if said else middle


def bounds_text(time: Time, as_text: Callable[[float], str] = ratio_text) -> str:
    """``0.5``, ``> 2000``, ``< 250``, ``250 to 500``."""
    return {
        "exact": as_text(time.low),
        "more than": f"> {as_text(time.low)}",
        "at most": f"< {as_text(time.high)}",
        "between": f"{as_text(time.low)} to {as_text(time.high)}",
        "unknown": "–",
    }[time.kind]


def _two(value: float) -> str:
    """Two digits: three would say more than a few seeds at each length can."""
    if not math.isfinite(value) or not 1e-3 <= value < 100:
        return ratio_text(value)
    return f"{value:#.2g}".rstrip(".")
