"""``python -m bench.suite study`` and ``report`` on suites that train in no time."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any

import msgspec
import pytest
import toy_suite
from command_server import Popen, run

from bench.store.record import Metric
from bench.store.store import Store
from bench.studies.plan import plans
from bench.suite import main

STUDY = """
question = "Does it help?"

[[part]]
suite = "lone"
arms = ["baseline", "irelu", "irelu --lr 0.1"]
problems = ["sine", "cosine"]
"""
RUNS = 3 * 2


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy suites are installed, for subprocesses too, and the study is there."""
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are not drawn, which takes seconds."""

    def plain(results: Any, store: Store, path: Path | None) -> Path:
        return path or store.root / "reports" / f"{results.plan.key}.html"

    monkeypatch.setattr("bench.report.document.write_html", plain)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the study of two seeds."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "mine.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        toy_suite.use(folder, patch)
        patch.chdir(folder)
        study("--seeds", "2")
    return folder / "store"


@pytest.fixture
def store(two_seeds: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(two_seeds, tmp_path / "store")


def study(*arguments: str, code: int = 0) -> None:
    where = ["--device", "cpu", "--jobs", "1", "--out", "store"]
    assert main(["study", "mine.toml", *where, *arguments]) == code


def started(store: Path) -> dict[str, str]:
    """When each finished run was started."""
    return {record.spec_hash: record.started for record in Store(store).records()}


def test_a_study_runs_reports_and_says_what_it_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study("--seeds", "3")
    out, err = capsys.readouterr()
    assert f"3 arms × 2 problems × 1 model × 3 seeds: {3 * RUNS} runs, {3 * RUNS} to do" in err
    assert "Does it help?" in out
    assert "irelu --lr 0.1" in out
    page = tmp_path / "store/reports/mine-lone-quick.html"
    assert f"report: {page.relative_to(tmp_path)}" in out
    assert "Does it help?" in page.read_text()
    assert len(started(tmp_path / "store")) == 3 * RUNS


@pytest.mark.usefixtures("page")
def test_more_seeds_run_only_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study("--seeds", "1")
    before = started(tmp_path / "store")
    capsys.readouterr()
    study("--seeds", "2")
    err = capsys.readouterr().err
    assert f"{2 * RUNS} runs, {RUNS} to do" in err
    after = started(tmp_path / "store")
    assert len(after) == 2 * RUNS
    assert before.items() <= after.items()
    study("--seeds", "2")
    assert f"all {2 * RUNS} runs are in store" in capsys.readouterr().err
    assert started(tmp_path / "store") == after


@pytest.mark.usefixtures("page")
def test_a_study_on_two_suites_stops_at_the_first_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    part = STUDY[STUDY.index("[[part]]") :]
    Path("mine.toml").write_text(STUDY + part.replace('"lone"', '"toy"'))
    monkeypatch.setenv("TOY_INTERRUPT", "0@30")
    study("--seeds", "1", code=130)
    err = capsys.readouterr().err
    assert "study mine on lone" in err
    assert "study mine on toy" not in err
    monkeypatch.setenv("TOY_INTERRUPT", "")
    study("--seeds", "1")
    assert {plan.suite for plan in plans(Store(tmp_path / "store"))} == {"lone", "toy"}
    assert len(started(tmp_path / "store")) == 2 * RUNS


@pytest.mark.usefixtures("page")
def test_a_rerun_repeats_and_does_not_double(tmp_path: Path) -> None:
    study("--seeds", "1")
    before = {r.spec_hash: r.metrics for r in Store(tmp_path / "store").records()}
    (plan,) = plans(Store(tmp_path / "store"))
    study("--seeds", "1", "--rerun")
    assert {r.spec_hash: r.metrics for r in Store(tmp_path / "store").records()} == before
    assert plans(Store(tmp_path / "store")) == [plan]


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    study("--dry-run")
    assert f"{5 * RUNS} runs, {5 * RUNS} to do, about" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("page")
def test_options_reach_every_run(tmp_path: Path) -> None:
    study("--seeds", "1", "--options", "--steps 7")
    assert {record.steps_done for record in Store(tmp_path / "store").records()} == {7}


@pytest.mark.usefixtures("page")
def test_a_diverged_run_is_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    study("--seeds", "3", "--options", "--diverge 1")
    out = capsys.readouterr().out
    assert "baseline: 2 diverged of 6" in out


@pytest.mark.usefixtures("page")
def test_a_failed_run_is_counted_and_the_exit_code_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study("--seeds", "2", "--options", "--fail evaluate", code=1)
    assert "left out: 6 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "study needs a NAME"),
        (("mine.tom",), "unknown study 'mine.tom'"),
        (("mine.toml", "--suite", "lane"), "did you mean 'lone'"),
        (("mine.toml", "--problem", "sine", "--seeds", "0"), "--seeds must be from 1"),
        (("mine.toml", "--options", "--stepz 7"), "did you mean '--steps'"),
        (("mine.toml", "--jobs", "none"), "--jobs takes"),
        (("mine.toml", "--seed", "-1"), "--seed must be 0 or more"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["study", *arguments, "--out", "store"]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--list"]) == 0
    out = capsys.readouterr().out
    assert "separate" in out
    assert "denorm+rescale" in out


def test_killed_and_started_again_is_as_if_it_had_not_been(tmp_path: Path, two_seeds: Path) -> None:
    command = [sys.executable, "-m", "bench.suite", "study", "mine.toml", "--seeds", "2"]
    command += ["--device", "cpu", "--jobs", "1", "--out", "killed"]
    # Slow enough to be killed in the middle.
    process = Popen(command, env={**os.environ, "TOY_DELAY": "0.005"})
    deadline = time.monotonic() + 60
    while len(started(tmp_path / "killed")) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait(60)
    before = started(tmp_path / "killed")
    assert len(before) < 2 * RUNS
    assert run(command, capture_output=True, timeout=120).returncode == 0
    killed = {r.spec_hash: r for r in Store(tmp_path / "killed").records()}
    whole = {r.spec_hash: r for r in Store(two_seeds).records()}
    assert killed.keys() == whole.keys()
    assert {k: r.metrics for k, r in killed.items()} == {k: r.metrics for k, r in whole.items()}


def trained(journal: Path, records: Container[str]) -> list[tuple[str, int]]:
    """Each run that was built, and by which process; those of estimates leave no record."""
    built = [line.split() for line in journal.read_text().splitlines()]
    return [(name, int(pid)) for name, pid in built if name in records]


def builders(journal: Path) -> set[int]:
    """The processes that have built a run."""
    text = journal.read_text() if journal.exists() else ""
    return {int(line.split()[1]) for line in text.splitlines() if line.count(" ") == 1}


def leases(store: Path) -> str:
    """All that are there now."""
    found = []
    for path in store.glob("locks/*.lease"):
        with contextlib.suppress(FileNotFoundError):
            found.append(path.read_text())
    return "".join(found)


def test_four_at_once_share_the_runs_and_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has built a run and waits in it when one is killed."""
    journal, gate = tmp_path / "journal", tmp_path / "gate"
    monkeypatch.setenv("TOY_JOURNAL", str(journal))
    monkeypatch.setenv("TOY_GATE", str(gate))
    command = [sys.executable, "-m", "bench.suite", "study", "mine.toml", "--seeds", "4"]
    command += ["--device", "cpu", "--jobs", "1", "--out", "store"]
    four = [Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    deadline = time.monotonic() + 300
    while not {process.pid for process in four} <= builders(journal):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in four)
        time.sleep(0.05)
    assert f"pid={four[0].pid}\n" in leases(tmp_path / "store")
    four[0].kill()
    gate.touch()
    said = "".join(process.communicate(timeout=300)[1] for process in four)
    assert [process.returncode for process in four] == [-signal.SIGKILL, 0, 0, 0]
    records = started(tmp_path / "store")
    assert len(records) == 4 * RUNS
    built = trained(journal, records)
    names = Counter(name for name, _ in built)
    assert len(names) == 4 * RUNS
    # Once each, but that in which one was killed, which another took over.
    cut = [name for name, pid in built if pid == four[0].pid][-1]
    assert all(count == 1 + (name == cut) for name, count in names.items())
    assert said.count(": done in ") == 4 * RUNS
    assert len({pid for _, pid in built}) == 4
    (plan,) = plans(Store(tmp_path / "store"))
    assert len(plan.runs) == 4 * RUNS


# Reports.


def test_a_report_while_runs_are_missing(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    for record in list(Store(store).records())[:3]:
        (store / f"runs/{record.spec_hash}/record.json").unlink()
    assert main(["report", "--study", "mine", "--out", "store", "--html", "page.html"]) == 0
    assert capsys.readouterr().out == "page.html\n"
    assert "3 waiting" in Path("page.html").read_text()


@pytest.mark.usefixtures("store")
def test_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["report", "--study", "mine", "--out", "store"]
    assert main([*common, "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("### Error ratios (error)")
    assert main([*common, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 2 * RUNS
    assert {row["status"] for row in rows} == {"done"}
    assert all(float(row["error"]) > 0 for row in rows)
    assert main([*common, "--format", "latex", "--table", "effects"]) == 0
    assert r"\toprule" in capsys.readouterr().out


@pytest.mark.usefixtures("page")
def test_a_store_without_a_study_compares_runs_of_one_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--device", "cpu", "--jobs", "1", "--out", "store"]
    assert main(["lone", "--arm", "irelu", "--seeds", "2", *where]) == 0
    assert main(["lone", "--arm", "irelu", "--seeds", "1", "--steps", "7", *where]) == 0
    capsys.readouterr()
    assert main(["report", "--out", "store", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["steps"]) for row in rows] == [toy_suite.STEPS] * 4
    assert main(["report", "--out", "store"]) == 0


@pytest.mark.usefixtures("page")
def test_a_store_without_a_study_compares_with_the_baseline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--device", "cpu", "--jobs", "1", "--out", "store"]
    assert main(["lone", "--arm", "irelu", "--seeds", "2", *where]) == 0
    capsys.readouterr()
    assert main(["report", "--out", "store", "--format", "csv", "--table", "effects"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["comparison"], row["pairs"]) == ("irelu vs baseline", "2")
    assert main(["report", "--out", "store"]) == 0
    assert capsys.readouterr().out == "store/reports/all-lone-quick.html\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--study", "mein"), "did you mean 'mine'"),
        (("--study", "mine", "--suite", "lane"), "did you mean 'lone'"),
        (("--study", "mine", "--format", "pdf"), "allowed: csv, latex, md"),
        (("--study", "mine", "--format", "md", "--table", "effect"), "did you mean 'effects'"),
        (("--study", "mine", "--table", "effects"), "needs --format"),
        (("--study", "mine", "--format", "md", "--html", "x.html"), "exclude each other"),
        (("--study", "mine", "--html", "."), "is a directory"),
        (("--study", "mine", "--format", "csv", "--table", "published"), "no table 'published'"),
        (("--out", "elsewhere"), "no runs in 'elsewhere'"),
        (("--budget", "papre"), "unknown budget"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_report_that_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--out", "store", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


# Reproducing a run.


def test_a_run_is_repeated_to_the_last_bit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, store: Path
) -> None:
    before = started(store)
    name = min(before)
    assert main(["reproduce", name[:6], "--out", "store"]) == 0
    assert "the same to the last bit" in capsys.readouterr().out
    assert main(["reproduce", name, "--out", "store", "--into", "again"]) == 0
    assert list(started(tmp_path / "again")) == [name]
    assert started(store) == before


def test_a_run_of_before_the_selection_was_recorded_is_the_same_without_it(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    name = min(started(store))
    record = Store(store).find(name)
    metrics = {k: v for k, v in record.metrics.items() if k != "selection"}
    assert len(metrics) < len(record.metrics)
    Store(store).write(msgspec.structs.replace(record, metrics=metrics))
    capsys.readouterr()
    assert main(["reproduce", name, "--out", "store"]) == 0
    assert f"all {len(metrics)} metrics are the same" in capsys.readouterr().out
    assert main(["show", name, "--out", "store"]) == 0
    assert "best: where the held-out loss was lowest" in capsys.readouterr().out
    Store(store).write(msgspec.structs.replace(record, metrics={"selection": Metric(0.0, 0.0)}))
    assert main(["reproduce", name, "--out", "store"]) == 1
    assert "selection: 0.0, now" in capsys.readouterr().out


def test_what_is_not_the_same_is_said(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    name = min(started(store))
    path = store / f"runs/{name}/record.json"
    record = Store(store).find(name)
    final = record.metrics["error"].final
    path.write_text(
        path.read_text().replace(str(final), "0.5").replace('"torch": "', '"torch": "0')
    )
    capsys.readouterr()
    assert main(["reproduce", name, "--out", "store"]) == 1
    out = capsys.readouterr().out
    assert f"error: 0.5, now {final!r}" in out
    assert "other torch: 0" in out


@pytest.mark.usefixtures("page")
def test_a_failed_run_is_not_reproduced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    study("--seed", "1", "--options", "--fail evaluate", code=1)
    name = min(started(tmp_path / "store"))
    capsys.readouterr()
    assert main(["reproduce", name, "--out", "store"]) == 2
    assert "ended as failed" in capsys.readouterr().err
