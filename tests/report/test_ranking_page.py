"""The page of a ranking: its sections, what its script needs, and its size."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_ranking_figures import large_results, ranking_page, ranking_values
from sample_study import PROBLEMS, constant, plan, results

from bench.report import document
from bench.report.rendering import page
from bench.report.results import Results
from bench.report.tabulation import Table
from bench.store.store import Store

HOSTILE = "a<b>&\"'</script>"
ARMS = ["baseline", "irelu", HOSTILE]
#: Of a page of 12 arms, 12 problems and 10 seeds, in bytes.
MOST = 3_000_000
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
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    driven = text.replace(script, script + _DRIVER)
    driven = driven.replace(_digest(script), _digest(script + _DRIVER))
    (tmp_path / "page.html").write_text(driven)
    command = [str(CHROMIUM), "--no-sandbox", "--headless", f"--user-data-dir={tmp_path / 'user'}"]
    command += ["--window-size=1200,900", "--dump-dom", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (said,) = re.findall(r"<body[^>]*>(\{.*\})\s*</body>", done.stdout, re.DOTALL)
    out = json.loads(html.unescape(said))
    assert out["hidden"] and out["shown"] and out["closed"] and not out["saved"]
    assert out["rows"] >= 6
    assert set(out["pressed"]) == {"false"} and len(out["pressed"]) == out["rows"]
    assert HOSTILE not in out["without"]
    assert out["third"].startswith(HOSTILE)
    assert "learning rate: " in out["third"] and "L2RE: " in out["third"]
    assert out["touched"]


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_each_problem_takes_its_share_of_a_page() -> None:
    """Of 12 arms, in a twelfth of a page: two problems show what one more takes."""
    one, two = (len(ranking_page(large_results(12, k, 10)).encode()) for k in (1, 2))
    assert one + 11 * (two - one) < MOST


@pytest.mark.slow
def test_a_large_page_is_small(tmp_path: Path) -> None:
    large = large_results(12, 12, 10)
    assert len(ranking_page(large).encode()) < MOST
    assert len(document.html(large, Store(tmp_path)).encode()) < MOST
