"""What the page's script finds in a figure: arms to switch, and the values of curves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.style import Palette

ARMS = ("baseline", "irelu", "x<script>")
X = np.linspace(0, 100, 11)


def _drawn(series: Sequence[Series], **how: Any) -> ElementTree.Element:
    return ElementTree.fromstring(
        curves([Panel("p", "steps", "L2RE", series, **how)] * 2, Palette(ARMS), 2, "s")
    )


def _panels(root: ElementTree.Element) -> list[dict[str, Any]]:
    found = json.loads(root.get("data-panels", "[]"))
    assert isinstance(found, list)
    return found


def _falling(arm: str, rate: float = 0.1) -> Series:
    middle = np.exp(-rate * X / 5)
    return Series(arm, X, middle, 0.5 * middle, 2 * middle)


def test_every_arm_of_the_legend_can_be_switched() -> None:
    root = _drawn([_falling(arm, 0.1 * k) for k, arm in enumerate(ARMS, 1)])
    parts: dict[str, list[str]] = {}
    for element in root.iter():
        if arm := element.get("data-arm"):
            parts.setdefault(arm, []).append(element.get("data-legend", "curve"))
    # In each of two panels a band and a line.
    once = ["curve"] * 4 + ["label", "sample"]
    assert {arm: sorted(kinds) for arm, kinds in parts.items()} == dict.fromkeys("012", once)
    labels = {
        e.get("data-arm"): "".join(e.itertext())
        for e in root.iter()
        if e.get("data-legend") == "label"
    }
    assert labels == {str(k): arm for k, arm in enumerate(ARMS)}
    for sample in (e for e in root.iter() if e.get("data-legend") == "sample"):
        # The button's picture is cut out around it.
        marks = [e for e in sample.iter() if e.tag.endswith("use")]
        assert len(marks) == 1 and {"x", "y"} <= set(marks[0].attrib)


def test_readings_are_the_curves() -> None:
    series = _falling("irelu")
    first, second = _panels(_drawn([series]))
    (curve,) = first["curves"]
    assert curve["arm"] == 1
    assert curve["x"] == X.tolist()
    assert curve["y"] == pytest.approx(series.middle, rel=1e-3)
    # The second panel has the same values, which are said once.
    assert second["curves"][0]["y"] == 0
    assert (first["x"]["name"], first["y"]["name"]) == ("steps", "L2RE")


@pytest.mark.parametrize("logarithmic", [True, False])
def test_readings_lie_on_the_drawn_line(logarithmic: bool) -> None:
    """The script finds a point in px from box, axis and value; the path says where it is."""
    series = _falling("irelu") if logarithmic else Series("irelu", X, -X, -X, -X)
    root = _drawn([series])
    panel = _panels(root)[0]
    assert panel["y"]["log"] is logarithmic
    line = next(
        element
        for element in root.iter()
        if "stroke:#d55e00" in element.get("style", "") and _in_panel(element, panel)
    )
    start = [float(v) for v in re.findall(r"[\d.]+", line.get("d", ""))[:2]]
    left, top, width, height = panel["box"]
    x, y = panel["curves"][0]["x"][0], panel["curves"][0]["y"][0]
    found = [
        left + width * _share(panel["x"], x),
        top + height * (1 - _share(panel["y"], y)),
    ]
    assert found == pytest.approx(start, abs=0.6)


def _in_panel(path: ElementTree.Element, panel: dict[str, Any]) -> bool:
    """Whether a path begins below the panel's top: the legend's sample does not."""
    numbers = re.findall(r"[\d.]+", path.get("d", ""))
    return len(numbers) > 1 and float(numbers[1]) >= panel["box"][1]


def _share(axis: dict[str, Any], value: float) -> float:
    of = math.log if axis["log"] else float
    low, high = map(of, axis["ends"])
    return (of(value) - low) / (high - low)


def test_what_is_not_drawn_cannot_be_read() -> None:
    middle = np.array([1.0, math.nan, math.inf, 0.0, *np.full(7, 0.5)])
    panel = _panels(_drawn([Series("irelu", X, middle, middle, middle)]))[0]
    (curve,) = panel["curves"]
    assert len(curve["x"]) == len(curve["y"]) == 8
    assert curve["x"][:2] == [0, 40]
    everything_lost = Series("irelu", X, X * math.nan, X, X)
    assert _panels(_drawn([everything_lost]))[0]["curves"] == []


@pytest.mark.parametrize("steps", [[0, 12345, 1234567], [0, 7, 123456789]])
def test_steps_are_read_as_they_are(steps: list[int]) -> None:
    x, middle = np.array(steps, dtype=float), np.array([1.0, 0.5, 0.25])
    (curve,) = _panels(_drawn([Series("irelu", x, middle, middle, middle)]))[0]["curves"]
    assert curve["x"] == steps
    # What is measured has six digits.
    (curve,) = _panels(_drawn([Series("irelu", x + 0.123456789, middle, middle, middle)]))[0][
        "curves"
    ]
    assert curve["x"][0] == 0.123457
