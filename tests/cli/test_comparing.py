"""``python -m bench.suite report A B`` and ``leaderboard``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from stored_runs import factors, filled, ranked, specs

from bench.suite import main

ERRORS = factors({"baseline": 1.0, "irelu": 0.5})


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = filled(tmp_path / "one", specs(["baseline", "irelu"]), ERRORS)
    ranked(store, {"baseline": 1e-3, "irelu": 3e-3}, ERRORS)
    shutil.copytree("one", "two")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_equal_stores_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "report", "one", "two")
    assert "A and B are equal to the last bit: 30 runs." in out
    assert "reports" not in {path.name for path in Path("one").iterdir()}


def test_formats_and_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    two = ["report", "one", "one:night"]
    assert "learning rate" in printed(capsys, *two, "--format", "md")
    csv = printed(capsys, *two, "--format", "csv")
    assert csv.splitlines()[0].startswith("arm,B is,error ratio")
    assert len(csv.splitlines()) == 3
    runs = printed(capsys, *two, "--format", "csv", "--table", "runs")
    assert len(runs.splitlines()) == 31
    assert "toprule" in printed(capsys, *two, "--format", "latex", "--table", "arms")
    assert printed(capsys, *two, "--html", "page.html") == "page.html\n"
    assert "B against A" in Path("page.html").read_text()


def test_names_are_those_of_the_store_that_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "report", "night", "two:night", "--out", "one")
    assert "equal to the last bit: 30 runs" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "one"], "compares two sides and got one"),
        (["report", "one", "tow"], "'tow' is no store of results"),
        (["report", "one", "tow/"], "there is no store of results in 'tow'; did you mean 'two'"),
        (["report", "one", "two:nite"], "did you mean 'night'"),
        (["report", "one", "two", "--study", "x"], "report A B and --study exclude each other"),
        (["report", "one", "two", "--format", "md", "--table", "arm"], "did you mean 'arms'"),
        (["report", "one", "two", "--format", "markdown"], "allowed: csv, latex, md"),
        (["report", "one", "two", "--suite", "pin"], "did you mean 'pinn'"),
        (["report", "one", "two", "--table", "arms"], "--table arms needs --format"),
        (["report", "one", "two", "--html", "."], "is a directory"),
        (["report", "one", "two", "--html", "one/runs/x.html/y.html"], ""),
        (["report", "one", "two", "three"], "three"),
        (
            ["report", "one", "two", "--format", "csv", "--table", "conditions"],
            "there is no table 'conditions': it would be empty",
        ),
        (["leaderboard", "--out", "none"], "no runs in 'none'"),
        (["leaderboard", "--out", "one", "--budget", "quik"], "did you mean 'quick'"),
        (["leaderboard", "--out", "one", "--suite", "molecular"], "no runs of 'molecular'"),
        (["leaderboard", "--out", "one", "--format", "csv"], "unknown --format 'csv'"),
        (["leaderboard", "--out", "one", "--format", "md", "--html", "x"], "exclude each other"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    if not said:
        Path("one/runs/x.html").touch()
        said = "cannot write"
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert sorted(Path().rglob("*")) == before


def test_a_leaderboard_in_three_forms(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "leaderboard", "--out", "one")
    assert "pinn · budget quick · protocol standard · cpu · float32" in out
    assert "tuning trials (24)" in out
    markdown = printed(capsys, "leaderboard", "--out", "one", "--format", "md")
    assert markdown == printed(capsys, "leaderboard", "--out", "two", "--format", "md")
    assert markdown.startswith("# Leaderboard\n\n## pinn")
    page = printed(capsys, "leaderboard", "--out", "one", "--html", "board.html")
    assert page == "board.html\n"
    assert "Leaderboard" in Path("board.html").read_text()


@pytest.mark.parametrize(
    "arguments", [["report", "one", "two"], ["leaderboard", "--out", "one", "--budget", "x"]]
)
def test_neither_needs_torch(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    probe = (
        "import sys\n"
        "from bench.suite import main\n"
        "main(sys.argv[1:])\n"
        "print('IMPORTED', sorted({'torch', 'pandas'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "IMPORTED []"
