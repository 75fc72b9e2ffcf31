"""``python -m bench.suite report --ranking``: a page or tables, also while runs go on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sample_ranking import falling, ranking, write

from bench.ranking.ranking import Ranking
from bench.store.store import Store
from bench.suite import main

ERRORS = {"baseline": 0.4, "irelu": 0.2, "lsuv": 0.4}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ranking:
    monkeypatch.chdir(tmp_path)
    return write(ranking(), Store(Path("store")), falling(ERRORS))


def report(*words: str) -> int:
    return main(["report", "--out", "store", *words])


@pytest.mark.parametrize("name", ["night", "key"])
def test_a_page_by_name_or_key(
    made: Ranking, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--ranking", made.key if name == "key" else name) == 0
    page = Path(f"store/reports/{made.key}.html")
    assert capsys.readouterr().out == f"{page}\n"
    assert "irelu is better: better on 3 of 3 problems" in page.read_text()


def test_a_page_where_it_is_wanted(made: Ranking) -> None:
    assert report("--ranking", "night", "--html", "page.html") == 0
    assert "Where does irelu rank?" in Path("page.html").read_text()


def test_a_report_while_nothing_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = msgspec.structs.replace(ranking(), lengths=[], choices=[])
    write(made, Store(Path("store")), falling(ERRORS))
    assert report("--ranking", "night", "--html", "page.html") == 0
    text = Path("page.html").read_text()
    assert "No answer yet" in text and "54 of 54 trials have a result" in text


def test_tables_are_printed(made: Ranking, capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--ranking", "night", "--format", "csv") == 0
    out = capsys.readouterr().out
    assert out.startswith("arm,verdict,rank,") and "\nirelu,better,1," in out.replace("\r", "")
    assert report("--ranking", "night", "--format", "md") == 0
    assert "### Ranks by other criteria" in capsys.readouterr().out
    assert report("--ranking", "night", "--format", "csv", "--table", "runs") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 180


def test_two_suites_are_two_reports(made: Ranking, capsys: pytest.CaptureFixture[str]) -> None:
    write(ranking(suite="molecular"), Store(Path("store")), falling(ERRORS))
    assert report("--ranking", "night") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert report("--ranking", "night", "--html", "page.html") == 2
    assert "--ranking" in capsys.readouterr().err
    assert report("--ranking", "night", "--suite", "pinn", "--html", "page.html") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ranking", "nigth"], "'night'"),
        (["--ranking", ""], "''"),
        (["--ranking", "../night"], "../night"),
        (["--ranking", "night", "--suite", "pin"], "'pinn'"),
        (["--ranking", "night", "--budget", "quik"], "'quick'"),
        (["--ranking", "night", "--study", "paper"], "--study"),
        (["--ranking", "night", "--format", "csv", "--table", "standing"], "'standings'"),
        (["--ranking", "night", "--table", "standings"], "--format"),
        (["--ranking", "night", "--format", "csv", "--table", "published"], "'published'"),
        (["--format", "csv", "--table", "standings"], "'standings'"),
    ],
)
def test_bad_input_is_one_line(
    made: Ranking, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err
    assert not Path("store/reports").exists()
