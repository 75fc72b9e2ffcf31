"""The learning rates at which arms are scored, in a line."""

from __future__ import annotations

from bench.ranking.tuning import RATE
from bench.report.ranking.ranked import Ranked

#: Cases whose rates are spelled out; of more there is a range.
_SPELLED = 3


def rates_text(ranked: Ranked) -> str:
    """``rates: baseline 3e-3 on advection-1d, 1e-2 on wave-1d; irelu 1e-3 to 1e-2 on 5 problems``;
    one rate of all cases is ``everywhere``.

    Empty as long as nothing is chosen.
    """
    each = [f"{arm} {of}" for arm in ranked.arms if (of := _of_arm(ranked, arm))]
    return f"rates: {'; '.join(each)}" if each else ""


def short_number(value: float) -> str:
    """At most three digits, without zeros at their end: ``3e-3``, ``0.25``."""
    if value == 0 or 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _of_arm(ranked: Ranked, arm: str) -> str:
    """The rates of an arm by the cases that have them."""
    where: dict[float, list[str]] = {}
    for case in ranked.cases:
        choice = ranked.choices.get((case, arm))
        if choice is not None and RATE in choice.setting:
            where.setdefault(float(choice.setting[RATE]), []).append(ranked.title(case))
    cases = sum(map(len, where.values()))
    if len(where) == 1 and 1 < cases == len(ranked.cases):
        return f"{short_number(min(where))} everywhere"
    if not cases:
        return ""
    if cases <= _SPELLED:
        return ", ".join(f"{short_number(r)} on {' and '.join(on)}" for r, on in where.items())
    ends = dict.fromkeys(map(short_number, (min(where), max(where))))
    return f"{' to '.join(ends)} on {cases} {ranked.word}s"
