"""A ranking's answer in a sentence for each candidate."""

from __future__ import annotations

from bench.report.answer import figures
from bench.report.ranking.cells import effect_cell, part_text
from bench.report.ranking.findings import Findings, Shown, Standing
from bench.report.ranking.limits import trials_text
from bench.report.ranking.ranked import Ranked
from bench.report.tabulation import Cell
from bench.statistics.claims import LEAST_SEEDS_ALONE
from bench.store.record import FINAL
from bench.text.formatting import counted, times_text

#: The outcomes on problems, in the order in which they are said.
_OUTCOMES: tuple[Shown, ...] = (
    "better",
    "undecided",
    "worse",
    "diverges",
    "reference diverges",
    "both diverge",
    "the same run",
    "no result",
)


def headline(findings: Findings) -> list[str]:
    """A sentence for each candidate, problems first; or what there is as long as no arm can be
    compared."""
    ranked = findings.ranked
    if not findings.decided:
        candidates = [one for one in findings.standings if one.candidate]
        same = [sentence(findings, one) for one in candidates if one.same_run]
        if same and len(same) == len(candidates):
            return same
        progress = _progress(ranked)
        return [
            *same,
            f"No answer yet: no arm can be compared with the reference ({progress}).",
        ]
    said = [
        sentence(findings, one)
        for one in sorted(findings.standings, key=lambda one: ranked.arms.index(one.arm))
        if one.candidate and one.comparison is not None
    ]
    missing = sum(n for status, n in ranked.scored.statuses.items() if status not in FINAL)
    if missing:
        are = "is" if missing == 1 else "are"
        said.append(f"So far: {counted(missing, 'run')} of the whole length {are} missing.")
    return said


def sentence(findings: Findings, one: Standing) -> str:
    """``Snake is better: better on 3, undecided on 2 of 5 problems; rank 1 (1 to 2) of 4, 0.71
    times the L2RE (…)``."""
    compared = one.comparison
    assert compared is not None
    if not compared.effect.pairs:
        if one.same_run:
            return f"{one.arm} is the same run as {compared.reference} everywhere."
        return f"{one.arm}: {compared.outcome}."
    said = []
    if on := _on_problems(one):
        said.append(f"{on} of {_extent(findings)}")
    if one.rank is not None:
        said.append(rank_text(one, len(findings.ranks)))
    parts = f"{'; '.join(said)}, {figures(compared, part_text(one))}"
    if beside := _beside(findings, one):
        parts += f"; {beside}"
    if reason := _reason(one):
        parts += f"; {reason}"
    if one.nothing:
        parts += f"; {compared.reference} learned nothing on {', '.join(one.nothing)}"
    return f"{_verdict(one, compared.reference)}: {parts}."


def rank_text(one: Standing, arms: int) -> str:
    """``rank 1 (1 to 2) of 4``."""
    assert one.rank is not None
    return f"rank {one.rank.rank} ({one.rank.low} to {one.rank.high}) of {arms}"


def _verdict(one: Standing, reference: str) -> str:
    said = {
        "undecided": f"Nothing is decided about {one.arm}",
        "no claim": f"No claim is made about {one.arm}",
        "equivalent": f"{one.arm} and {reference} are equivalent",
    }
    return said.get(one.verdict, f"{one.arm} is {one.verdict}")


def _on_problems(one: Standing) -> str:
    counts = {word: one.on(word) for word in _OUTCOMES}
    return ", ".join(f"{word} on {count}" for word, count in counts.items() if count)


def _extent(findings: Findings) -> str:
    """``3 problems``; ``3 cases of 1 problem`` where a problem has several models."""
    ranked = findings.ranked
    cases = ranked.scored.cases
    if ranked.word == "problem":
        return counted(len(cases), "problem")
    problems = {case.problem for case in cases}
    return f"{counted(len(cases), 'case')} of {counted(len(problems), 'problem')}"


def _beside(findings: Findings, one: Standing) -> str:
    """``at equal seconds ×0.81, untuned ×0.9``: what there is of it, with the cases it is of."""
    said = []
    at_equal = one.equal_seconds
    if (ratio := effect_cell(at_equal.effect)) is not None:
        count = len(at_equal.by_case)
        part = f" on {count} of {one.cases}" if count < one.cases else ""
        said.append(f"at equal seconds {_times(ratio)}{part}")
    untuned = findings.untuned.get(one.arm)
    if untuned is not None and (ratio := effect_cell(untuned.effect)) is not None:
        count = len(untuned.untuned)
        part = f" on {count} of {one.cases}" if count < one.cases else ""
        said.append(f"untuned {_times(ratio)}{part}")
    return ", ".join(said)


def _times(ratio: Cell) -> str:
    # What diverged comes as a text, which may have no ratio: ``9 of 9 diverged``.
    return times_text(ratio) if isinstance(ratio, float) else str(ratio)


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
