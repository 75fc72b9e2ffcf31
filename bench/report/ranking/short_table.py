"""The table with which a ranking's answer opens."""

from __future__ import annotations

from bench.report.ranking.cells import error_text, time_text
from bench.report.ranking.findings import Findings, Standing
from bench.report.ratios import interval
from bench.report.tabulation import Cell, Table, factor
from bench.text.formatting import ratio_text


def short_table(findings: Findings) -> Table | None:
    """Every arm in the order of its rank; ``None`` as long as no arm can be compared."""
    if not findings.decided:
        return None
    rows = [_row(one) for one in findings.standings if one.rank is not None]
    words = findings.ranked.words
    return Table(
        "ranking",
        "Ranking",
        [
            "arm",
            "verdict",
            "rank",
            findings.ranked.scored.main_metric,
            "95 %",
            "steps to target",
            "seconds",
            "better",
            "worse",
            "diverges",
            "ms/step",
        ],
        rows,
        "Rank: by final error, with an interval that holds for all arms at once. Error, with its"
        " 95 % interval for other seeds on these problems, and other trials by which the settings"
        " are chosen, and ms/step: over those of"
        f" {findings.ranked.reference}. Steps and seconds to its median error, over its own, with a"
        f" 95 % interval for other seeds: > and < are bounds of the mean over all {words};"
        " both at the shortest: of the lengths that were run, so that no ratio is known. better,"
        f" worse: {words} on which the arm is, empty where nothing may be claimed; diverges: on"
        " which at least half of its runs do.",
    )


def _row(one: Standing) -> list[Cell]:
    assert one.rank is not None
    rank = f"{one.rank.rank} ({one.rank.low}–{one.rank.high})"
    if one.ran < one.cases:
        rank += f" on {one.ran} of {one.cases}"
    compared = one.comparison
    if compared is None or not compared.effect.pairs:
        return [one.arm, one.verdict, rank, error_text(one), *[""] * 5, one.diverges, ""]
    low, high = interval(compared)
    return [
        one.arm,
        one.verdict,
        rank,
        error_text(one),
        "" if low is None or high is None else f"{ratio_text(low)} … {ratio_text(high)}",
        time_text(one.steps[1.0]),
        time_text(one.seconds[1.0]),
        one.on("better"),
        one.on("worse"),
        one.diverges,
        "" if one.cost.step_ratio is None else factor(one.cost.step_ratio),
    ]
