"""The command line as its users meet it: exit codes, streams, and what is left on disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_server
import pytest

from bench.arm import AXES
from bench.store.store import Store
from bench.suite import main

PROGRAM = [sys.executable, "-m", "bench.suite"]
SMOKE = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]

OWN = '''
import torch

print("a module may print what it likes")

class Wave(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x)

class FailsLater(torch.nn.Module):
    """Passes the trial on 200 rows and fails on the network's."""
    def forward(self, x):
        if len(x) > 200:
            raise RuntimeError("too many rows for me")
        return x
'''


def suite(
    cwd: Path, *arguments: str, program: list[str] = PROGRAM
) -> subprocess.CompletedProcess[str]:
    return command_server.run(
        [*program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=180
    )


# Without torch.


@pytest.mark.real_processes
def test_help_takes_less_than_a_second(tmp_path: Path) -> None:
    """Of processor time: other tests run beside this one."""

    def took() -> float:
        start = os.times()
        done = suite(tmp_path, "--help")
        end = os.times()
        assert done.returncode == 0 and done.stderr == ""
        assert {"pinn", "list", "show"} <= set(re.findall(r"\w+", done.stdout))
        return sum(end[2:4]) - sum(start[2:4])

    assert any(took() < 1 for _ in range(3))


@pytest.mark.real_processes
@pytest.mark.parametrize(
    "arguments", [["--help"], ["pinn", "--help"], ["list"], ["show", "0"], [*SMOKE, "--steps", "0"]]
)
def test_what_needs_no_torch_does_not_import_it(tmp_path: Path, arguments: list[str]) -> None:
    probe = (
        "import sys\n"
        "from bench.suite import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'deepxde', 'scipy', 'h5py'} & sys.modules.keys()\n"
        "print('IMPORTED', sorted(heavy))\n"
    )
    done = suite(tmp_path, *arguments, program=[sys.executable, "-c", probe])
    assert done.stdout.splitlines()[-1] == "IMPORTED []"


def test_the_help_of_a_suite_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["pinn", "--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    for option in ("--arm", "--problem", "--seeds", "--budget", "--jobs", "--out", "--json"):
        assert option in out
    for axis in AXES:
        assert f"--{axis}" in out


PROBLEMS = [
    "advection-1d",
    "compressible-flow-1d",
    "diffusion-reaction-2d",
    "diffusion-sorption-1d",
    "shallow-water-2d",
]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    words = set(re.findall(r"[\w-]+", out))
    assert {*PROBLEMS, "fnn", "fnn-bn", "smoke", "quick", "paper"} <= words
    assert {"irelu", "denorm", "rescale", "lsuv"} <= words


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    pinn = found["suites"]["pinn"]
    assert set(PROBLEMS) <= pinn["problems"].keys()
    assert {"fnn", "fnn-bn"} <= pinn["models"].keys()
    assert {"smoke", "quick", "paper"} <= pinn["budgets"].keys()
    assert list(found["techniques"]) == list(AXES)
    assert all(found["techniques"][axis] for axis in AXES)
    for choices in (*found["techniques"].values(), pinn["problems"]):
        assert all(isinstance(text, str) and text for text in choices.values())


@pytest.mark.real_processes
def test_a_reader_that_closes_the_pipe_is_no_error(tmp_path: Path) -> None:
    done = suite(
        tmp_path, program=["bash", "-c", f"{sys.executable} -m bench.suite list --json | head -1"]
    )
    assert done.returncode == 0
    assert done.stdout == "{\n" and done.stderr == ""


# A run, found again, repeated.


class Session:
    """One store, and what was done with it, in order."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        (cwd / "own_activations.py").write_text(OWN)
        self.arms = [*SMOKE, "--arm", "denorm", "--arm", "sin", "--out", "results"]
        self.first = suite(cwd, *self.arms, "--json", "--jobs", "1")
        self.files = self.snapshot()
        self.second = suite(cwd, *self.arms)
        self.files_after_second = self.snapshot()

    @property
    def store(self) -> Store:
        return Store(self.cwd / "results")

    @property
    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.first.stdout)
        return found

    def snapshot(self) -> dict[str, bytes]:
        runs = self.cwd / "results" / "runs"
        return {str(p.relative_to(runs)): p.read_bytes() for p in runs.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, session_environment: None) -> Session:
    return Session(tmp_path_factory.mktemp("session"))


def test_json_is_an_array_and_nothing_else_is_on_stdout(session: Session) -> None:
    assert session.first.returncode == 0, session.first.stderr
    assert [record["arm"] for record in session.records] == ["baseline", "denorm", "sin"]


def test_each_record_says_what_was_run_and_what_came_out(session: Session) -> None:
    for record in session.records:
        assert record["suite"] == "pinn"
        assert record["problem"] == "advection-1d"
        assert record["model"] == "fnn:40x6"
        assert record["seed"] == 0
        assert record["budget"] == "smoke"
        assert record["status"] == "done" and record["reason"] is None
        assert record["steps_done"] == 10
        assert {"MSE", "L2RE", "max_error", "Lf", "LIC", "LBC"} <= record["metrics"].keys()
        for metric in record["metrics"].values():
            assert metric.keys() == {"final", "best"}
            assert all(isinstance(value, float) for value in metric.values())
        assert record["units"].keys() == record["metrics"].keys()
        timing = record["timing"]
        assert timing["build_s"] > 0 and timing["train_s"] > 0 and timing["evaluate_s"] > 0
        assert timing["step_ms_p10"] <= timing["step_ms_median"] <= timing["step_ms_p90"]
        assert {"python", "cpu", "versions", "commit", "code", "jobs"} <= (
            record["environment"].keys()
        )
        assert record["environment"]["versions"]["torch"]
        assert re.fullmatch("[0-9a-f]{16}", record["spec_hash"])
        assert record["peak_memory_mb"] > 1
        assert len(record["losses"]["loss"]) == 10


def test_progress_is_one_plain_line_a_run_on_stderr(session: Session) -> None:
    lines = session.first.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[1/2] advection-1d") and "done in" in lines[0]
    assert lines[1].startswith("[2/2] advection-1d") and "sin" in lines[1]
    assert "\x1b" not in session.first.stderr


def test_a_no_op_shares_the_run_of_the_baseline(session: Session) -> None:
    baseline, denorm, sin = session.records
    assert denorm["spec_hash"] == baseline["spec_hash"] != sin["spec_hash"]
    assert denorm["metrics"] == baseline["metrics"] != sin["metrics"]
    assert denorm["spec"]["arm"] == "denorm"
    assert session.store.names() == sorted({baseline["spec_hash"], sin["spec_hash"]})
    assert (
        "denorm: denorm is a no-op on fnn:40x6, the same run as baseline" in session.second.stdout
    )


def test_what_is_left_on_disk(session: Session) -> None:
    names = {r["spec_hash"] for r in session.records}
    assert set(session.files) == {
        f"{name}/{file}" for name in names for file in ("record.json", "weights.safetensors")
    }


def test_the_second_call_finds_the_runs(session: Session) -> None:
    assert session.second.returncode == 0
    assert "[2/2] 2 runs found in the store" in session.second.stderr
    assert session.files_after_second == session.files


def test_the_table_has_a_row_an_arm(session: Session) -> None:
    rows = [line.split() for line in session.second.stdout.splitlines()]
    cells = {row[0]: row for row in rows if row}
    for arm in ("baseline", "denorm", "sin"):
        assert "done" in " ".join(cells[arm][-2:])
    assert "L2RE" in cells["arm"] and "ms/step" in cells["arm"]
    record = session.records[2]
    L2RE = float(cells["sin"][1])
    assert pytest.approx(record["metrics"]["L2RE"]["final"], rel=6e-3) == L2RE
    ratio = record["metrics"]["L2RE"]["final"] / session.records[0]["metrics"]["L2RE"]["final"]
    assert float(cells["sin"][2].removeprefix("×")) == pytest.approx(ratio, rel=6e-3)
    assert "\x1b" not in session.second.stdout


@pytest.mark.real_processes
def test_the_last_line_of_the_table_is_a_command_that_works(session: Session) -> None:
    said, line = session.second.stdout.splitlines()[-2:]
    assert said == "2 runs in results. Show one run:"
    command = line.partition("python -m bench.suite ")[2].split()
    assert command[0] == "show"
    done = suite(session.cwd, *command)
    assert done.returncode == 0 and session.records[2]["spec_hash"] in done.stdout


def test_json_of_found_runs_is_the_same(session: Session) -> None:
    again = suite(session.cwd, *session.arms, "--json")
    assert json.loads(again.stdout) == session.records


def test_show_with_a_prefix(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    record = session.records[2]
    out = str(session.store.root)
    assert main(["show", record["spec_hash"][:12], "--out", out]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{record['spec_hash']}  advection-1d fnn:40x6 sin seed 0")
    assert "status    done" in text and "10 of 10 steps" in text
    assert "activation sin" in text
    for name in record["metrics"]:
        assert re.search(rf"^{name}\s+\S+\s+\S+", text, re.MULTILINE)
    assert main(["show", record["spec_hash"][:12], "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record


@pytest.mark.real_processes
def test_rerun_repeats(session: Session) -> None:
    arguments = [*SMOKE, "--arm", "sin", "--no-baseline", "--out", "results", "--json"]
    done = suite(session.cwd, *arguments, "--rerun")
    assert done.returncode == 0 and "found in the store" not in done.stderr
    (record,) = json.loads(done.stdout)
    before = session.records[2]
    assert record["spec_hash"] == before["spec_hash"]
    assert record["timing"] != before["timing"]
    assert record["resumed"] == 0
    # Another process, after no other run: the same to the last bit.
    assert record["metrics"] == before["metrics"]
    assert record["losses"] == before["losses"]


def test_ones_own_activation_and_its_edited_file(session: Session) -> None:
    arguments = [*SMOKE, "--activation", "own_activations:Wave", "--no-baseline", "--json"]
    arguments += ["--out", "own-results"]
    done = suite(session.cwd, *arguments)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)  # although the module prints
    assert record["arm"] == "activation=own_activations:Wave"
    assert record["spec"]["axes"]["activation"] == "own_activations:Wave"
    assert record["metrics"] != session.records[0]["metrics"]

    found = suite(session.cwd, *arguments)
    assert "found in the store" in found.stderr

    path = session.cwd / "own_activations.py"
    path.write_text(OWN.replace("torch.sin(x)", "torch.sin(2 * x)"))
    try:
        edited = suite(session.cwd, *arguments)
    finally:
        path.write_text(OWN)
    (other,) = json.loads(edited.stdout)
    assert "found in the store" not in edited.stderr
    assert other["spec_hash"] != record["spec_hash"]
    assert other["metrics"] != record["metrics"]


def test_exit_codes_of_diverged_and_failed_runs(session: Session) -> None:
    arguments = [*SMOKE, "--lr", "1e30", "--out", "bad-results", "--jobs", "1"]
    failing = ["--arm", "activation=own_activations:FailsLater"]
    both = suite(session.cwd, *arguments, *failing)
    assert both.returncode == 1
    assert "too many rows for me" in both.stdout
    records = {r.arm: r for r in Store(session.cwd / "bad-results").records()}
    assert records["baseline"].status == "diverged"
    assert records["baseline"].reason and "the loss was" in records["baseline"].reason
    assert all(metric.final is None for metric in records["baseline"].metrics.values())
    assert any(metric.best is not None for metric in records["baseline"].metrics.values())
    failed = records["activation=own_activations:FailsLater"]
    assert failed.status == "failed"
    assert failed.reason and failed.reason.startswith("RuntimeError: too many rows for me")
    assert "own_activations.py" in failed.reason

    # A diverged run is a result: found again, and no failure of the call.
    alone = suite(session.cwd, *arguments, "--json")
    assert alone.returncode == 0
    assert "found in the store" in alone.stderr
    (record,) = json.loads(alone.stdout)
    assert record["status"] == "diverged"
    assert record["metrics"]["L2RE"]["final"] is None


# Bad input.

OWN_BAD = """
import torch
number = 3
class Widens(torch.nn.Module):
    def forward(self, x): return torch.cat([x, x], -1)
class NeedsArgument(torch.nn.Module):
    def __init__(self, width): super().__init__()
class Raises(torch.nn.Module):
    def forward(self, x): raise RuntimeError("first line\\nsecond line")
def raising(labels): raise KeyError("mean")
"""

BAD = [
    (["--arm", "irleu"], "irleu"),
    (["--arm", ""], "''"),
    (["--arm", "tanh+irelu"], "tanh+irelu"),
    (["--arm", "irelu=3"], "irelu=3"),
    (["--arm", "rescale=-1"], "-1"),
    (["--arm", "irelu", "--activation", "tanh"], "tanh"),
    (["--arm", "irelu\nsecond"], "irelu"),
    (["--activation", "lsuv"], "lsuv"),
    (["--activation", ""], "''"),
    (["--activation", "own_bad:Nothing"], "Nothing"),
    (["--activation", "own_bad:number"], "own_bad:number"),
    (["--activation", "own_bad:Widens"], "own_bad:Widens"),
    (["--activation", "own_bad:NeedsArgument"], "own_bad:NeedsArgument"),
    (["--activation", "own_bad:Raises"], "own_bad:Raises"),
    (["--rescaling", "own_bad:raising"], "own_bad:raising"),
    (["--activation", "no_such_module_at_all:A"], "no_such_module_at_all"),
    (["--problem", "advection"], "advection"),
    (["--problem", "own_bad:number"], "own_bad:number"),
    (["--problem", "own_bad:NeedsArgument"], "own_bad:NeedsArgument"),
    (["--model", "fnnn"], "fnnn"),
    (["--model", "fnn:0x6"], "fnn:0x6"),
    (["--model", "fnn:99999x2"], "fnn:99999x2"),
    (["--budget", "smok"], "smok"),
    (["--seed", "-1"], "-1"),
    (["--seed", "one"], "one"),
    (["--seeds", "0"], "0"),
    (["--seeds", "2", "--seed", "1"], "--seed"),
    (["--steps", "-5"], "-5"),
    (["--steps", "0"], "steps"),
    (["--steps", "1.5"], "1.5"),
    (["--lr", "nan"], "nan"),
    (["--lr", "-0.1"], "-0.1"),
    (["--eps", "0"], "0.0"),
    (["--schedule", "cosin"], "cosin"),
    (["--evaluations", "0"], "0"),
    (["--supervised", "1.5"], "1.5"),
    (["--supervised", "nan"], "nan"),
    (["--data-root", "no/such/directory"], "no/such/directory"),
    (["--device", "gpu"], "gpu"),
    (["--device", "cuda:4096"], "cuda:4096"),
    (["--device", "cuda:²"], "cuda:²"),
    (["--dtype", "float16"], "float16"),
    (["--jobs", "0"], "0"),
    (["--jobs", "many"], "many"),
    (["--jobs", "²"], "²"),
    (["--no-baseline"], "--no-baseline"),
    (["--frobnicate"], "--frobnicate"),
    (["--two\nlines"], "--two"),
    (["--prob", "advection-1d"], "--prob"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(a)[:40] for a, _ in BAD])
def test_bad_input(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    own_module: Callable[[str, str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    own_module("own_bad", OWN_BAD)
    before = sorted(tmp_path.iterdir())
    base = [*SMOKE, "--out", str(tmp_path / "out")]
    if "--problem" in arguments:
        base = [*base[:1], *base[3:]]
    assert main([*base, *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("bench: ") and err.endswith("\n") and err.count("\n") == 1
    assert named in err
    left = [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"]
    assert left == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["pin"], "pin"),
        (["show"], "RUN"),
        (["show", "abc"], "abc"),
        (["show", "../../etc/passwd"], "../../etc/passwd"),
        (["list", "everything"], "everything"),
    ],
)
def test_bad_input_to_the_other_commands(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and named in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main([*SMOKE, "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and str(tmp_path / "file") in err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.real_processes
def test_bad_input_of_a_real_process(tmp_path: Path) -> None:
    done = suite(tmp_path, *SMOKE, "--arm", "irleu", "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "'irleu'; did you mean 'irelu'?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_start_up_costs_little_beyond_torch_and_deepxde() -> None:
    code = """
import time, os
os.environ["DDE_BACKEND"] = "pytorch"
import torch, torch._dynamo, deepxde
begin = time.process_time()
import bench.suite, bench.execution.run_all, bench.training.run, bench.execution.progress
import bench.report.tables
import suites.pinn.task
print(time.process_time() - begin)
"""

    def took() -> float:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return float(done.stdout.split()[-1])

    assert any(took() < 1.5 for _ in range(3))
