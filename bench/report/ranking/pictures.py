"""The figures of a ranking's report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from bench.report.figures.curves import Series
from bench.report.figures.lengths import LengthPanel, lengths
from bench.report.figures.profiles import Profile, profiles
from bench.report.figures.ranks import RankRow, ranks
from bench.report.figures.style import Palette
from bench.report.figures.tuning import Tried as DrawnSetting
from bench.report.figures.tuning import TuningPanel, tuning
from bench.report.pictures import Picture
from bench.report.ranking.cells import part_text, time_text
from bench.report.ranking.findings import Findings, Standing
from bench.report.ranking.ranked import Ranked
from bench.report.ranking.targets import RelativeTime, ToTarget, target
from bench.report.ranking.tuning import SELECTION, Tried
from bench.report.ranking.tuning import tuning as tuning_of
from bench.report.ratios import Lost, diverged_text, interval, main_ratio
from bench.report.results import Case
from bench.report.shortening import MOST_CASES, shown_of
from bench.statistics.profiles import profiles as profiles_of
from bench.statistics.targets import Time

_COLUMNS = 3


def ranks_picture(findings: Findings) -> Picture | None:
    """Where each arm stands; ``None`` as long as nothing is scored."""
    rows = [_rank_row(one) for one in findings.standings if one.rank is not None]
    if not rows:
        return None
    return Picture(
        "Ranking",
        ranks(
            rows,
            findings.ranked.scored.main_metric,
            "ranks",
            counted=f"{findings.ranked.word}s",
        ),
        "Rank by final error, with an interval that holds for all arms at once; error over that of"
        f" {findings.ranked.reference}, with its 95 % interval for other seeds on these problems,"
        " and other trials by which the settings are chosen;"
        " steps to the reference's median error over the reference's own, with its 95 % interval"
        " for other seeds, an arrow where only a bound is known of the mean over all;"
        f" {findings.ranked.words} on which an arm is better, worse (–: nothing may be claimed), or"
        " diverges.",
    )


def _rank_row(one: Standing) -> RankRow:
    rank, compared = one.rank, one.comparison
    assert rank is not None
    places = (float(rank.rank), float(rank.low), float(rank.high))
    if compared is None:
        return RankRow(
            one.arm, one.verdict, *places, 1.0, math.nan, math.nan, 1.0, diverged=one.diverges
        )
    if not compared.effect.pairs:
        nothing = (math.nan, math.nan, math.nan, math.nan)
        return RankRow(
            one.arm,
            one.verdict,
            *places,
            *nothing,
            better=None,
            worse=None,
            diverged=one.diverges,
        )
    found = main_ratio(compared)
    low, high = interval(compared)
    to_target = one.steps[1.0]
    time, bound = _drawn_time(to_target)
    remarks = [part_text(one).strip(), diverged_text(compared)]
    return RankRow(
        one.arm,
        one.verdict,
        *places,
        found.rank if isinstance(found, Lost) else found,
        math.nan if low is None else low,
        math.nan if high is None else high,
        time,
        bound,
        one.on("better"),
        one.on("worse"),
        one.diverges,
        str(found) if isinstance(found, Lost) else "",
        ", ".join(filter(None, remarks)),
        to_target.low if to_target.whole else math.nan,
        to_target.high if to_target.whole else math.nan,
        time_text(to_target),
    )


def _drawn_time(relative: RelativeTime) -> tuple[float, Literal["", "more", "less"]]:
    """The ratio where every case that tells has an exact one; else a bound, if there is one."""
    found = relative.ratio
    if math.isnan(found.low):
        return math.nan, ""
    if found.low == found.high:
        return found.low, ""
    if math.isinf(found.high) and found.low > 0:
        return found.low, "more"
    if found.low == 0 and math.isfinite(found.high):
        return found.high, "less"
    return math.nan, ""


def profiles_picture(findings: Findings, palette: Palette) -> Picture | None:
    """Performance profiles: of the final error, and of the steps to each target."""
    ranked = findings.ranked
    arms = [arm for arm in ranked.arms if arm in findings.ranks]
    costs = {"final error": [np.exp(ranked.log_errors(case)) for case in ranked.scored.cases]}
    for factor, by_arm in findings.targets.items():
        costs[f"steps to {factor:g} × the reference's error"] = [
            _costs([by_arm[arm] for arm in ranked.arms], case)
            for case in by_arm[ranked.reference].steps
        ]
    rows = [ranked.arms.index(arm) for arm in arms]
    panels = []
    for title, of_cases in costs.items():
        if not of_cases:  # no case has a target
            continue
        found = profiles_of([of_case[rows] for of_case in of_cases])
        last = max((float(one.taus[-1]) for one in found if len(one.taus)), default=math.nan)
        drawn = [
            Profile(
                arm,
                np.append(one.taus, last),
                *(np.append(y, y[-1]) for y in (one.shares, one.low, one.high)),
            )
            for arm, one in zip(arms, found, strict=True)
            if len(one.taus)
        ]
        # Where every arm is the best on all, there is nothing to tell apart.
        if drawn and last > 1:
            panels.append((title, drawn))
    if not panels:
        return None
    return Picture(
        "Performance profiles",
        profiles(panels, palette, min(2, len(panels)), "profiles", of="the best arm's"),
        "Share of problems and seeds, each problem with the same weight, on which an arm is within"
        " a factor τ of the best arm (E. Dolan and J. Moré, 2002). A run that diverged, or does not"
        " reach the target, is within none. Bands: 95 %, other seeds on these problems, at the"
        " chosen settings.",
    )


def _costs(of_arms: Sequence[ToTarget], case: Case) -> np.ndarray:
    """(arms, seeds) of steps to a target; nan where nothing is known."""
    most = max(len(of.steps[case]) for of in of_arms)
    found = np.full((len(of_arms), most), math.nan)
    for row, of in enumerate(of_arms):
        found[row, : len(of.steps[case])] = [_cost(time) for time in of.steps[case]]
    return found


def _cost(time: Time) -> float:
    return math.nan if time.kind == "unknown" else time.high


def lengths_picture(findings: Findings, palette: Palette) -> Picture | None:
    """The final error against the steps of the run; ``None`` if there is a single length."""
    ranked = findings.ranked
    cases = ranked.scored.cases
    panels = [_length_panel(findings, case) for case in cases[:MOST_CASES]]
    panels = [panel for panel in panels if panel.series]
    if not panels or len(ranked.by_length) == 1:
        return None
    return Picture(
        "Error at each length",
        lengths(panels, palette, min(_COLUMNS, len(panels)), "lengths"),
        "Every mark is of runs with their own decay of the learning rate: median over the seeds and"
        " their range. Horizontal lines: multiples of the median error of"
        f" {ranked.reference} at the whole length."
        + shown_of("problems", min(len(cases), MOST_CASES), len(cases)),
    )


def _length_panel(findings: Findings, case: Case) -> LengthPanel:
    ranked = findings.ranked
    series = []
    for arm in ranked.arms:
        points = []
        for share, results in ranked.by_length.items():
            values = list(ranked.errors(case, share)[arm].values())
            if values:
                run = next(iter(results.runs(case, arm).values()))
                middle = float(np.median(values))
                middle = middle if math.isfinite(middle) else math.nan
                steps = run.spec.training.total_steps
                points.append((steps, middle, min(values), max(values)))
        if points:
            x, middles, low, high = (np.array(v, dtype=float) for v in zip(*points, strict=True))
            series.append(Series(arm, x, middles, low, high))
    levels = [(error, f"×{factor:g}") for factor, error in _targets(findings, case)]
    return LengthPanel(ranked.title(case), _with_unit(ranked, case), series, levels)


def _targets(findings: Findings, case: Case) -> Iterator[tuple[float, float]]:
    for factor in findings.targets:
        error = target(findings.ranked, case, factor)
        if error is not None:
            yield factor, error


def tuning_pictures(findings: Findings, palette: Palette) -> Iterator[Picture]:
    """Test error and selection against what is tuned, a picture for each case and name."""
    ranked = findings.ranked
    for k, case in enumerate(ranked.cases[:MOST_CASES]):
        by_arm: dict[str, list[Tried]] = {}
        for one in tuning_of(ranked, case):
            by_arm.setdefault(one.arm, []).append(one)
        tuned = {arm: _tuned(tried) for arm, tried in by_arm.items()}
        for name in dict.fromkeys(name for name in tuned.values() if name):
            arms = {arm: _alike(by_arm[arm], name) for arm in by_arm if tuned[arm] == name}
            panels = [
                TuningPanel(
                    title,
                    name,
                    label,
                    [
                        (
                            arm,
                            [
                                DrawnSetting(float(t.setting[name]), list(of(t).values()), t.chosen)
                                for t in tried
                                if of(t)
                            ],
                        )
                        for arm, tried in arms.items()
                    ],
                )
                for title, label, of in (
                    ("selection: this chooses", SELECTION, lambda t: t.selections),
                    ("test error: decides nothing", _with_unit(ranked, case), lambda t: t.errors),
                )
            ]
            if any(tried for panel in panels for _, tried in panel.arms):
                yield Picture(
                    ranked.title(case),
                    tuning(panels, palette, 2, f"tuning-{k}-{name}"),
                    "Trials of the whole length on seeds that are not scored: both seeds and their"
                    " median. The setting that was chosen is marked, and at the upper edge settings"
                    " at which a seed diverged.",
                )


def _tuned(tried: Sequence[Tried]) -> str:
    """The name whose values are drawn: the learning rate, or the first that has numbers."""
    numeric = [
        name
        for one in tried
        for name, value in one.setting.items()
        if isinstance(value, float | int)
    ]
    return "lr" if "lr" in numeric else numeric[0] if numeric else ""


def _alike(tried: Sequence[Tried], name: str) -> list[Tried]:
    """The settings that differ from the chosen one, or else from the first, only in a name."""

    def rest(one: Tried) -> dict[str, float | str]:
        return {key: value for key, value in one.setting.items() if key != name}

    first = next((one for one in tried if one.chosen), tried[0])
    return [one for one in tried if name in one.setting and rest(one) == rest(first)]


def _with_unit(ranked: Ranked, case: Case) -> str:
    metric = ranked.metric(case)
    unit = ranked.scored.unit(metric, case)
    return f"{metric} ({unit})" if unit else metric
