"""Runs that go on after the code was edited, or begin anew, on a copy of the harness."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy_suite

from bench.store.record import Record
from bench.store.store import Store

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = ["lone", "--no-baseline", "--arm", "irelu", "--seeds", "2", "--device", "cpu"]
TITLE = "sine net irelu seed {seed}"


class Copy:
    """A copy of the harness in which the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "results")

    def run(self, jobs: str, interrupt: str = "") -> list[str]:
        """The command's lines on stderr; `interrupt` as of `toy_suite.interrupt`."""
        paths = os.pathsep.join(["", "installed", str(Path(__file__).parents[1])])
        done = subprocess.run(
            [sys.executable, "-m", "bench.suite", *ARGUMENTS, "--jobs", jobs, "--out", "results"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, "TOY_INTERRUPT": interrupt},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == (130 if interrupt else 0), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        content = path.read_text()
        assert content.count(old) == 1
        path.write_text(content.replace(old, new))

    def records(self) -> dict[int, Record]:
        return {record.seed: record for record in self.store.records()}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """With the first seed interrupted at step 60."""
    made = Copy(tmp_path_factory.mktemp("edited") / "clone")
    files = shutil.ignore_patterns("__pycache__", "page", "tracking", "asv_benchmarks")
    shutil.copytree(REPOSITORY / "bench", made.folder / "bench", ignore=files)
    (made.folder / "installed").mkdir()
    toy_suite.install(made.folder / "installed")
    assert made.run("1", interrupt="0@60")[-1] == "bench: interrupted; the same command continues"
    (record,) = made.store.records()
    assert (record.status, record.steps_done) == ("interrupted", 61)
    return made


@pytest.fixture
def copy(interrupted: Copy, tmp_path: Path) -> Copy:
    """Another one, to be edited."""
    shutil.copytree(interrupted.folder, tmp_path / "clone")
    return Copy(tmp_path / "clone")


def test_a_comment_and_a_report_lose_no_step(copy: Copy) -> None:
    copy.edit("bench/training/optimization.py", "math.pi * progress))", "math.pi * progress))  # π")
    copy.edit("bench/training/loop.py", "The results of a block of steps", "What steps left")
    copy.edit("bench/report/tables.py", "_WIDTH = 200", "_WIDTH = 150")
    (copy.folder / "bench" / "new.py").write_text("print('never imported')\n")
    err = copy.run("1")
    assert not any("anew" in line for line in err)
    records = copy.records()
    assert {seed: record.resumed for seed, record in records.items()} == {0: 1, 1: 0}
    assert all(record.status == "done" and not record.warnings for record in records.values())


@pytest.mark.parametrize("jobs", ["1", "2"], ids=["in this process", "in workers"])
def test_an_operator_loses_the_steps_which_is_said_at_once(copy: Copy, jobs: str) -> None:
    copy.edit(
        "bench/techniques/integrated.py",
        "def _irelu_value(x: Tensor) -> Tensor:\n    return torch.relu(x).square_().mul_(0.5)",
        "def _irelu_value(x: Tensor) -> Tensor:\n    return torch.relu(x).square_().div_(2.0)",
    )
    err = copy.run(jobs)
    said = "the checkpoint at step 61 is of other code: starting anew"
    assert [line for line in err if "anew" in line] == [f"{TITLE.format(seed=0)}: {said}"]
    (ended,) = (line for line in err if f"{TITLE.format(seed=0)}: done" in line)
    assert err.index(f"{TITLE.format(seed=0)}: {said}") < err.index(ended)
    records = copy.records()
    assert {seed: record.resumed for seed, record in records.items()} == {0: 0, 1: 0}
    assert (records[0].warnings, records[1].warnings) == ([said], [])


def test_a_damaged_checkpoint_is_said_too(copy: Copy) -> None:
    (name,) = copy.store.names()
    path = copy.store.checkpoint(name)
    path.write_bytes(path.read_bytes()[:1000])
    (line,) = [line for line in copy.run("1") if "anew" in line]
    assert line.startswith(f"{TITLE.format(seed=0)}: the checkpoint is damaged (")
    assert line.endswith("): starting anew")
    assert copy.records()[0].status == "done"


def test_what_other_code_has_finished_is_marked(copy: Copy) -> None:
    copy.run("1")
    assert not any("other code" in line for line in copy.run("1"))
    copy.edit(
        "bench/techniques/elementwise.py",
        "return torch.sin(x)\n\n    def closed",
        "return x\n\n    def closed",
    )
    assert not any("other code" in line for line in copy.run("1"))
    copy.edit("bench/training/loop.py", "_EXPLODED = 1e8", "_EXPLODED = 1e9")
    assert any("2 of the runs were made by other code" in line for line in copy.run("1"))
