"""What limits a ranking's answer, in sentences."""

from __future__ import annotations

import math
from collections import Counter

from bench.ranking.tuning import RATE
from bench.report.findings import limits as limits_of_results
from bench.report.ranking.findings import Findings
from bench.report.ranking.method import one_rate, unequal
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.seconds import unmatched
from bench.report.ranking.targets import target
from bench.report.ranking.tuning import Tried, setting_text, tuning
from bench.report.results import Case
from bench.statistics.effects import ratio
from bench.store.record import FINAL
from bench.text.formatting import counted, ended, times_text

#: Cases that a sentence names; of more it gives their number.
_NAMED = 6


def limits(findings: Findings) -> list[str]:
    """What a reader must know before believing the answer, each in a sentence."""
    ranked = findings.ranked
    return [
        *_nothing_scored(ranked),
        *ranked.ranking.times.notes,
        *([findings.changes] if findings.changes else []),
        *(
            limits_of_results(ranked.scored, "ranking", ranked.every_run)
            if ranked.scored.plan.runs
            else []
        ),
        *_longer(ranked),
        *_missing_lengths(ranked),
        *_without_target(ranked),
        *_unreached(findings),
        *_at_the_shortest(findings),
        *_unmatched(ranked),
        *_outside(findings),
        *_tuning(ranked),
    ]


def trials_text(ranked: Ranked) -> str:
    """``12 of 18 trials have ended``, and how many of them without a result."""
    names = dict.fromkeys(trial.spec.hash for trial in ranked.ranking.trials)
    found = [ranked.trials[name] for name in names if name in ranked.trials]
    ended = sum(record.status in FINAL for record in found)
    lost = Counter(record.status for record in found if record.status not in FINAL)
    said = f"{ended} of {counted(len(names), 'trial')} have a result"
    return ", ".join([said, *(f"{n} {status}" for status, n in sorted(lost.items()))])


def _nothing_scored(ranked: Ranked) -> list[str]:
    if ranked.scored.ended:
        return []
    return [f"Nothing is scored yet: {trials_text(ranked)}. A trial decides how an arm is tuned."]


def _longer(ranked: Ranked) -> list[str]:
    """Warnings about comparisons that longer training moves out of their interval."""
    said = []
    longest = max(ranked.by_length)
    for comparison in ranked.scored.comparisons if longest > 1 else []:
        later = ranked.by_length[longest].compare(comparison.variant, comparison.reference)
        found = comparison.effect
        if not later.effect.pairs or math.isnan(later.effect.estimate) or math.isnan(found.low):
            continue
        if not found.low <= later.effect.estimate <= found.high:
            said.append(
                f"{comparison.variant}: {times_text(ratio(later.effect.estimate))} at"
                f" {longest:g} times the steps, outside the interval at the whole length"
                f" ({times_text(ratio(found.estimate))}): the budget is not long enough to be sure."
            )
    return said


def _missing_lengths(ranked: Ranked) -> list[str]:
    said = []
    for share, results in ranked.by_length.items():
        missing = {s: n for s, n in results.statuses.items() if s not in FINAL}
        if share != 1.0 and missing:
            each = ", ".join(f"{n} {status}" for status, n in sorted(missing.items()))
            said.append(f"Of the runs at {share:g} times the steps these are left out: {each}.")
    if ranked.scored.plan.runs and len(ranked.by_length) == 1:
        said.append(
            "No other length was run: times to a target are bounds, and errors at equal seconds"
            " are known only where a step takes as long as the reference's."
        )
    return said


def _without_target(ranked: Ranked) -> list[str]:
    cases = [
        case
        for case in ranked.scored.cases
        if ranked.scored.of(case, ranked.reference) and target(ranked, case, 1.0) is None
    ]
    if not cases:
        return []
    return [
        f"There is no target on {_titles(ranked, cases)}: at least half of the runs of"
        f" {ranked.reference} diverge there."
    ]


def _unreached(findings: Findings) -> list[str]:
    """Warnings about targets that no arm reaches, or of no arm the median seed."""
    ranked, said = findings.ranked, []
    for factor, by_arm in findings.targets.items():
        none, few = list[Case](), list[Case]()
        for case in by_arm[ranked.reference].steps:
            if not any(of.steps[case] for of in by_arm.values()):
                continue
            if any(of.median_steps(case).reached for of in by_arm.values()):
                continue
            some = any(time.reached for of in by_arm.values() for time in of.steps[case])
            (few if some else none).append(case)
        error = f"{factor:g} times the error of {ranked.reference}"
        if none:
            said.append(f"No arm reaches {error} on {_titles(ranked, none)}.")
        if few:
            where = _titles(ranked, few)
            said.append(f"At most half of the seeds of each arm reach {error} on {where}.")
    return said


def _at_the_shortest(findings: Findings) -> list[str]:
    """Why there is no time to the reference's error, and the least target that has one."""
    by_factor: dict[float | None, list[str]] = {}
    for one in findings.standings:
        if one.comparison is not None and one.steps[1.0].at_the_shortest:
            telling = [factor for factor, found in one.steps.items() if found.tells]
            by_factor.setdefault(min(telling, default=None), []).append(one.arm)
    reference, said = findings.ranked.reference, []
    for factor, arms in by_factor.items():
        other = (
            "no target tells them apart"
            if factor is None
            else f"the least target that tells them apart is {factor:g} times the error"
        )
        said.append(
            f"There are no steps and seconds of {', '.join(arms)} to the error of {reference}: they"
            f" and {reference} reach it already at the shortest length; {other}."
        )
    return said


def _unmatched(ranked: Ranked) -> list[str]:
    """Warnings about arms whose times compare with none of the reference's."""
    where = {arm: unmatched(ranked, arm) for arm in ranked.arms}
    return [
        f"{arm} has no seconds beside {ranked.reference}'s on {_titles(ranked, cases)}: no two of"
        " their runs with equal seed were made on the same device with as many at once."
        for arm, cases in where.items()
        if cases
    ]


def _outside(findings: Findings) -> list[str]:
    """Warnings about errors at equal seconds that no run tells."""
    ranked = findings.ranked
    if len(ranked.by_length) == 1:
        return []
    said = []
    for arm, found in findings.equal_seconds.items():
        if found.outside:
            shares = found.outside.values()
            least, most = min(shares), max(shares)
            extent = f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}"
            said.append(
                f"{arm} has no error at equal seconds on {_titles(ranked, list(found.outside))}:"
                f" it is that of {extent} times the steps, which no run tells."
            )
    return said


def _tuning(ranked: Ranked) -> list[str]:
    tried = [(case, one) for case in ranked.cases for one in tuning(ranked, case)]
    given = [unequal(ranked.ranking), one_rate(ranked.ranking)]
    return [
        *filter(None, given),
        *_edges(ranked, tried),
        *_brinks(ranked, tried),
        *_failed(tried),
        *_lost(tried),
        *_unselected(tried),
    ]


def _edges(ranked: Ranked, tried: list[tuple[Case, Tried]]) -> list[str]:
    """Warnings about choices at the edge of what was tried."""
    by_arm: dict[str, list[str]] = {}
    for case, one in tried:
        if one.at_edge:
            said = f"{ranked.title(case)} ({setting_text(one.setting)})"
            by_arm.setdefault(one.arm, []).append(said)
    return [
        f"{arm} is best at the edge of what was tried, so a setting beyond may be better, on"
        f" {_few(where)}."
        for arm, where in by_arm.items()
    ]


def _brinks(ranked: Ranked, tried: list[tuple[Case, Tried]]) -> list[str]:
    """Warnings about rates beside one that diverged: two seeds do not tell how often theirs do."""
    by_arm: dict[str, list[str]] = {}
    for case, one in tried:
        if one.chosen and (lost := _next_rate(case, one, tried)) is not None and lost.diverged:
            scored = ranked.scored.of(case, one.arm)
            count = ranked.scored.diverged(case, one.arm)
            said = f", and of its scored runs {count} of {len(scored)} diverged" if count else ""
            by_arm.setdefault(one.arm, []).append(
                f"{ranked.title(case)} ({setting_text(one.setting)}{said})"
            )
    return [
        f"{arm} is tuned to the brink: at the next larger rate trials diverged on {_few(where)}."
        for arm, where in by_arm.items()
    ]


def _next_rate(case: Case, one: Tried, tried: list[tuple[Case, Tried]]) -> Tried | None:
    """What was tried at the next larger rate, with all else as in `one`; ``None``: nothing."""

    def rate(of: Tried) -> float:
        return float(of.setting[RATE])

    rest = {**one.setting, RATE: 0.0}
    larger = [
        other
        for at, other in tried
        if (at, other.arm) == (case, one.arm)
        and {**other.setting, RATE: 0.0} == rest
        and rate(other) > rate(one)
    ]
    return min(larger, key=rate, default=None)


def _failed(tried: list[tuple[Case, Tried]]) -> list[str]:
    counts = Counter[str]()
    for _, one in tried:
        counts[one.arm] += one.failed
    said = ", ".join(f"{count} of {arm}" for arm, count in counts.items() if count)
    return [ended(f"Trials that ended without a result: {said}")] if said else []


def _lost(tried: list[tuple[Case, Tried]]) -> list[str]:
    """A warning about arms whose chosen setting itself diverged in a trial."""
    arms = dict.fromkeys(one.arm for _, one in tried if one.chosen and one.diverged)
    if not arms:
        return []
    return [f"No setting that was tried is without divergence for {', '.join(arms)} everywhere."]


def _unselected(tried: list[tuple[Case, Tried]]) -> list[str]:
    count = sum(math.isnan(value) for _, one in tried for value in one.selections.values())
    if not count:
        return []
    return [f"{counted(count, 'trial')} of older code have no selection loss, and chose nothing."]


def _titles(ranked: Ranked, cases: list[Case]) -> str:
    return _few([ranked.title(case) for case in cases])


def _few(texts: list[str]) -> str:
    if len(texts) <= _NAMED:
        return ", ".join(texts)
    return f"{', '.join(texts[:_NAMED])} and {len(texts) - _NAMED} more"
