"""The examples run by the commands that their docstrings give, only shorter."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from bench.store.record import Record
from bench.store.store import Store
from bench.suite import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODULES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
#: Those whose command takes more than ten steps to be worth anything.
TRAINED = {"relax"}


def commands(path: Path) -> list[list[str]]:
    """The arguments of each ``python -m bench.suite`` that a file's head gives."""
    text = path.read_text(encoding="utf-8").replace("\\\\\n", "").replace("\\\n", "")
    return [shlex.split(line) for line in re.findall(r"python -m bench\.suite (.*)", text)]


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store, with the examples as the present folder."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield Store(tmp_path / "store")
    for name in MODULES:
        sys.modules.pop(name, None)


def run(store: Store, arguments: list[str], *shorter: str) -> list[Record]:
    code = main([*arguments, *shorter, "--device", "cpu", "--jobs", "1", "--out", str(store.root)])
    assert code == 0
    return list(store.records())


def test_each_example_says_how_it_is_run() -> None:
    assert [name for name in MODULES if not commands(EXAMPLES / f"{name}.py")] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name not in TRAINED])
def test_a_technique_or_problem_of_ones_own_trains(name: str, store: Store) -> None:
    (arguments,) = commands(EXAMPLES / f"{name}.py")
    assert f"{name}:" in " ".join(arguments)
    records = run(store, arguments, "--budget", "smoke")
    assert {record.status for record in records} == {"done"}
    own = [record for record in records if record.spec.sources]
    assert own
    for record in own:
        assert [key.partition(":")[0] for key in record.spec.sources] == [name]


def test_the_study_says_what_it_found(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    ((*arguments,),) = commands(EXAMPLES / "study.toml")
    shorter = ("--seeds", "1", "--budget", "smoke")
    records = run(store, arguments, *shorter)
    assert len(records) == 8
    assert "Is it Snake, or its initialisation?" in capsys.readouterr().out
    assert list((store.root / "reports").glob("study-*.html"))


def test_a_trained_potential_relaxes_and_moves_a_molecule(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((*arguments,),) = commands(EXAMPLES / "relax.py")
    arguments[arguments.index("potentials")] = str(tmp_path / "potentials")
    run(store, arguments, "--steps", "200", "--evaluations", "1")
    (path,) = (tmp_path / "potentials").iterdir()
    capsys.readouterr()
    with torch.random.fork_rng():
        imported("relax").main(path, steps=5)
    relaxed, moved = capsys.readouterr().out.splitlines()
    assert float(relaxed.split()[2]) >= 0
    assert moved.startswith("after 5 steps: ")
