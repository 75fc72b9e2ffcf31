"""Messages that once misled: each says what to write instead."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_suite

from bench.suite import main

PINN = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]
MOLECULAR = ["molecular", "--model", "schnet:4x1", "--budget", "smoke", "--device", "cpu"]

SAID: list[tuple[list[str], str]] = [
    ([*PINN, "--epochs", "5"], "it is called '--steps' here"),
    ([*PINN, "--iterations", "5"], "it is called '--steps' here"),
    ([*PINN, "--learning-rate", "1"], "it is called '--lr' here"),
    ([*PINN, "--output", "x"], "it is called '--out' here"),
    ([*MOLECULAR, "--batch-size", "5"], "it is called '--batch' here"),
    ([*PINN[:1], "--problem", "xtb-ethanol"], "problem 'xtb-ethanol' is in the suite 'molecular'"),
    ([*PINN, "--model", "schnet:8x2"], "model 'schnet' is in the suite 'molecular'"),
    ([*MOLECULAR[:1], "--problem", "advection-1d"], "'advection-1d' is in the suite 'pinn'"),
    ([*MOLECULAR[:1], "--model", "fnn"], "model 'fnn' is in the suite 'pinn'"),
    (
        ["study", "separate", "--suite", "pinn", "--problem", "advection"],
        "did you mean 'advection-1d'?",
    ),
    ([*PINN, "--activation", "snake"], "package.module:attribute"),
    ([*PINN, "--activation", "mine.Snake"], "one's own is written module:attribute, 'mine:Snake'"),
    ([*PINN, "--activation", "./mine:Snake"], "'mine:Snake'"),
    ([*PINN, "--activation", "mine.py:Snake"], "'mine:Snake'"),
    ([*PINN, "--arm", "mine.Snake+lsuv"], "activation=mine:Snake"),
    ([*PINN, "--device", "gpu"], "unknown device 'gpu'; did you mean 'cuda'?"),
    (["study", "units", "--device", "gpu"], "unknown device 'gpu'; did you mean 'cuda'?"),
    (["speed", "pinn", "--device", "gpu"], "unknown device 'gpu'; did you mean 'cuda'?"),
    (["study", "separate", "--protocol", "paper"], "give it as --options '--protocol …'"),
    (["study", "separate", "--protocoll", "paper"], "unknown option '--protocoll'"),
    (["study", "mine"], "did you mean the file 'mine.toml'?"),
    ([*PINN, "--seeds", "2", "--seed", "3"], "--seeds and --seed exclude each other"),
    (["show", "zzzz"], "there are no runs in 'bench-results'"),
]


@pytest.mark.parametrize(("command", "said"), SAID, ids=lambda case: " ".join(case)[-60:])
def test_a_message_says_what_to_write(
    command: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('question = "?"\n')
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_a_wrong_device_is_refused_without_torch(tmp_path: Path) -> None:
    probe = (
        "import sys; from bench.suite import main\n"
        "code = main(['pinn', '--device', 'gpu'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2 False\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import torch\ndef Object(x): return torch.sin(x)", "is a function of a tensor"),
        ("import torch\nObject = torch.nn.Tanh()", "is a module, and must be what makes one"),
        ("Object = 3", "is not callable"),
        ("import torch\ndef Object(): return torch.sin", "not a torch.nn.Module"),
    ],
)
def test_what_is_no_factory_is_said(
    source: str,
    said: str,
    own_module: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    own_module("own_factories", source)
    assert main([*PINN, "--activation", "own_factories:Object"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_suite.use(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'question = "Does it help, and is the answer one that a narrow terminal can show?"\n'
        '[[part]]\nsuite = "lone"\narms = ["baseline", "irelu", "irelu+lsuv --lr 0.1"]\n'
    )
    return tmp_path


def test_a_study_takes_options_of_training_and_its_file_s_name(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "mine.toml", "--steps", "5", "--jobs", "1", "--seeds", "3"]) == 0
    assert main(["runs", "--json"]) == 0
    assert capsys.readouterr().out.count('"steps":5') == 9
    # The plan's name, or the file that it was run from.
    for name in ("mine", "mine.toml"):
        assert main(["report", "--study", name, "--format", "csv", "--table", "runs"]) == 0
    assert "irelu+lsuv --lr 0.1" in capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_study_fits_the_terminal(
    width: int, toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    import bench.report.tables

    monkeypatch.setattr(bench.report.tables.Console, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    assert Console().width == width
    assert main(["study", "mine.toml", "--steps", "5", "--jobs", "1", "--seeds", "3"]) == 0
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    tables, _, _ = out.partition("report: ")
    assert max(map(len, tables.splitlines())) <= width
    for whole in ("irelu+lsuv --lr 0.1 vs baseline", "wins/ties/losses", "undecided"):
        assert whole in out


def test_found_runs_are_one_line(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "mine.toml", "--steps", "5", "--jobs", "1", "--seeds", "3"]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command[:-1], "4"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert lines[0] == "[9/12] 9 runs found in the store"
    assert len(lines) == 4 and all("seed 3: done" in line for line in lines[1:])


def test_help_of_every_command_shows_examples_and_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in ("pinn", "molecular", "study", "runs"):
        with pytest.raises(SystemExit) as raised:
            main([command, "--help"])
        out = capsys.readouterr().out
        assert raised.value.code == 0 and f"examples:\n  python -m bench.suite {command}" in out
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--seeds N the seeds 0 … N−1; without it 5" in said


def test_no_argument_shows_the_help_and_version_the_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m bench.suite")
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith("dcbench 0.")


def test_dcbench_works_where_there_is_another_bench(tmp_path: Path) -> None:
    """Also the processes that it starts, and with a technique of the folder's own."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise RuntimeError('the wrong bench')\n")
    (tmp_path / "suites.py").write_text("raise RuntimeError('the wrong suites')\n")
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Wave(torch.nn.Module):\n    def forward(self, x):\n"
        "        return torch.sin(x)\n"
    )
    program = Path(sys.executable).with_name("dcbench")
    command = [program, *PINN, "--model", "fnn:8x2", "--activation", "mine:Wave", "--jobs", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "activation=mine:Wave" in done.stdout
    assert done.stderr.count("done in") == 2 and "wrong" not in done.stderr
