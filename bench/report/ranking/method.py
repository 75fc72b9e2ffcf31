"""How a ranking is made, in paragraphs: by what its arms say that is tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.ranking.ranking import Contestant, Ranking
from bench.ranking.tuning import RATE
from bench.report.ranking.rates import short_number
from bench.text.formatting import counted

#: Rates that are tried first where none is given.
_RATES = 3
_SCORED = (
    "Then the arms are scored on other seeds. They share data, points and every random stream but"
    " that of their own technique with the run of equal problem, model and seed, and are compared"
    " with it, at the end of training. Across problems the estimate is the mean of the problems'"
    " mean log ratios, with an interval for other seeds on these problems, and for other trials by"
    " which the settings are chosen (Student's t; F. Satterthwaite, 1946): how far the choice may"
    " be luck is estimated from what each seed of the trials would have chosen, and from the noise"
    " of their errors, and no number of scored seeds makes it less. Divergence is counted apart."
    " An arm is called better only at 1 % (S. Holm, 1979), with enough seeds, and where it is"
    " inferior on no problem.",
    "Ranks have intervals that hold for all arms at once, from all comparisons by pairs (D. Al"
    " Mohamad, J. Goeman and E. van Zwet, 2022). An arm that diverges on more problems than another"
    " ranks behind it.",
    "Times to a target are interpolated between runs of several lengths, each with its own decay of"
    " the learning rate. One that is not reached is a bound, and is never dropped.",
)


def method(ranking: Ranking) -> list[str]:
    """Paragraphs on tuning, scoring, ranks and times."""
    said = [
        "Every arm, the reference included, is tuned at the whole length on seeds that are not"
        " scored.",
        *_rates(ranking.arms),
        *_further(ranking.arms),
        "What is selected by is the unweighted loss on held-out data at the end of training, in"
        " the problem's own units, within an arm only; the test error decides nothing.",
    ]
    return [" ".join(said), *_SCORED]


def unequal(ranking: Ranking) -> str:
    """How many settings each arm was tuned over, where that is not the same for all; else empty.

    What counts is what was given, and not the rates that the rule adds.
    """
    counts = {one.label: _given(one) for one in ranking.arms}
    if len({_count(one) for one in ranking.arms}) < 2:
        return ""
    by_text: dict[str, list[str]] = {}
    for label, text in counts.items():
        by_text.setdefault(text, []).append(label)
    each = "; ".join(f"{', '.join(labels)} over {text}" for text, labels in by_text.items())
    return f"Arms were not tuned over equally many settings: {each}."


def one_rate(ranking: Ranking) -> str:
    """Which arms were given a single rate; empty if none was."""
    arms = {one.label: one.tune[RATE][0] for one in ranking.arms if len(_values(one, RATE)) == 1}
    if not arms:
        return ""
    rates = ", ".join(dict.fromkeys(map(_value, arms.values())))
    who = "all arms" if len(arms) == len(ranking.arms) else ", ".join(arms)
    return (
        f"One rate was given for {who} ({rates}), and beside it only the untuned one was tried:"
        " another may be better."
    )


def _rates(arms: Sequence[Contestant]) -> list[str]:
    """Which learning rates are tried, of all arms or of each kind."""
    given: dict[str, list[str]] = {}
    for one in arms:
        given.setdefault(", ".join(map(_value, _values(one, RATE))), []).append(one.label)
    said = []
    for rates, labels in given.items():
        who = "" if len(given) == 1 else f" of {', '.join(labels)}"
        said.append(
            f"The learning rates{who} are those that were given, {rates}, and the untuned one; none"
            " is added where the best is at the edge."
            if rates
            else f"The learning rates{who} are the untuned one, a third and three times of it, and"
            " further ones where the best is at the edge."
        )
    return said


def _further(arms: Sequence[Contestant]) -> list[str]:
    """What else is tuned, with the arms that it is tuned for."""
    labels: dict[str, list[str]] = {}
    for one in arms:
        for name, values in one.tune.items():
            if name != RATE:
                text = f"{name} ({', '.join(map(_value, values))})"
                labels.setdefault(text, []).append(one.label)
    each = "; ".join(
        f"{text} for {'all arms' if len(who) == len(arms) else ', '.join(who)}"
        for text, who in labels.items()
    )
    return [f"Tuned besides, in all combinations: {each}."] if each else []


def _values(one: Contestant, name: str) -> Sequence[float | str]:
    return one.tune.get(name, [])


def _count(one: Contestant) -> int:
    """Number of settings that are given, or that the rule begins with."""
    tune: Mapping[str, Sequence[float | str]] = one.tune
    return math.prod(map(len, tune.values())) * (1 if RATE in tune else _RATES)


def _given(one: Contestant) -> str:
    if set(one.tune) <= {RATE}:
        return counted(_count(one), "given rate" if one.tune else "rate")
    return counted(_count(one), "given setting" if RATE in one.tune else "setting")


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else short_number(value)
