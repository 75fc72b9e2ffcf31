"""A ranking on the terminal and as a page: whole, and safe whatever the names in it are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sample_ranking import Scores, falling, ranking, write
from sample_study import PROBLEMS

from bench.ranking.ranking import Ranking
from bench.report import pictures
from bench.report.ranking import document
from bench.report.ranking.answer import print_ranking
from bench.report.ranking.document import html, write_ranking
from bench.report.ranking.findings import Findings
from bench.report.ranking.ranked import Ranked
from bench.store.record import decode, encode
from bench.store.store import Store
from bench.task import Field
from bench.text.errors import BadInput

ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4}
EVIL = "Snake<script>alert(1)</script>&amp;"
_VOID = {"meta", "input", "link", "br", "hr", "img"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def page(made: Ranking, store: Store, scores: Scores | None = None) -> str:
    write(made, store, scores or falling(ERRORS))
    return html(Findings(Ranked.read(made, store)), store)


class Closed(HTMLParser):
    """Refuses a page with an element that is not closed, and counts the others."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script"
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [found["href"]] if tag == "a" and found.get("href") else []
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag


def test_the_page_opens_with_the_verdict(store: Store) -> None:
    text = page(ranking(), store)
    places = [
        text.index(part)
        for part in (
            "Where does irelu rank?",
            "irelu is better: better on 3 of 3 problems",
            'data-name="Ranking"',
            "What limits the answer",
            "Performance profiles",
            "Length of training",
            "Tuning",
            "Learning curves",
            "Method",
        )
    ]
    assert places[:4] == sorted(places[:4])
    parsed = Closed(text)
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_names_are_no_markup(store: Store) -> None:
    text = page(ranking(names={"irelu": EVIL}), store)
    assert Closed(text).scripts == 1
    assert "<script>alert" not in text
    assert "Snake&lt;script&gt;" in text


def test_the_command_that_makes_it_again_is_there(store: Store) -> None:
    made = ranking()
    assert f"report --ranking {made.key} --out" in page(made, store)


@pytest.mark.parametrize("what", ["nothing", "trials", "half", "reference", "diverged", "all"])
def test_there_is_a_page_at_every_moment(store: Store, what: str) -> None:
    def scores(problem: str, arm: str, seed: int, share: float) -> float | str | None:
        found = falling(ERRORS)(problem, arm, seed, share)
        waiting = {
            "nothing": True,
            "half": bool(seed % 2),
            "reference": arm != "baseline",
            "diverged": False,
        }
        if what in ("diverged", "all"):
            return None if what == "all" or (problem, arm) == (PROBLEMS[0], "irelu") else found
        return "waiting" if waiting[what] else found

    made = ranking()
    if what == "trials":
        made = msgspec.structs.replace(made, lengths=[], choices=[])
    text = page(made, store, falling(ERRORS) if what == "trials" else scores)
    Closed(text)
    expected = {"half": "So far: ", "diverged": "irelu is mixed", "all": "15 of 15 diverged"}
    assert expected.get(what, "No answer yet") in text
    text = text.replace("the loss was nan", "")
    assert "nan" not in re.sub(r"<script>.*?</script>|<style>.*?</style>|<svg.*?</svg>", "", text,
                               flags=re.DOTALL)  # fmt: skip


def test_a_ranking_of_the_reference_alone_has_a_page(store: Store) -> None:
    text = page(ranking(arms=("baseline",)), store)
    Closed(text)
    assert "How do the arms rank?" in text


def test_every_cell_of_a_table_wider_than_paper_has_its_name_for_printing(store: Store) -> None:
    text = page(ranking(), store)
    tables = re.findall(r"<table class=\"sortable[^>]*>.*?</table>", text, flags=re.DOTALL)
    wide = [table for table in tables if table.count("<th ") > 16]
    assert any('data-name="standings"' in table for table in wide)
    for table in tables:
        named = table.count("<td") if table in wide else 0
        assert table.count("data-label=") == named and (" wide" in table[:60]) == (table in wide)


def test_several_candidates_each_have_a_sentence(store: Store) -> None:
    text = page(ranking(candidates=["irelu", "lsuv"]), store)
    assert "Where do irelu and lsuv rank?" in text
    assert "<p>irelu is better" in text and "<p>lsuv and baseline are equivalent" in text


def test_the_answer_on_the_terminal(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    made = write(ranking(at_edge=True), store, falling(ERRORS), step_ms={"irelu": 2.0})
    path = print_ranking(made, store)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line]
    assert lines[0].startswith("irelu is better: better on 3 of 3 problems; rank 1 (1 to 1) of 3")
    row = next(line.split() for line in lines if line.startswith(" irelu"))
    assert row[:4] == ["irelu", "better", "1", "(1–1)"] and row[-1] == "×2.00"
    assert out.index("irelu is best at the edge") > out.index("×2.00")
    assert lines[-2] == f"report: {path}"
    assert lines[-1].endswith(f"report --ranking {made.key} --out {store.root}")
    assert path == store.root / "reports" / f"{made.key}.html" and path.exists()


def test_without_results_the_terminal_shows_the_trials(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    made = msgspec.structs.replace(ranking(), lengths=[])
    print_ranking(write(made, store, falling(ERRORS)), store)
    out = capsys.readouterr().out
    assert "No answer yet" in out and "Nothing is scored yet: 54 of 54 trials" in out


def test_a_page_that_cannot_be_written_is_refused(store: Store, tmp_path: Path) -> None:
    made = write(ranking(), store, falling(ERRORS))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        write_ranking(Findings(Ranked.read(made, store)), store, tmp_path / "file" / "page.html")


def test_a_long_table_says_how_to_get_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "_MOST_CELLS", 100)
    monkeypatch.setattr(document, "_MOST_RUN_CELLS", 100)
    text = page(ranking(), store)
    for name in ("targets", "lengths", "tuning", "runs"):
        assert f"--format csv --table {name}" in text, name
    # What is over all problems stays.
    assert "<td>both 3</td>" in text


def field(name: str) -> Field:
    """A field as a network predicts it: smooth, with an error of several scales."""
    x, t = np.meshgrid(*[np.linspace(0, 1, 128)] * 2)
    reference = np.sin(9 * (x - t))
    scales = [np.cos((7 * k * x + 11 * t) * k + k) / k for k in range(1, 4)]
    predicted = reference + 0.1 * np.sum(scales, axis=0)
    return Field(name, ("x", "t"), (0.0, 1.0, 0.0, 1.0), "", reference, predicted)


@pytest.mark.slow
def test_a_page_of_a_large_ranking_opens(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that a real one has: trials, other lengths, long curves and names, predictions."""
    both = [field("u"), field("v")]
    monkeypatch.setattr(pictures, "illustrations", lambda record, store: both)
    arms = ["baseline", *(f"activation=mine.own:Snake{k}+featurewise" for k in range(11))]
    problems = [f"problem-number-{k}" for k in range(12)]
    scores = falling({arm: 0.4 * (1 + 0.1 * k) for k, arm in enumerate(arms)}, spread=0.3)
    made = write(ranking(arms=arms, problems=problems, seeds=range(10)), store, scores)
    rng = np.random.default_rng(0)
    for path in store.root.rglob("record.json"):
        one = decode(path.read_bytes())
        last = one.metrics["L2RE"].final
        curve = (np.geomspace(1.0, last or 1.0, 101) * np.exp(rng.normal(0, 0.2, 101))).tolist()
        steps = [10.0 * k for k in range(101)]
        seconds = (np.arange(101) * 0.1371).tolist()
        path.write_bytes(
            encode(
                msgspec.structs.replace(
                    one,
                    history={"step": steps, "seconds": seconds, "L2RE": curve},
                    losses={"step": steps, "loss": curve},
                )
            )
        )
    text = html(Findings(Ranked.read(made, store)), store)
    assert "prediction-0-0" in text
    assert len(text.encode()) < 3_000_000
