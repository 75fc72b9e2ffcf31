"""``python -m bench.suite rank`` and `bench.rank`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rank_suite
from command_server import run

import bench
from bench.ranking.ranking import Ranking, rankings
from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main

WHERE = ["--suite", "ranked", "--device", "cpu", "--jobs", "1", "--out", "store"]
ASK = ["--candidate", "irelu", "--against", "baseline", "--problem", "near", "--seeds", "3"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which the suite is installed, for subprocesses too."""
    import torch._dynamo  # as the first optimiser does

    gc.freeze()  # or each run would look through all of torch for garbage
    rank_suite.use(tmp_path, monkeypatch)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    del torch


def test_a_ranking_from_the_command_line_to_the_answer(folder: Path) -> None:
    """In a process of its own; the same from Python finds every run."""
    command = [sys.executable, "-m", "bench.suite", "rank", *ASK, *WHERE, "--hours", "30min"]
    ended = run(command, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Nothing is decided about irelu: " in ended.stdout
    for said in (
        "2 arms (baseline, irelu)",
        "all ends about",
        "trials of the first settings: 12 of 12 runs to do",
        "scored seeds up to 3: 6 of 6 runs to do",
    ):
        assert said in ended.stderr
    (kept,) = rankings(Store(Path("store")))
    assert kept.command == (
        "python -m bench.suite rank --candidate irelu --against baseline --suite ranked"
        " --problem near --hours 30min --seeds 3 --device cpu"
    )
    assert kept.times.ended is not None and kept.times.hours == 0.5
    assert len(kept.runs_of(1.0)) == 6 and len(kept.choices) == 2

    os.environ["RANK_JOURNAL"] = str(folder / "journal")
    try:
        found = bench.rank(
            "irelu",
            against="baseline",
            suite="ranked",
            problems="near",
            seeds=3,
            hours="30min",
            device="cpu",
            jobs=1,
            store="store",
            progress=False,
        )
    finally:
        del os.environ["RANK_JOURNAL"]
    assert not (folder / "journal").exists()
    assert _runs(found.rankings[0]) == _runs(kept)
    assert "irelu" in found.answer and repr(found) == found.answer


def _runs(ranking: Ranking) -> object:
    return ranking.key, ranking.choices, ranking.lengths, ranking.trials


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = ["--candidate", "irelu", "--hours", "2", "--problem", "near"]
    assert main(["rank", *mine, *WHERE, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and not list(folder.iterdir())
    # The suite's networks have no normalisation layer, and their rescaling is 1.
    assert "denorm is left out: it is the same run as baseline everywhere" in err
    assert (
        "'quick': near" in err
        and "every arm is scored on 20 seeds, and on 5 seeds also trained for" in err
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs a --candidate"),
        (["--candidate", "ireluu"], "did you mean 'irelu'"),
        (["--candidate", "irelu", "--hours", "0"], "--hours"),
        (["--candidate", "irelu", "--hours=-1"], "--hours"),
        (["--candidate", "irelu", "--hours", "nan"], "--hours"),
        (["--candidate", "irelu", "--seeds", "0"], "--seeds must be from 1"),
        (["--candidate", "irelu", "--budget", "quik"], "did you mean 'quick'"),
        (["--candidate", "irelu", "--problem", "neer"], "neer"),
        (["--candidate", "irelu --flor 2"], "did you mean '--floor'"),
        (["--candidate", "irelu", "--options", "--flor 2"], "did you mean '--floor'"),
        (["--candidate", "irelu", "--lr", "-1"], "lr must be positive"),
        (["--candidate", "activation=no_module:Thing"], "no_module"),
        (["--candidate", "irelu", "--floor", "2"], "--options '--floor"),
        (["--candidate", "irelu", "--hours", "1min", "--steps", "100000000"], "too short"),
        (
            ["--candidate", "baseline --steps 160"],
            "trains for 160 steps, 'baseline' for 40 on near",
        ),
        (["--candidate", "baseline --evaluations 7"], "is evaluated 7 times, 'baseline' 1 times"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rank", *words, *WHERE]) == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if "measuring" not in line]
    assert out == "" and len(errors) == 1 and said in errors[0]
    assert not list(folder.iterdir())


def test_bad_input_from_python(folder: Path) -> None:
    with pytest.raises(bench.BadInput, match="did you mean 'floor'"):
        bench.rank("irelu", suite="ranked", flor=2)
    with pytest.raises(bench.BadInput, match="unknown suite"):
        bench.rank("irelu", suite="rankd")
    with pytest.raises(bench.BadInput, match="'problem'; did you mean 'problems'"):
        bench.rank("irelu", suite="ranked", problem="near")  # type: ignore[arg-type]
    for own in (Path, [Path], 3, ["irelu", Path], lambda x: x):
        with pytest.raises(bench.BadInput, match="an arm is a text such as") as error:
            bench.rank(own, suite="ranked")  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
        with pytest.raises(bench.BadInput, match="against: an arm is a text such as"):
            bench.rank("irelu", against=own, suite="ranked")  # type: ignore[arg-type]
    with pytest.raises(bench.BadInput, match="no suite has"):
        bench.rank("irelu", problems="no-such-problem")
    assert not list(folder.iterdir())


def test_an_interrupted_night_says_how_to_go_on_and_where_the_answer_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object, **options: object) -> tuple[list[Record], str]:
        return [], "signal"

    monkeypatch.setattr("bench.ranking.night.find_or_run", interrupted)
    assert main(["rank", *ASK, *WHERE]) == 130
    (kept,) = rankings(Store(folder / "store"))
    err = capsys.readouterr().err
    assert "the same command continues" in err
    assert f"report --ranking {kept.key} --out store" in err


def test_a_night_without_enough_time_says_that_nothing_is_scored(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*given: object, **options: object) -> tuple[list[Record], str]:
        return [], "time"

    monkeypatch.setattr("bench.ranking.night.find_or_run", late)
    assert main(["rank", *ASK, *WHERE]) == 0
    out, err = capsys.readouterr()
    assert "No answer yet: no arm can be compared" in out and "more --hours" in err
