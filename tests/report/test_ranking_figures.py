"""The figures of a ranking: what they say of arms that diverge, are censored, alone or many."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from sample_ranking_figures import length_panel, lost_row, profile, rank_rows, tuning_panels

from bench.report.figures import curves, style
from bench.report.figures import ranks as ranks_module
from bench.report.figures import tuning as tuning_module
from bench.report.figures.intervals import mark_of
from bench.report.figures.lengths import lengths
from bench.report.figures.profiles import profiles
from bench.report.figures.ranks import RankRow, ranks
from bench.report.figures.style import Palette, drawing, render
from bench.report.figures.tuning import Tried, TuningPanel, tuning

NAN, INF = math.nan, math.inf
LONG = "activation=mine.own.activations:Snake+featurewise+denorm+rescale"
NAMES = (LONG, "x" * 70, "<script>سلام 🙂 基线</script>")


def _texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if "text" in e.tag]


def _row(verdict: str = "better", **changes: object) -> RankRow:
    row = {"rank": 1, "rank_low": 1, "rank_high": 2, "ratio": 0.5, "low": 0.4, "high": 0.6}
    return RankRow("a", verdict, **{"time": 0.3, **row, **changes})  # type: ignore[arg-type]


def test_a_row_says_its_verdict_and_numbers() -> None:
    texts = _texts(ranks([_row(better=4, worse=2, diverged=7)], "L2RE", "s"))
    assert {"better", "a", "1 [1, 2]", "×0.500 [0.400, 0.600]", "×0.300"} <= set(texts)
    assert {"4", "2", "7"} <= set(texts)
    assert {"error ratio, L2RE", "ratio of steps to target"} <= set(texts)


@pytest.mark.parametrize(("bound", "sign"), [("more", "> "), ("less", "< "), ("", "")])
def test_a_censored_time_is_a_bound(bound: str, sign: str) -> None:
    svg = ranks([_row(bound=bound, time=2.0)], "L2RE", "s")
    assert f"{sign}×2.00" in _texts(svg)
    assert ("stroke-dasharray" in svg) == bool(bound)


def test_a_diverged_arm_has_no_ratio() -> None:
    texts = _texts(ranks([_row(), lost_row("b")], "L2RE", "s"))
    assert "9 of 9 diverged" in texts
    assert not any("∞" in text or "nan" in text for text in texts)


def test_what_may_not_be_claimed_is_no_zero() -> None:
    row = _row("undecided", better=None, worse=None, diverged=3, lost="9 of 9 diverged", time=NAN)
    texts = _texts(ranks([row], "L2RE", "s"))
    assert texts.count("–") == 3 and "3" in texts  # the time, better and worse
    counted = _texts(ranks([_row(better=0, worse=0, diverged=0)], "L2RE", "s"))
    assert counted.count("0") == 3 and "–" not in counted


def test_a_ratio_says_of_how_many_problems_it_is() -> None:
    row = _row(remark="on 1 of 3, 6 of 9 diverged", time_said="> 1.3; 0.59 [0.5, 0.7] on 1 of 3")
    text = " ".join(_texts(ranks([row], "L2RE", "s", counted="cases")))
    assert "on 1 of 3, 6 of 9 diverged" in text
    assert "> 1.3; 0.59" in text and "cases on which it is" in text


def test_verdicts_differ_in_more_than_colour() -> None:
    marks = [mark_of(v) for v in ("better", "worse", "equivalent", "mixed", "undecided")]
    assert len({(mark.marker, mark.filled) for mark in marks}) == 5


def test_all_arms_may_have_diverged() -> None:
    texts = _texts(ranks([lost_row(name) for name in NAMES], "L2RE", "s"))
    assert texts.count("9 of 9 diverged") == 3


_Draw = Callable[[Sequence[str]], str]


def _ranks(arms: Sequence[str]) -> str:
    return ranks(rank_rows(arms), "L2RE", "s")


def _tuning(arms: Sequence[str]) -> str:
    return tuning(tuning_panels("a problem", arms), Palette(arms), 2, "s")


def _profiles(arms: Sequence[str]) -> str:
    panels = [(f"target {k}", [profile(arm, k) for arm in arms]) for k in range(3)]
    return profiles(panels, Palette(arms), 3, "s")


def _lengths(arms: Sequence[str]) -> str:
    return lengths([length_panel(name, arms) for name in ("p", "q", "r")], Palette(arms), 2, "s")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [_ranks, _tuning, _profiles, _lengths])
@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_whole(
    draw: _Draw, count: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No text reaches beyond the figure, and every name is in it."""
    figures: list[Figure] = []

    def keep(figure: Figure, *arguments: object, **others: object) -> str:
        figures.append(figure)
        return render(figure, *arguments, **others)  # type: ignore[arg-type]

    for module in (curves, ranks_module, tuning_module):
        monkeypatch.setattr(module, "render", keep)
    arms = [f"{name}{k:02}" for k in range(count)]
    svg = draw(arms)
    assert "<script" not in svg
    texts = "".join(_texts(svg))
    assert all(arm in texts for arm in arms)
    (figure,) = figures
    width, height = figure.bbox.width, figure.bbox.height
    assert width <= style.WIDEST + 1
    with drawing():
        renderer = RendererSVG(width, height, io.StringIO())
        for text in figure.texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= -1 and box.x1 <= width + 1, text
            assert box.y0 >= -1 and box.y1 <= height + 1, text


def _arm(svg: str, number: int) -> list[ElementTree.Element]:
    found = ElementTree.fromstring(svg).iter()
    return [e for e in found if e.get("data-arm") == str(number) and not e.get("data-legend")]


def test_a_diverged_setting_is_marked_at_the_top_edge() -> None:
    def drawn(last: list[float]) -> str:
        arm = ("a", [Tried(1e-3, [0.1, 0.2], True), Tried(1e-2, last)])
        return tuning([TuningPanel("p", "rate", "L2RE", [arm])], Palette(["a"]), 1, "s")

    fine, lost = drawn([0.3, 0.4]), drawn([INF, 0.4])
    assert len(_arm(lost, 0)) == len(_arm(fine, 0)) + 1
    root = ElementTree.fromstring(lost)
    ((_, top, _, _),) = (panel["box"] for panel in json.loads(root.get("data-panels", "")))
    crosses = re.compile(rf'<use [^>]*y="{top:g}"')
    assert crosses.search(lost)
    assert not crosses.search(fine)


def test_the_chosen_setting_is_ringed() -> None:
    def rings(chosen: bool) -> int:
        arm = ("a", [Tried(1e-3, [0.1, 0.2], chosen), Tried(1e-2, [0.3, 0.4])])
        return len(
            _arm(tuning([TuningPanel("p", "rate", "L2RE", [arm])], Palette(["a"]), 1, "s"), 0)
        )

    assert rings(True) == rings(False) + 1


def test_targets_are_named_lines() -> None:
    texts = _texts(lengths([length_panel("p", ["a"])], Palette(["a"]), 1, "s"))
    assert {"×1", "×2"} <= set(texts)
    assert {"3750", "7500", "15000", "30000"} <= set(texts)


def test_profiles_step() -> None:
    """Between two τ the share is that of the first: a path goes right before it goes up."""
    tau, share = np.array([1.0, 10.0, 100.0]), np.array([0.0, 1.0, 1.0])
    found = profile("a")
    made = type(found)("a", tau, share, share * NAN, share * NAN)
    svg = profiles([("t", [made])], Palette(["a"]), 1, "s")
    (group,) = _arm(svg, 0)
    path = next(
        e for e in group.iter() if e.tag.endswith("path") and "stroke:#" in e.get("style", "")
    )
    steps = re.findall(r"-?[\d.]+", path.get("d", "").split("l")[1])
    assert float(steps[0]) > 0 and float(steps[1]) == 0
    assert float(steps[2]) == 0 and float(steps[3]) < 0
