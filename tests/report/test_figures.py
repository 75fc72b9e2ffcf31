"""The figures of a report: sound SVG, hostile labels, values that are not finite, sizes."""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from sample_ranking_figures import length_panel, lost_row, profile, tuning_panels

from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.effects import EffectRow, effects
from bench.report.figures.fields import fields
from bench.report.figures.heat_map import heat_map
from bench.report.figures.lengths import LengthPanel, lengths
from bench.report.figures.pareto import Point, pareto
from bench.report.figures.parity import parity
from bench.report.figures.profiles import Profile, profiles
from bench.report.figures.ranks import RankRow, ranks
from bench.report.figures.style import INK, MUTED, Palette, drawing, render, wrap
from bench.report.figures.tuning import Tried, TuningPanel, tuning

_ARMS = ("baseline", "irelu", "irelu+lsuv", "denorm+rescale", "act=my$m:A_b^c$")
_HOSTILE = ("<script>", "a&b", "$x_1$", "_hidden", "\\frac")
_NAN, _INF = math.nan, math.inf

Draw = Callable[[Sequence[str], str], str]


def test_predictions_that_are_all_off_are_drawn_without_their_median_error() -> None:
    reference = _noise(500)
    arms = [("near", reference, reference + 0.1), ("off", reference, reference - 100)]
    drawn = parity("energy", "eV", arms, Palette(["near", "off"]), "p")
    assert "MAE 0.1" in drawn
    assert "MAE 100, drawn plus 100" in drawn


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def _effects(arms: Sequence[str], slug: str) -> str:
    rows = [
        EffectRow(arms[0], "b", 0.48, 0.31, 0.74, "better"),
        EffectRow(arms[1], "b", _INF, 2, _INF, "worse", "2 diverged"),
        EffectRow(arms[2], "b", 0.9, _NAN, _NAN, "undecided"),
        EffectRow(arms[3], "b", 1e6, 0, 1e9, "undecided"),
        EffectRow(arms[4], "b", _NAN, _NAN, _NAN, "undecided"),
        EffectRow(arms[0], "c", 0.0, 0, 0, "better"),
    ]
    return effects(rows, "L2RE", slug)


def _heat_map(arms: Sequence[str], slug: str) -> str:
    ratios = np.array([[0.0, 0.5, 1.0, _INF, _NAN]] * 2)
    return heat_map(["p", "q · fnn"], arms, ratios, [["×0", "×½", "×1", "∞", "no-op"]] * 2, slug)


def _curves(arms: Sequence[str], slug: str) -> str:
    x = np.linspace(0, 1, 20)
    middle = np.exp(-x)
    middle[3:5] = [0, _NAN]
    series = [Series(arm, x, middle, middle * 0.5, np.full(20, _INF)) for arm in arms]
    empty = Series(arms[0], x * _NAN, x, x, x)
    negative = Series(arms[1], x, -x, -x - 1, -x + 1)
    panels = [
        Panel("one", "steps", "L2RE", series),
        Panel("none", "steps", "L2RE", []),
        Panel("empty", "steps", "L2RE", [empty]),
        Panel("linear", "steps", "L2RE", [negative]),
    ]
    return curves(panels, Palette(arms), 2, slug)


def _pareto(arms: Sequence[str], slug: str) -> str:
    points = [
        Point(arms[0], 1.0, 0.1, 0.05, 0.2),
        Point(arms[1], 2.0, _INF, _INF, _INF, "2 of 2 diverged"),
        Point(arms[2], 3.0, 0.01, _NAN, _NAN),
        Point(arms[3], _NAN, 0.01, 0, _INF),
        Point(arms[4], 4.0, 0.01, 0, _INF),
    ]
    return pareto([("p", points), ("q", []), ("r", points[1:2])], "L2RE", Palette(arms), 3, slug)


def _fields(arms: Sequence[str], slug: str) -> str:
    reference = _noise(8, 9)
    predictions = [(arm, reference + 0.1 * k) for k, arm in enumerate(arms)]
    predictions[1] = (arms[1], reference * _NAN)
    predictions[2] = (arms[2], np.where(reference > 0, _INF, reference))
    return fields("u", reference, predictions, ("x", "t"), (0, 1, 0, 2), "t = 5", slug)


def _parity(arms: Sequence[str], slug: str) -> str:
    reference = _noise(300)
    pairs = [(arm, reference, reference * 1.1) for arm in arms]
    pairs[1] = (arms[1], reference, reference * _NAN)
    pairs[2] = (arms[2], reference, reference * 1e9)
    pairs[3] = (arms[3], reference[:0], reference[:0])
    pairs[4] = (arms[4], np.where(reference > 0, _INF, reference), reference)
    return parity("energy", "eV", pairs, Palette(arms), slug)


def _ranks(arms: Sequence[str], slug: str) -> str:
    rows = [
        RankRow(arms[0], "reference", 2, 1, 3, 1, _NAN, _NAN, 1),
        RankRow(arms[1], "better", 1, 1, 2, 0.5, 0.4, 0.6, 0.3, better=3),
        lost_row(arms[2]),
        RankRow(arms[3], "mixed", 3, 2, 4, 1e6, 0, 1e9, 4.0, "more", 2, 1),
        RankRow(arms[4], "no claim", _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, 0.2, "less"),
    ]
    return ranks(rows, "L2RE", slug)


def _profiles(arms: Sequence[str], slug: str) -> str:
    found = [profile(arm, k) for k, arm in enumerate(arms)]
    nothing = Profile(arms[0], np.array([1.0, _INF]), np.zeros(2), np.zeros(2), np.zeros(2))
    return profiles([("a", found), ("b", [nothing]), ("c", [])], Palette(arms), 3, slug)


def _tuning(arms: Sequence[str], slug: str) -> str:
    lost = TuningPanel(
        "all diverged", "rate", "L2RE", [(arm, [Tried(1e-3, [_INF, _NAN], True)]) for arm in arms]
    )
    empty = TuningPanel("none", "rate", "L2RE", [(arms[0], []), (arms[1], [Tried(1e-3, [])])])
    return tuning([*tuning_panels("p", arms), lost, empty], Palette(arms), 2, slug)


def _lengths(arms: Sequence[str], slug: str) -> str:
    x = np.array([1.0, 2, 4, 8])
    lost = [Series(arm, x, x * _NAN, x * _INF, x * _INF) for arm in arms]
    panels = [length_panel("p", arms), LengthPanel("q", "L2RE", lost, [(0.1, "×1")])]
    return lengths([*panels, LengthPanel("r", "L2RE", [])], Palette(arms), 2, slug)


_FIGURES = (
    _effects,
    _heat_map,
    _curves,
    _pareto,
    _fields,
    _parity,
    _ranks,
    _profiles,
    _tuning,
    _lengths,
)
_each = pytest.mark.parametrize("draw", _FIGURES)


@functools.cache
def _drawn(draw: Draw) -> str:
    return draw(_ARMS, "s")


def _texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if "text" in e.tag]


def _natural_size(svg: str) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found
    return float(found[1]), float(found[2])


@_each
def test_labels_are_text(draw: Draw) -> None:
    texts = "".join(_texts(_drawn(draw)))  # wrapped ones stand in several
    assert all(arm in texts for arm in _ARMS)


@_each
def test_hostile_labels_are_text(draw: Draw) -> None:
    svg = draw(_HOSTILE, "s")
    assert "<script" not in svg
    texts = " ".join(_texts(svg))
    assert all(label in texts for label in _HOSTILE)


@_each
def test_root(draw: Draw) -> None:
    svg = _drawn(draw)
    root = ElementTree.fromstring(svg)
    assert svg.startswith("<svg")
    assert root.get("role") == "img"
    assert root[0].tag.endswith("title") and root[0].text
    width, _ = _natural_size(svg)
    assert width <= 1000
    assert f"max-width:{width:g}px" in root.get("style", "")


@_each
def test_nothing_external_and_no_origin(draw: Draw) -> None:
    svg = _drawn(draw).replace('xmlns="http://www.w3.org/2000/svg"', "", 1)
    for forbidden in ("http", "<!--", "<?", "metadata", "matplotlib", "<style"):
        assert forbidden not in svg.lower()


@_each
def test_same_bytes(draw: Draw) -> None:
    assert _drawn(draw) == draw(_ARMS, "s")


@_each
def test_colours_of_the_page(draw: Draw) -> None:
    svg = _drawn(draw)
    assert "var(--ink)" in svg
    assert "var(--muted)" in svg
    assert INK not in svg and MUTED not in svg
    assert "#000000" not in svg and "black" not in svg
    root = ElementTree.fromstring(svg)
    texts = [e for e in root.iter() if e.tag.endswith("}text")]
    assert all("fill:" in e.get("style", "") for e in texts)


@_each
def test_text_is_large_enough(draw: Draw) -> None:
    sizes = re.findall(r"font-size:([\d.]+)px", _drawn(draw))
    assert sizes and min(map(float, sizes)) >= 9


@_each
def test_ids_of_two_figures_differ(draw: Draw) -> None:
    one, other = _drawn(draw), draw(_ARMS, "other")
    ids = re.findall(r' id="([^"]+)"', one + other)
    assert len(ids) == len(set(ids))
    assert all(i.startswith(("s-", "other-")) for i in ids)
    used = {*re.findall(r'href="#([^"]+)"', one), *re.findall(r"url\(#([^)]+)\)", one)}
    assert used <= set(ids)


@pytest.mark.filterwarnings("error")
@_each
def test_no_warning(draw: Draw) -> None:
    assert any("基线" in text for text in _texts(draw(("基线", *_ARMS[1:]), "s")))


def test_size_of_curves() -> None:
    x = np.linspace(0, 15000, 60)
    arms = [f"arm{k}" for k in range(8)]
    walk = np.exp(np.cumsum(0.3 * _noise(8, 60), axis=1))
    series = [
        Series(arm, x, values, values * 0.6, values * 1.7)
        for arm, values in zip(arms, walk, strict=True)
    ]
    panels = [Panel(f"p{k}", "steps", "L2RE", series) for k in range(10)]
    assert len(curves(panels, Palette(arms), 3, "s")) < 200_000


def test_size_of_fields() -> None:
    predictions = [(f"arm{k}", _noise(64, 64)) for k in range(5)]
    svg = fields("u", _noise(64, 64), predictions, ("x", "t"), (0, 1, 0, 2), "", "s")
    assert len(svg) < 120_000
    assert svg.count("data:image/png;base64,") == 13


def test_large_images_are_thinned() -> None:
    svg = fields("u", _noise(300, 300), [], ("x", "y"), (0, 1, 0, 1), "", "s")
    assert len(svg) < 40_000


def test_effects_says_the_numbers() -> None:
    texts = _texts(_drawn(_effects))
    assert {"×0.480 [0.310, 0.740]", "×∞ [2.00, ∞]", "×0.900", "–", "2 diverged"} <= set(texts)
    assert {"← better", "worse →", "error ratio, L2RE"} <= set(texts)


def test_lost_effects_say_why() -> None:
    row = EffectRow("a", "b", _INF, _INF, _INF, "worse", lost="9 of 9 diverged")
    texts = _texts(effects([row], "L2RE", "s"))
    assert "9 of 9 diverged" in texts
    assert not any("∞" in text for text in texts)


@pytest.mark.parametrize("count", [1, 3, 12, 30])
@pytest.mark.parametrize(
    "name",
    ["irelu", "activation=mine.own.activations:Snake+featurewise+denorm+rescale", "x" * 70],
)
def test_labels_of_a_heat_map_are_whole(
    count: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No text reaches beyond the figure, and all characters are there."""
    figures: list[Figure] = []

    def keep(figure: Figure, title: str, slug: str) -> str:
        figures.append(figure)
        return render(figure, title, slug)

    monkeypatch.setattr("bench.report.figures.heat_map.render", keep)
    columns = [f"{name}{k:02}" for k in range(count)]
    cells = [["1 of 3\ndiverged"] * count] * 2
    svg = heat_map(["a" * 60, "b"], columns, np.ones((2, count)), cells, "s")
    texts = "".join(_texts(svg))
    assert all(column in texts for column in columns)
    (figure,) = figures
    with drawing():
        width, height = figure.bbox.width, figure.bbox.height
        renderer = RendererSVG(width, height, io.StringIO())
        for text in figure.texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0 and box.y0 >= 0, text
            assert box.x1 <= width and box.y1 <= height, text


def test_no_word_of_a_heat_maps_label_is_broken() -> None:
    columns = ["initialization=lsuv", "activation=softplus"]
    texts = _texts(heat_map(["p"], columns, np.ones((1, 2)), [["×1"] * 2], "s"))
    assert {"initialization=", "lsuv"} <= set(texts) or "initialization=lsuv" in texts


def test_wide_effects_have_few_ticks() -> None:
    rows = [EffectRow("a", "b", ratio, ratio / 2, ratio * 2, "worse") for ratio in (1e-3, 1e6)]
    ticks = [text for text in _texts(effects(rows, "L2RE", "s")) if re.fullmatch(r"×[^ ]+", text)]
    assert 3 <= len(ticks) <= 7


def test_parity_says_what_is_outside() -> None:
    assert any(re.search(r"% outside", text) for text in _texts(_drawn(_parity)))


@pytest.mark.parametrize(
    "draw", [effects, heat_map, curves, pareto, parity, ranks, profiles, tuning, lengths]
)
def test_nothing_to_draw(draw: Callable[..., str]) -> None:
    arguments = {
        effects: ([], "L2RE", "s"),
        heat_map: ([], [], np.zeros((0, 0)), [], "s"),
        curves: ([], Palette([]), 2, "s"),
        pareto: ([], "L2RE", Palette([]), 2, "s"),
        parity: ("energy", "eV", [], Palette([]), "s"),
        ranks: ([], "L2RE", "s"),
        profiles: ([], Palette([]), 2, "s"),
        tuning: ([], Palette([]), 2, "s"),
        lengths: ([], Palette([]), 2, "s"),
    }
    root = ElementTree.fromstring(draw(*arguments[draw]))
    assert root.tag.endswith("svg")
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert 0 < width < 1000
    assert 0 < height < 1000


def test_palette_has_one_look_for_each_of_24_labels() -> None:
    labels = [f"arm{k}" for k in range(24)]
    palette = Palette(labels)
    looks = {(p.colour, p.line, p.marker) for p in map(palette.of, labels)}
    assert len(looks) == len({(p.line, p.marker) for p in map(palette.of, labels)}) == 24
    assert Palette(labels[:3]).of("arm1") == palette.of("arm1")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, -_INF, 97190.0])
def test_values_beyond_any_axis(value: float) -> None:
    values, palette = np.array([[value, 1.0, value]] * 2), Palette(["a"])
    row, series = values[0], Series("a", values[0], values[0], values[0], values[0])
    for svg in (
        effects([EffectRow("a", "b", value, value, 1.0, "better")], "L2RE", "s"),
        heat_map(["p"], ["a", "b", "c"], np.abs(values), [["", "", ""]], "s"),
        curves([Panel("p", "x", "y", [series])], palette, 1, "s"),
        pareto([("p", [Point("a", value, value, value, 1.0)])], "L2RE", palette, 1, "s"),
        fields("u", values, [("a", values)], ("x", "y"), (0, 1, 0, 1), "", "s"),
        parity("energy", "", [("a", row, row)], palette, "s"),
        ranks([RankRow("a", "better", 1, 1, 1, value, value, value, value, "more")], "L2RE", "s"),
        profiles([("p", [Profile("a", row, row, row, row)])], palette, 1, "s"),
        tuning(
            [TuningPanel("p", "lr", "L2RE", [("a", [Tried(value, [value, 1.0], True)])])],
            palette,
            1,
            "s",
        ),
        lengths([LengthPanel("p", "L2RE", [series], [(value, "×1")])], palette, 1, "s"),
    ):
        ElementTree.fromstring(svg)
        assert len(svg) < 20_000


def test_wrap_keeps_every_character() -> None:
    text = "activation=my.module:Snake+initialization=lsuv+" + "x" * 80
    lines = wrap(text, 120)
    assert len(lines) > 2
    assert "".join(lines) == text
