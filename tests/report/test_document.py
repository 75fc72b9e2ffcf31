"""The report as a page: whole, self-contained, and safe whatever the names in it are."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from sample_study import ARMS, PROBLEMS, constant, plan, records, results

from bench.report import document, pictures
from bench.report.answer import headline, ranking
from bench.report.results import Results
from bench.store.store import Store
from bench.task import Field, Illustration, Parity
from bench.text.errors import BadInput

ERRORS = constant({"baseline": 0.4, "irelu": None, "lsuv": 0.3, "irelu+lsuv": 0.2})
#: Elements that have no end.
_VOID = {"meta", "input", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """The elements of a page; refuses one that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def factorial() -> Results:
    cells = ["baseline", "lsuv", "irelu", "irelu+lsuv"]
    return results(ERRORS, plan(factors=["irelu", "lsuv"], cells=cells))


@pytest.fixture(scope="module")
def text(factorial: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    return document.html(factorial, Store(tmp_path_factory.mktemp("store")))


def test_a_page_needs_nothing_else(text: str) -> None:
    page = Page(text)
    for name, attributes in page.elements:
        for attribute in ("src", "href", "xlink:href", "data", "action"):
            value = attributes.get(attribute)
            assert value is None or value.startswith(("#", "data:image/")), (name, value)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 2_000_000


def test_only_the_pages_own_script_may_run(text: str) -> None:
    page = Page(text)
    (policy,) = (meta["content"] for meta in page.of("meta") if "http-equiv" in meta)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_first_screen_has_question_answer_and_figure(text: str, factorial: Results) -> None:
    head = text[: text.index("</header>")]
    assert factorial.plan.question in head
    assert headline(factorial) in head
    assert head.count("<svg") == 1
    found = re.findall(r"<li><b class=\"\w*\">([\w ]+)</b> (.*?):", head)
    assert found == [(f.verdict, f.comparison) for f in ranking(factorial)]


def test_whatever_can_be_saved_has_a_name_of_its_own(text: str) -> None:
    page = Page(text)
    for tag in ("figure", "table"):
        names = [element["data-name"] for element in page.of(tag)]
        assert names and all(names)
        assert len(set(names)) == len(names)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    # Its colours are those of paper: each variable that a figure uses has one there.
    used = set(re.findall(r"var\((--[\w-]+)", "".join(re.findall(r"<svg.*?</svg>", text))))
    (paper,) = re.findall(r":root, #paper \{(.*?)\}", text, re.DOTALL)
    assert used and used <= set(re.findall(r"(--[\w-]+):", paper))
    assert 'id="paper"' in text
    assert script.count('"use strict"') == 1
    assert "innerHTML" not in script and "eval(" not in script


def test_short_names_have_one_legend(tmp_path: Path) -> None:
    arm = "activation=mine:Snake"
    made = plan(["baseline", arm], problems=PROBLEMS[:1], names={"Snake": arm})
    found = records(made, constant({"baseline": 0.4, arm: 0.2}))
    text = document.html(Results(made.renamed(), found), Store(tmp_path))
    page = text[: text.index('id="run-table"')]  # whose commands have the arm as it is
    assert page.count(arm) == 1
    assert f"<dt>Snake</dt><dd>{arm}</dd>" in text


def test_all_sections_are_there(text: str) -> None:
    page = Page(text)
    there = {section["id"] for section in page.of("section")}
    assert there >= {"limits", "effects", "factorial", "problems", "curves", "time", "runs"}
    for link in page.of("a"):
        assert str(link["href"]).removeprefix("#") in there
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_every_run_is_a_row_with_its_command(text: str) -> None:
    table = text[text.index('id="run-table"') :]
    assert table.count("<tr>") == 1 + len(plan().runs)
    assert "diverged: the loss was nan at step 5" in table
    assert "python -m bench.suite pinn --arm &#39;irelu+lsuv&#39;" in table


def test_sorting_is_by_value(text: str) -> None:
    assert 'data-key="0.2' in text
    assert 'data-key="1e999"' in text  # an infinite ratio comes after every number


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "</svg><img src=x onerror=alert(1)>", "\"'&$x_1$"]
)
def test_a_name_is_never_markup(hostile: str, tmp_path: Path) -> None:
    arms = ["baseline", hostile]
    made = plan(arms, problems=[hostile], question=hostile, command=hostile, study="sample")
    there = {
        name: msgspec.structs.replace(
            record,
            reason=hostile,
            warnings=[hostile],
            environment={**record.environment, "cpu": hostile, "commit": hostile},
        )
        for name, record in records(made, lambda p, a, s: 0.1 if a == hostile else None).items()
    }
    text = document.html(Results(made, there), Store(tmp_path))
    page = Page(text)
    assert len(page.of("script")) == 1
    assert not [image for image in page.of("img") if "onerror" in image]
    if "<" in hostile:
        assert hostile not in text
    else:
        assert "&#34;&#39;&amp;$x_1$" in text


@pytest.mark.parametrize(
    "errors",
    [
        lambda p, a, s: "waiting",
        lambda p, a, s: None,
        lambda p, a, s: "failed",
        lambda p, a, s: 0.0,
        lambda p, a, s: 0.3 if a == "baseline" else "waiting",
        lambda p, a, s: 0.3 if s == 0 else "waiting",
    ],
)
def test_a_page_can_be_made_of_anything(
    errors: Callable[[str, str, int], float | str | None], tmp_path: Path
) -> None:
    small = plan(problems=PROBLEMS[:1])
    found = Results(small, records(small, errors))
    text = document.html(found, Store(tmp_path))
    page = Page(text)
    assert {"limits", "effects", "runs"} <= {section["id"] for section in page.of("section")}
    assert text[text.index('id="run-table"') :].count("<tr>") == 1 + len(small.runs)
    assert headline(found) in text


def test_a_problem_without_its_main_error_has_a_page(tmp_path: Path) -> None:
    """One of a user's own without a known solution has loss terms alone."""
    small = plan(problems=PROBLEMS[:1])
    there = {
        name: msgspec.structs.replace(record, metrics={"Lf": record.metrics["Lf"]}, history={})
        for name, record in records(small, ERRORS).items()
    }
    text = document.html(Results(small, there), Store(tmp_path))
    assert "No answer yet" in text
    assert '<section id="runs">' in text


def test_predictions_of_the_best_arms_are_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import numpy as np

    def drawn(record: object, store: Store) -> list[Illustration]:
        field = np.outer(np.arange(8.0), np.arange(9.0))
        values = np.arange(30.0)
        return [
            Field("u", ("x", "t"), (0.0, 1.0, 0.0, 2.0), "", field, field + 1),
            Parity("energy", "eV", values, values + 0.1),
        ]

    monkeypatch.setattr(pictures, "illustrations", drawn)
    small = plan(problems=PROBLEMS[:1])
    errors = constant({"baseline": 0.4, "irelu": None, "lsuv": 0.3, "irelu+lsuv": 0.2})
    found = Results(small, records(small, errors))
    text = document.html(found, Store(tmp_path))
    section = text[text.index('<section id="predictions">') : text.index('<section id="values">')]
    assert section.count("<figure ") == 2
    assert "irelu+lsuv" in section
    assert len(ARMS) == 4
    assert ">irelu<" not in section  # it has no network to draw


def test_a_page_that_cannot_be_written_is_one_line(factorial: Results, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot write"):
        document.write_html(factorial, Store(tmp_path), tmp_path / "file" / "page.html")
