"""The page of a ranking: its sections, what its script needs, and its size."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_ranking import falling, ranking, write
from sample_ranking_figures import large_results, ranking_page, ranking_values
from sample_study import PROBLEMS, constant, plan, results
from stored_runs import factors, filled, specs

from bench.report import document, pictures
from bench.report.difference.page import write_page as difference_page
from bench.report.difference.results import differences
from bench.report.difference.sides import read_side
from bench.report.figures.curves import Panel, Series, curves
from bench.report.figures.style import Palette
from bench.report.leaderboard.board import read_boards
from bench.report.leaderboard.page import write_page as board_page
from bench.report.pictures import Picture
from bench.report.ranking import document as of_ranking
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.report.ratios import Lost
from bench.report.rendering import page
from bench.report.results import Results
from bench.report.sheet import Section, sheet
from bench.report.shortening import MOST_BYTES, curve_points
from bench.report.tabulation import Cell, Table, factor
from bench.store.store import Store

HOSTILE = "a<b>&\"'</script>"
ARMS = ["baseline", "irelu", HOSTILE]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def found() -> Results:
    made = plan(ARMS, PROBLEMS[:2], names={"irelu": "activation=irelu"})
    return results(constant({"baseline": 0.4, "irelu": None, HOSTILE: 0.2}), made)


@pytest.fixture(scope="module")
def text(found: Results) -> str:
    return ranking_page(found)


def test_sections_stand_in_the_order_of_the_answer(text: str) -> None:
    order = ["limits", "profiles", "lengths", "tuning", "curves", "problems", "time"]
    order += ["values", "runs", "method"]
    assert re.findall(r'<section id="(\w+)">', text) == order
    assert re.findall(r'<a href="#(\w+)">', text) == order
    head = text[: text.index("</header>")]
    assert head.count("<svg") == 1
    assert 'data-name="ranks"' in head
    assert HOSTILE not in text


def test_an_arm_that_is_called_as_a_verdict_is_no_verdict(found: Results) -> None:
    table = Table("t", "T", ["arm", "verdict", "better"], [["worse", "better", "undecided"]])
    text = page("ranking.html", **{**ranking_values(found), "ranked": table})
    assert "<td>worse</td>" in text and '<td class="better">better</td>' in text
    assert "<td>undecided</td>" in text


def test_sections_without_anything_are_left_out(found: Results) -> None:
    values = {**ranking_values(found), "profiles": [], "tuning": [], "heat_map": None}
    values |= {"pareto": None, "tables": {}}
    text = page("ranking.html", **{**values, "first": None, "ranked": None})
    assert re.findall(r'<section id="(\w+)">', text) == [
        "limits", "lengths", "curves", "values", "runs", "method"
    ]  # fmt: skip


def test_every_value_belongs_to_an_arm_of_its_legend(text: str) -> None:
    figures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    readable = [svg for svg in figures if "data-panels" in svg]
    assert len(readable) >= 6
    for svg in readable:
        labels = set(re.findall(r'data-arm="(\d+)" data-legend="label"', svg))
        (data,) = re.findall(r'data-panels="([^"]*)"', svg)
        said = 0
        for panel in json.loads(html.unescape(data)):
            assert len(panel["box"]) == 4
            x: list[float] = []
            for curve in panel["curves"]:
                x = curve.get("x", x)
                assert str(curve["arm"]) in labels
                assert (
                    curve["y"] < said if isinstance(curve["y"], int) else len(curve["y"]) == len(x)
                )
                said += 1


def test_a_cell_has_a_key_only_where_it_does_not_show_it(text: str) -> None:
    for key, shown in re.findall(r'<td data-key="([^"]*)"[^>]*>([^<]*)</td>', text):
        assert html.unescape(key) != html.unescape(shown)


_DRIVER = """
const out = {};
const svg = document.querySelectorAll("svg[data-panels]")[2];
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
const button = document.querySelector('.arms button[data-arm="2"]');
const parts = [...document.querySelectorAll('.figure svg [data-arm="2"]')];
const hidden = () => parts.filter((part) => part.getAttribute("display") === "none").length;
out.rows = document.querySelectorAll(".arms").length;
button.click();
out.hidden = hidden() === parts.length && parts.length > 0;
out.pressed = [...document.querySelectorAll('.arms button[data-arm="2"]')]
  .map((one) => one.getAttribute("aria-pressed"));
press("ArrowRight");
press("ArrowDown");
press("ArrowDown");
out.without = tip.textContent;
button.click();
out.shown = hidden() === 0;
press("ArrowRight");
out.first = tip.textContent;
press("ArrowDown");
press("ArrowDown");
out.third = tip.textContent;
const { x, y, width, height } = ring.getBoundingClientRect();
press("Escape");
out.closed = tip.hidden;
const at = { clientX: x + width / 2 + 3, clientY: y + height / 2 + 2, pointerType: "touch" };
svg.dispatchEvent(new PointerEvent("pointerdown", at));
out.touched = tip.hidden ? "" : tip.textContent;
out.saved = svgText(svg).includes("data-panels") || svgText(svg).includes("screen");
document.body.replaceChildren(JSON.stringify(out));
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_the_script_in_a_browser(text: str, tmp_path: Path) -> None:
    out = in_browser(text, _DRIVER, tmp_path)
    assert out["hidden"] and out["shown"] and out["closed"] and not out["saved"]
    assert out["rows"] >= 6
    assert set(out["pressed"]) == {"false"} and len(out["pressed"]) == out["rows"]
    assert HOSTILE not in out["without"]
    assert out["third"].startswith(HOSTILE)
    assert "learning rate: " in out["third"] and "L2RE: " in out["third"]
    assert out["touched"]


def in_browser(text: str, driver: str, folder: Path) -> dict[str, Any]:
    """What a script after the page's own leaves in the body."""
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    driven = text.replace(script, script + driver)
    driven = driven.replace(_digest(script), _digest(script + driver))
    (folder / "page.html").write_text(driven)
    command = [str(CHROMIUM), "--no-sandbox", "--headless", f"--user-data-dir={folder / 'user'}"]
    command += ["--window-size=1200,900", "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (said,) = re.findall(r"<body[^>]*>(\{.*\})\s*</body>", done.stdout, re.DOTALL)
    found: dict[str, Any] = json.loads(html.unescape(said))
    return found


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_each_problem_takes_its_share_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 12 arms, in a twelfth of a page: two problems show what one more takes."""
    monkeypatch.setattr(pictures, "curve_points", lambda _, arms: curve_points(12, arms))
    one, two = (len(ranking_page(large_results(12, k, 10)).encode()) for k in (1, 2))
    assert one + 11 * (two - one) < MOST_BYTES


@pytest.mark.slow
def test_a_large_page_is_small(tmp_path: Path) -> None:
    large = large_results(12, 12, 10)
    assert len(ranking_page(large).encode()) < MOST_BYTES
    assert len(document.html(large, Store(tmp_path)).encode()) < MOST_BYTES


def columns_of(text: str) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """Of each sortable table: its name, and of each column its header and cells (attributes, key,
    text). The table of runs is made of numbers and names alone."""
    for name, body in re.findall(
        r'<table class="sortable[^"]*" data-name="([^"]*)">(.*?)</table>', text, re.DOTALL
    ):
        headers = re.findall(r"<th[^>]*><button[^>]*>(.*?)</button>", body)
        rows = [
            re.findall(r"<td([^>]*)>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", body)
        ]
        rows = [row for row in rows if row]
        for k, header in enumerate(headers):
            cells = []
            for row in rows:
                attributes, shown = row[k]
                key = re.search(r'data-key="([^"]*)"', attributes)
                number = 'class="number"' in attributes
                cells.append((attributes, key[1] if key else shown if number else "-", shown))
            yield name, header, cells


def kinds_of_pages(text: str, tmp_path: Path) -> list[str]:
    """A ranking, with ties, bounds and divergence; a study; a leaderboard; a difference."""
    store = Store(tmp_path / "store")
    errors = {"baseline": 0.4, "a": 0.8, "b": 4.2, "c": 0.2, "worse": None}
    made = write(ranking(arms=list(errors)), store, falling(errors))
    night = of_ranking.html(Findings(Ranked.read(made, store)), store)
    names = list(errors)
    study = document.html(results(constant(errors), plan(names, PROBLEMS[:2])), store)
    runs = filled(tmp_path / "runs", specs(names), factors(errors))
    more = filled(tmp_path / "more", specs(names, lr=0.1), factors({**errors, "c": 0.4}))
    board = board_page(read_boards(runs), tmp_path / "board.html").read_text()
    sides = [read_side(str(one.root), one) for one in (runs, more)]
    difference = difference_page(differences(*sides), tmp_path / "d.html").read_text()
    return [text, night, study, board, difference]


#: As a person sees a number at the beginning of a cell.
_LOOKS_NUMERIC = re.compile(r"^(&[lg]t;)? ?×?[-−]?(\d|∞)[\d.e-]*( |$|,|;)")


def test_every_column_that_looks_numeric_sorts_by_numbers(text: str, tmp_path: Path) -> None:
    seen = set()
    for page_ in kinds_of_pages(text, tmp_path):
        for name, header, cells in columns_of(page_):
            there = [cell for cell in cells if cell[2]]
            if 2 * sum(bool(_LOOKS_NUMERIC.match(shown)) for *_, shown in there) <= len(there):
                continue
            seen.add((name, header))
            for _, key, shown in there:
                assert key != "-", (name, header, shown)
                assert key == "" or math.isfinite(float(key)) or key.strip("-") == "1e999"
    assert {("ranking", "rank"), ("ranking", "L2RE"), ("ranking", "ms/step")} <= seen
    assert {("arms", "error ratio"), ("arms", "diverged"), ("effects", "error ratio")} <= seen


def test_only_a_verdict_has_the_colour_of_one(text: str, tmp_path: Path) -> None:
    """An arm is called ``worse``, too."""
    coloured = set()
    for page_ in kinds_of_pages(text, tmp_path):
        for name, header, cells in columns_of(page_):
            for attributes, _, shown in cells:
                for verdict in ("better", "worse", "equivalent", "mixed", "undecided"):
                    if f'class="{verdict}"' in attributes:
                        assert shown == verdict and header in ("verdict", "B is", "in A", "in B")
                        coloured.add((name, header))
    assert {("ranking", "verdict"), ("arms", "verdict"), ("arms", "B is")} <= coloured


_TABLE_DRIVER = """
const T = document.querySelector("table.sortable");
const out = {};
for (const [k, name] of ["ratio", "rank", "negative"].entries()) {
  T.querySelectorAll("th button")[k + 1].click();
  out[name] = [...T.tBodies[0].rows].map((row) => row.cells[0].textContent).join("");
}
out.csv = csvText(T);
document.body.replaceChildren(JSON.stringify(out));
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_tables_sort_and_save_numbers(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [
        ["a", factor(10.5), "1 (1–2)", -0.5],
        ["b", factor(2.0), "10 (9–12)", -0.25],
        ["c", factor(0.123456789), "2 (1–3)", 3],
        ["d", Lost("7 of 9 diverged", math.inf), "", None],
        ["=e", factor(1.0), "3 (3–3)", -3],
    ]
    table = Table("t", "T", ["arm", "ratio", "rank", "negative"], rows)
    text = sheet("T", [], [Section("S", [], [table])])
    out = in_browser(text, _TABLE_DRIVER, tmp_path)
    assert out["ratio"] == "c=ebad"
    assert out["rank"] == "ac=ebd"
    assert out["negative"] == "=eabcd"
    found = {row[0]: row[1:] for row in csv.reader(io.StringIO(str(out["csv"])))}
    assert found["a"] == ["10.5", "1 (1–2)", "-0.5"]
    assert found["b"] == ["2.0", "10 (9–12)", "-0.25"]
    assert found["c"] == ["0.123456789", "2 (1–3)", "3"]
    assert found["d"] == ["7 of 9 diverged", "", ""]
    assert found["'=e"] == ["1.0", "3 (3–3)", "-3"]


_HOVER_DRIVER = """
const svg = document.querySelector("svg[data-panels]");
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
press("ArrowRight");
press("ArrowRight");
const out = { second: tip.textContent };
document.body.replaceChildren(JSON.stringify(out));
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_hover_shows_steps_as_they_are(tmp_path: Path) -> None:
    x, y = np.array([0.0, 12345.0, 30000.0]), np.array([1.0, 0.123456, 0.01])
    panel = Panel("p", "steps", "L2RE", [Series("baseline", x, y, y, y)])
    drawn = Picture("Curve", curves([panel], Palette(["baseline"]), 1, "c"), "")
    text = page("ranking.html", **{**ranking_values(results(
        constant({"baseline": 0.4, "irelu": 0.2}), plan(["baseline", "irelu"], PROBLEMS[:1]))),
        "first": drawn, "profiles": []})  # fmt: skip
    out = in_browser(text, _HOVER_DRIVER, tmp_path)
    assert "steps: 12345L2RE: 0.1235" in str(out["second"])
