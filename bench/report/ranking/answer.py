"""A ranking's answer: sentences, and the table that stands on the terminal."""

from __future__ import annotations

import math
import shlex
import textwrap
from pathlib import Path

from bench.ranking.ranking import Ranking
from bench.report.answer import figures
from bench.report.ranking.document import write_ranking
from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.limits import limits, trials_text
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.tables import time_ratio_cell
from bench.report.ratios import Lost, interval, main_ratio
from bench.report.tables import print_table, render_console
from bench.report.tabulation import Cell, Table
from bench.report.terminal import WIDEST
from bench.statistics.claims import LEAST_SEEDS_ALONE, Outcome
from bench.store.record import FINAL
from bench.store.store import Store, out_option
from bench.text.formatting import counted, ratio_text, times_text

#: The outcomes on problems, in the order in which they are said.
_OUTCOMES: tuple[Outcome, ...] = (
    "better",
    "undecided",
    "worse",
    "diverges",
    "reference diverges",
)


def print_ranking(ranking: Ranking, store: Store) -> Path:
    """Print the answer of a ranking and write its page.

    Args:
        ranking: The ranking.
        store: The store that has its records.

    Returns:
        The page.

    Raises:
        BadInput: The page cannot be written.
    """
    findings = Findings(Ranked.read(ranking, store))
    page = write_ranking(findings, store, None)
    console = render_console()
    width = min(console.width, WIDEST)
    print()
    for text in headline(findings):
        print(textwrap.fill(text, width))
    print()
    if table := answer_table(findings):
        print_table(table, console)
    arms = [f"{one.name} is {one.arm}" for one in ranking.arms if one.name]
    for text in [*arms, *limits(findings)]:
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
    print(f"\nreport: {page}\nmake it again: {report_command(ranking, store)}")
    return page


def report_command(ranking: Ranking, store: Store) -> str:
    """The command that makes the page from what the store has."""
    words = ["python", "-m", "bench.suite", "report", "--ranking", ranking.key]
    return f"{shlex.join(words)}{out_option(store.root)}"


def headline(findings: Findings) -> list[str]:
    """A sentence for each candidate, problems first; or what there is as long as no arm can be
    compared."""
    ranked = findings.ranked
    if not findings.decided:
        return [f"No answer yet: no arm can be compared with the reference ({_progress(ranked)})."]
    said = [
        sentence(findings, one)
        for one in sorted(findings.standings, key=lambda one: ranked.arms.index(one.arm))
        if one.candidate and one.comparison is not None
    ]
    missing = sum(n for status, n in ranked.scored.statuses.items() if status not in FINAL)
    if missing:
        said.append(f"So far: {counted(missing, 'run')} of the whole length are missing.")
    return said


def sentence(findings: Findings, one: Standing) -> str:
    """``Snake is better: better on 3, undecided on 2 of 5 problems; rank 1 (1 to 2) of 4, 0.71
    times the L2RE (…)``."""
    compared = one.comparison
    assert compared is not None
    if not compared.effect.pairs:
        return f"{one.arm}: {compared.outcome}."
    said = [f"{_on_problems(one)} of {counted(compared.effect.problems, 'problem')}"]
    if one.rank is not None:
        said.append(rank_text(one, len(findings.ranks)))
    parts = f"{'; '.join(said)}, {figures(compared)}"
    if reason := _reason(one):
        parts += f"; {reason}"
    if one.nothing:
        parts += f"; {compared.reference} learned nothing on {', '.join(one.nothing)}"
    return f"{one.arm} is {_verdict(one)}: {parts}."


def rank_text(one: Standing, arms: int) -> str:
    """``rank 1 (1 to 2) of 4``."""
    assert one.rank is not None
    return f"rank {one.rank.rank} ({one.rank.low} to {one.rank.high}) of {arms}"


def _verdict(one: Standing) -> str:
    return {"no claim": "without a claim"}.get(one.verdict, one.verdict)


def _on_problems(one: Standing) -> str:
    counts = {word: one.on(word) for word in _OUTCOMES}
    return ", ".join(f"{word} on {count}" for word, count in counts.items() if count)


def _reason(one: Standing) -> str:
    """Why nothing is claimed; empty if something is, or could be."""
    assert one.comparison is not None
    claim = one.comparison.claim
    if one.comparison.unseen:
        return f"{' and '.join(one.comparison.unseen)} did not see the equation"
    if claim.exploratory:
        return f"exploratory: several arms need {LEAST_SEEDS_ALONE} seeds to claim"
    if not claim.enough:
        return "too few seeds for a claim"
    if claim.verdict == "undecided" and claim.seeds_needed is not None:
        return f"about {claim.seeds_needed} seeds would decide"
    return ""


def _progress(ranked: Ranked) -> str:
    scored = ", ".join(f"{n} {status}" for status, n in sorted(ranked.scored.statuses.items()))
    return f"{trials_text(ranked)}; scored runs: {scored or 'none yet'}"


def answer_table(findings: Findings) -> Table | None:
    """The table of the answer; ``None`` as long as no arm can be compared."""
    if not findings.decided:
        return None
    rows = [_row(one) for one in findings.standings if one.rank is not None]
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
            "seconds to target",
            "better",
            "worse",
            "diverges",
            "ms/step",
        ],
        rows,
    )


def _row(one: Standing) -> list[Cell]:
    assert one.rank is not None
    rank = f"{one.rank.rank} ({one.rank.low}–{one.rank.high})"
    compared = one.comparison
    if compared is None:
        return [one.arm, one.verdict, rank, "×1", *[""] * 7]
    if not compared.effect.pairs:
        return [one.arm, one.verdict, rank, *[""] * 8]
    middle = main_ratio(compared)
    low, high = interval(compared)
    return [
        one.arm,
        one.verdict,
        rank,
        middle if isinstance(middle, Lost) else times_text(middle),
        "" if low is None or high is None else f"{ratio_text(low)} … {ratio_text(high)}",
        _times(time_ratio_cell(one.steps[1.0])),
        _times(time_ratio_cell(one.seconds[1.0])),
        one.on("better"),
        one.on("worse"),
        one.on("diverges"),
        "" if one.cost.step_ratio is None else times_text(one.cost.step_ratio),
    ]


def _times(cell: Cell) -> str:
    """A ratio as a factor; what is no number as it is."""
    if isinstance(cell, float) and math.isfinite(cell):
        return times_text(cell)
    return "" if cell is None else str(cell)
