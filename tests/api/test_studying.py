"""`bench.study`: the command's runs, findings and page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import toy_suite

import bench
from bench.store.store import Store
from bench.studies.plan import plans
from bench.suite import main

STUDY = """question = "Does it help?"

[[part]]
suite = "lone"
arms = ["baseline", "irelu", "irelu --lr 0.1"]
steps = 6
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(STUDY)
    return tmp_path


def test_a_study_is_run_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = bench.study("mine.toml", seeds=3, jobs=1)
    assert "0.5" not in study.answer and "irelu" in study.answer
    assert repr(study) == study.answer
    frame = study.frame()
    assert len(frame) == 9 and set(frame["steps"]) == {6}
    compared = study.compare()
    assert list(compared["arm"]) == ["irelu", "irelu --lr 0.1"]
    assert set(compared["reference"]) == {"baseline"} and set(compared["pairs"]) == {3}
    assert set(study.curves("error")["metric"]) == {"error"}
    page = study.report(folder / "mine.html").read_text()
    assert "Does it help?" in page

    # The same plan as the command's, which finds every run.
    capsys.readouterr()
    assert main(["study", "mine.toml", "--seeds", "3", "--jobs", "1"]) == 0
    assert "all 9 runs are in" in capsys.readouterr().err
    (plan,) = plans(Store(Path("bench-results")))
    assert plan.command == "python -m bench.suite study mine.toml --suite lone --seeds 3"


def test_options_of_training_and_of_the_suite_reach_the_runs(folder: Path) -> None:
    study = bench.study("mine.toml", seeds=[4], steps=3, diverge=4, jobs=1)
    assert set(study.frame()["seed"]) == {4} and set(study.frame()["steps"]) == {3}
    (part,) = study.parts
    assert part.plan.options == "--steps 3 --diverge 4"
    assert all("--diverge 4" in run.command for run in part.plan.runs)


def test_it_is_extended(folder: Path) -> None:
    bench.study("mine.toml", seeds=1, jobs=1)
    study = bench.study("mine.toml", seeds=3, jobs=1, progress=False)
    assert len(study.frame()) == 9
    again = bench.study("mine.toml", jobs=1, seeds=2)
    pd.testing.assert_frame_equal(study.compare(), again.compare())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"name": "mien"}, "unknown study 'mien'"),
        ({"name": "mine"}, "unknown study 'mine': did you mean the file 'mine.toml'?"),
        ({"name": "mine.toml", "suite": "pinn"}, "unknown suite of the study 'mine': 'pinn'"),
        ({"name": "mine.toml", "epochs": 3}, "it is called 'steps' here"),
        ({"name": "mine.toml", "fial": "x"}, "did you mean 'fail'?"),
    ],
)
def test_bad_input(folder: Path, call: dict[str, object], said: str) -> None:
    with pytest.raises(bench.BadInput) as raised:
        bench.study(**call)  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert not (folder / "bench-results").exists()


def test_a_page_is_of_one_suite(folder: Path) -> None:
    (folder / "both.toml").write_text(STUDY + STUDY.partition("\n\n")[2].replace("lone", "toy"))
    study = bench.study("both.toml", seeds=1, jobs=1)
    assert [part.plan.suite for part in study.parts] == ["lone", "toy"]
    assert set(study.compare()["suite"]) == {"lone", "toy"}
    with pytest.raises(bench.BadInput, match="this study has lone, toy: name one"):
        study.report("both.html")
