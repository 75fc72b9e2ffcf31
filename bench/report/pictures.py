"""The figures of a study's report, from its results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.effects import EffectRow, effects
from bench.report.figures.fields import fields
from bench.report.figures.heat_map import heat_map
from bench.report.figures.pareto import Point, pareto
from bench.report.figures.parity import parity
from bench.report.figures.style import Palette
from bench.report.histories import Curve, curve, loss_curve
from bench.report.illustrations import illustrations
from bench.report.ratios import Lost, case_ratio, diverged_text, main_ratio
from bench.report.results import Case, Comparison, Results
from bench.report.shortening import (
    MOST_ARMS,
    MOST_CASES,
    MOST_COMPARISONS,
    curve_points,
    field_pixels,
    outputs_drawn,
    shown_of,
)
from bench.store.store import Store
from bench.task import Field, Illustration, Parity
from bench.text.formatting import times_text

#: Arms whose predictions are drawn at most.
_MOST_PREDICTED = 5
#: Curves of values that are no errors.
_MOST_VALUES = 8
#: With more arms than so many in a figure the loss is drawn by steps alone: its times assume equal
#: steps anyway. A page stays small.
_MANY = 8


@dataclass(frozen=True)
class Picture:
    """A figure and what it shows.

    Attributes:
        title: Text above the figure.
        svg: The figure.
        caption: Text below the figure.
    """

    title: str
    svg: str
    caption: str


def effects_picture(results: Results) -> Picture | None:
    """The effect of each comparison."""
    rows = [_effect_row(c) for c in results.comparisons if c.effect.pairs]
    if not rows:
        return None
    shown = rows[:MOST_COMPARISONS]
    return Picture(
        "Effect of each technique",
        effects(shown, results.main_metric, "effects"),
        "Error of an arm over its reference's: geometric mean over the problems, and its 95 %"
        " interval for other seeds on these. Filled: a claim."
        " Left of the line is better." + shown_of("comparisons", len(shown), len(rows)),
    )


def _effect_row(comparison: Comparison) -> EffectRow:
    found = main_ratio(comparison)
    lost = found if isinstance(found, Lost) else ""
    _, low, high = comparison.effect.ratios
    return EffectRow(
        comparison.variant,
        comparison.reference,
        found.rank if isinstance(found, Lost) else found,
        low,
        high,
        comparison.claim.verdict,
        "" if lost else diverged_text(comparison),
        lost,
    )


def factorial_picture(results: Results) -> Picture | None:
    """Main effects and interactions."""
    rows = [
        EffectRow(
            " × ".join(term.factors),
            "without it" if len(term.factors) == 1 else "no interaction",
            *term.effect.ratios,
            term.verdict,
        )
        for term in results.factorial
    ]
    if not rows:
        return None
    return Picture(
        "Main effects and interactions",
        effects(rows, results.main_metric, "factorial"),
        "A main effect is the error ratio of a factor, averaged over the others. An interaction is"
        " by how much that ratio changes when the other factor is on: left of the line they help"
        " each other.",
    )


def heat_map_picture(results: Results) -> Picture | None:
    """The error ratio of each comparison on each problem."""
    every = [c for c in results.comparisons if c.by_case]
    comparisons = every[:MOST_COMPARISONS]
    drawn = results.cases[:MOST_CASES]
    cases = [case for case in drawn if any(case in c.by_case for c in comparisons)]
    if not cases:
        return None
    ratios = np.full((len(cases), len(comparisons)), np.nan)
    texts = [["–"] * len(comparisons) for _ in cases]
    for column, comparison in enumerate(comparisons):
        for row, case in enumerate(cases):
            if case in comparison.noops:
                texts[row][column] = "no-op"
            if case not in comparison.by_case:
                continue
            found = case_ratio(comparison, case)
            if isinstance(found, Lost):
                ratios[row, column] = found.rank
                texts[row][column] = _in_cell(found)
            else:
                ratios[row, column] = found
                texts[row][column] = times_text(found)
    references = {comparison.reference for comparison in comparisons}
    names = [c.variant if len(references) == 1 else c.name for c in comparisons]
    of = f" of {references.pop()}" if len(references) == 1 else " of its reference"
    return Picture(
        "Problem by problem",
        heat_map([results.title(case) for case in cases], names, ratios, texts, "heat-map"),
        f"Error ({results.main_metric}) over that{of}: geometric mean over the seeds in which"
        " neither diverged, or how many did where that is at least half."
        + shown_of("comparisons", len(comparisons), len(every)),
    )


def _in_cell(lost: Lost) -> str:
    """In lines that a cell has room for."""
    return lost.replace(", ", "\n").replace(": ", ":\n").replace(" diverged", "\ndiverged")


def curve_pictures(results: Results, palette: Palette) -> Iterator[Picture]:
    """Loss and error against steps and seconds, one picture for each case."""
    cases = results.cases[:MOST_CASES]
    most = curve_points(len(cases), min(len(results.variants), MOST_ARMS))
    for k, case in enumerate(cases):
        metric = results.metric(case)
        arms = _ended(results, case)
        drawn = _drawn(results, case, arms, MOST_ARMS)
        found = {arm: list(results.of(case, arm).values()) for arm in drawn}
        losses = {arm: c for arm, records in found.items() if (c := loss_curve(records, most))}
        errors = {arm: c for arm, records in found.items() if (c := curve(records, metric, most))}
        if not errors:
            continue
        unit = results.unit(metric, case)
        name = f"{metric} ({unit})" if unit else metric
        steps, seconds = ("steps", attrgetter("steps")), ("training seconds", attrgetter("seconds"))
        panels = [
            _panel(errors, f"{metric} by steps", name, *steps),
            _panel(errors, f"{metric} by time", name, *seconds),
            _panel(losses, "loss by steps", "loss as minimised", *steps),
        ]
        if len(drawn) <= _MANY:
            panels.append(_panel(losses, "loss by time", "loss as minimised", *seconds))
        for value in results.values_shown(case)[:_MOST_VALUES]:
            of_value = {
                arm: c for arm, records in found.items() if (c := curve(records, value, most))
            }
            panels.append(_panel(of_value, f"{value} by steps", value, *steps))
        yield Picture(
            results.title(case),
            curves(panels, palette, 2, f"curves-{k}"),
            "Median over the seeds, and their range. A line ends where half of the seeds have"
            " diverged. The loss is weighted and, with rescaled labels, in other units: it compares"
            " arms of equal rescaling alone." + _shown_arms(drawn, arms),
        )


def _ended(results: Results, case: Case) -> list[str]:
    """The arms that have results of their own on a case."""
    return [
        arm for arm in results.variants if results.of(case, arm) and not results.twin(case, arm)
    ]


def _shown_arms(drawn: Sequence[str], arms: Sequence[str]) -> str:
    what = "arms, the first and those of the least median error"
    return shown_of(what, len(drawn), len(arms))


def _panel(
    found: dict[str, Curve], title: str, y: str, x: str, along: Callable[[Curve], np.ndarray]
) -> Panel:
    series = [Series(arm, along(c), c.middle, c.low, c.high) for arm, c in found.items()]
    return Panel(title, x, y, series)


def pareto_picture(results: Results, palette: Palette) -> Picture | None:
    """Error against training time."""
    panels: list[tuple[str, Sequence[Point]]] = []
    most = ""
    for case in results.cases[:MOST_CASES]:
        points = []
        arms = _ended(results, case)
        drawn = _drawn(results, case, arms, MOST_ARMS)
        most = most or _shown_arms(drawn, arms)
        for arm in drawn:
            records = list(results.of(case, arm).values())
            values = list(results.values(case, arm, results.metric(case)).values())
            if not values:
                continue
            lost = results.diverged(case, arm)
            points.append(
                Point(
                    arm,
                    statistics.median(r.timing.train_s / r.seeds_together for r in records),
                    statistics.median(values),
                    min(values),
                    max(values),
                    f"{lost} of {len(records)} diverged" if lost else "",
                )
            )
        if points:
            panels.append((results.title(case), points))
    if not panels:
        return None
    return Picture(
        "Error against time",
        pareto(panels, results.main_metric, palette, min(3, len(panels)), "pareto"),
        "Medians over the seeds, and the range of the error. No arm, shown or hidden, is both"
        " faster and more accurate than one on the line. Of seeds trained together, a seed's share"
        " of the time." + most,
    )


def prediction_pictures(
    results: Results, store: Store, palette: Palette, most: int = MOST_CASES
) -> Iterator[Picture]:
    """Predictions of trained networks against the reference, for the first seed that all have.

    Args:
        results: The results.
        store: The store that has the networks' weights.
        palette: Gives each arm its look.
        most: Cases at most, the first ones.
    """
    cases = results.cases[:most]
    for k, case in enumerate(cases):
        arms = [arm for arm in results.variants if not results.twin(case, arm)]
        done = {
            arm: {s: r for s, r in results.of(case, arm).items() if r.status == "done"}
            for arm in arms
        }
        drawn = _drawn(results, case, [arm for arm in arms if done[arm]], _MOST_PREDICTED)
        if not drawn:
            continue
        common = set.intersection(*(set(done[arm]) for arm in drawn))
        seed = min(common) if common else None
        found: list[tuple[str, list[Illustration]]] = []
        for arm in drawn:
            record = done[arm][seed if seed is not None else min(done[arm])]
            if pictures := illustrations(record, store):
                found.append((arm, pictures))
        if found:
            said = f"seed {seed}" if seed is not None else "the first seed of each that is done"
            yield from _of_case(results.title(case), k, found, said, palette, len(cases))


def _drawn(results: Results, case: Case, arms: Sequence[str], most: int) -> list[str]:
    """The first arm and those with the least median errors, in the plan's order."""

    def error(arm: str) -> float:
        middle = results.median(case, arm, results.metric(case))
        return math.inf if middle is None else middle

    best = sorted(arms[1:], key=error)[: most - 1]
    return [arm for k, arm in enumerate(arms) if k == 0 or arm in best]


def _of_case(
    case: str,
    number: int,
    found: Sequence[tuple[str, Sequence[Illustration]]],
    seed: str,
    palette: Palette,
    cases: int,
) -> Iterator[Picture]:
    """One picture for each illustration, with all arms that have it.

    Args:
        case: Title of the case.
        number: Its number on the page.
        found: Each arm's illustrations.
        seed: Of which seed they are, for people.
        palette: Gives each arm its look.
        cases: Number of cases on the page.
    """
    outputs = found[0][1][: outputs_drawn(cases)]
    more = shown_of("outputs", len(outputs), len(found[0][1]))
    for j, first in enumerate(outputs):
        same = [
            (arm, pictures[j])
            for arm, pictures in found
            if len(pictures) > j and type(pictures[j]) is type(first)
        ]
        slug = f"prediction-{number}-{j}"
        if isinstance(first, Field):
            of_arms = [(arm, p.predicted) for arm, p in same if isinstance(p, Field)]
            svg = fields(
                first.name,
                first.reference,
                of_arms,
                first.axes,
                first.extent,
                first.at,
                slug,
                field_pixels(cases),
            )
            at = f" at {first.at}" if first.at else ""
            yield Picture(
                f"{case}: {first.name}{at}",
                svg,
                f"Reference, and below each arm's prediction its error; {seed}.{more}",
            )
        else:
            pairs = [(arm, p.reference, p.predicted) for arm, p in same if isinstance(p, Parity)]
            yield Picture(
                f"{case}: {first.name}",
                parity(first.name, first.unit, pairs, palette, slug),
                f"Predicted against reference on the test frames; {seed}. Predictions that are"
                " mostly off the axes are drawn without their median error, which is said above."
                + more,
            )
