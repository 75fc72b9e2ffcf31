"""Bad input at the command line: exit code 2, one line that names the value, nothing written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sample_study
from sample_records import SPEC, record

import bench.nightly
from bench.store.store import Store
from bench.studies.plan import save
from bench.suite import main

PINN = ["pinn", "--problem", "advection-1d", "--budget", "smoke", "--device", "cpu"]
MOLECULAR = ["molecular", "--model", "schnet:4x1", "--budget", "smoke", "--device", "cpu"]
#: More digits than Python makes a number of, and than anyone reads.
DIGITS = "9" * 5000
LONG = "x" * 5000


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


class Refusal:
    """Calls the command line in a folder that has a parent of its own."""

    def __init__(self, outside: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.outside = outside
        self.capture = capture

    def __call__(self, arguments: list[str], call: Callable[[list[str]], int] = main) -> str:
        """The message of a call that must be refused."""
        before = tree(self.outside)
        self.capture.readouterr()
        assert call(arguments) == 2
        out, err = self.capture.readouterr()
        assert out == ""
        err = err.removeprefix("loud\n")  # what a user's module prints
        assert err.count("\n") == 1 and err.endswith("\n")
        assert re.match(r"bench: |nightly: ", err)
        assert err[:-1].isprintable() and len(err) < 2100
        assert tree(self.outside) == before
        return err


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Refusal]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Refusal(tmp_path, capfd)
    for name in [name for name in sys.modules if name.startswith("hostile_own")]:
        del sys.modules[name]


def short(case: Any) -> str:
    """Of a parameter in the name of a test, the same in every process."""
    if callable(case):
        return str(case.__qualname__.partition(".")[0])
    return repr(case)[:40] if not isinstance(case, str) else case[:30]


# Numbers, names and paths.

TRAINING = [
    (["--steps", str(10**30)], str(10**30)),
    (["--steps", str(2 * 10**9)], "2000000000"),
    (["--steps", DIGITS], "999"),
    (["--steps", LONG], "xxx"),
    (["--steps", ""], "''"),
    (["--steps", "１２"], "１２"),
    (["--steps", "1_000"], "1_000"),
    (["--steps", " 5 "], "' 5 '"),
    (["--lbfgs-steps", str(10**12)], str(10**12)),
    (["--evaluations", str(10**12)], str(10**12)),
    (["--evaluations", "inf"], "inf"),
    (["--lr", "1e400"], "1e400"),
    (["--lr", "1e-400"], "1e-400"),
    (["--lr", "1_0"], "1_0"),
    (["--lr", ""], "''"),
    (["--lr", "0x1"], "0x1"),
    (["--eps", "1e999"], "1e999"),
    (["--weight-decay", "-0.1"], "-0.1"),
    (["--weight-decay", "inf"], "inf"),
    (["--schedule", "\x1b]0;x\x07"], "\\x1b]0;x\\x07"),
    (["--seed", str(2**70)], str(2**70)),
    (["--seed", DIGITS], "999"),
    (["--seeds", str(10**6)], str(10**6)),
    (["--seeds", "nan"], "nan"),
    (["--budget", LONG], "xxx"),
    (["--dtype", LONG], "xxx"),
    (["--out", ""], "''"),
    (["--out", "a\x00b"], "'a\\x00b'"),
    (["--out", LONG], "xxx"),
    (["--out", "file/below"], "file/below"),
    (["--out", "/dev/null"], "/dev/null"),
    (["--arm", "\udcff"], "\\udcff"),
    (["--arm", "a" * 100_000], "aaa"),
    (["--arm", "irelu+" * 5000], "irelu+"),
    (["--arm", "rescale=1e400"], "1e400"),
    (["--arm", "rescale=١"], "١"),
    (["--arm", "rescale= 5"], "' 5'"),
    (["--arm", "irelu\x1b[31m"], "\\x1b[31m"),
    (["--arm", "irelu\u2028second"], "\\u2028"),
    (["--activation", "m:" + "a" * 5000], "aaa"),
    (["\x1b[31m"], "\\x1b[31m"),
]

OF_PINN = [
    (["--model", "fnn:40x99999"], "fnn:40x99999"),
    (["--model", "fnn:4096x4096"], "fnn:4096x4096"),
    (["--model", f"fnn:{DIGITS}x1"], "fnn:999"),
    (["--model", "fnn:٤٠x٦"], "fnn:٤٠x٦"),
    (["--model", "fnn:40x6\n"], "fnn:40x6\\n"),
    (["--model", "f" * 20_000], "fff"),
    (["--resample", str(10**30)], str(10**30)),
    (["--supervised", "1e400"], "1e400"),
    (["--data-root", ""], "''"),
    (["--data-root", "\x00"], "\\x00"),
    (["--problem", "../../etc/passwd"], "../../etc/passwd"),
    (["--problem", "a\nb"], "a\\nb"),
    (["--activation", "sys:exit"], "sys:exit"),
    (["--rescaling", "builtins:quit"], "builtins:quit"),
    (["--activation", "torch.nn:Linear"], "torch.nn:Linear"),
]

OF_MOLECULAR = [
    (["--model", f"schnet:{DIGITS}x1"], "schnet:999"),
    (["--model", "schnet:4096x4096"], "schnet:4096x4096"),
    (["--model", "schnet:٤x1"], "schnet:٤x1"),
    (["--batch", str(10**30)], str(10**30)),
    (["--ema", "inf"], "inf"),
    (["--blocks", str(10**9)], str(10**9)),
    (["--n-train", str(10**17)], str(10**17)),
    (["--split", ""], "''"),
    (["--loss", ""], "''"),
    (["--energy-unit", ""], "unknown unit of energy ''"),
    (["--data-root", "\x00"], "\\x00"),
    (["--export", ""], "''"),
    (["--export", "file/below"], "file/below"),
    (["--problem", f"{LONG}.xyz"], "xxx"),
    (["--problem", "\udcff.xyz"], "\\udcff.xyz"),
    (["--problem", "new\nline.xyz"], "new\\nline.xyz"),
    (["--problem", "/dev/zero"], "/dev/zero"),
]

OTHERS = [
    (["study", LONG], "xxx"),
    (["study", "../../etc/passwd"], "../../etc/passwd"),
    (["study", "paper", "--options", f"--steps {DIGITS}"], "999"),
    (["study", "paper", "--suite", "pinn", "--options", "--data-root a\x00b"], "a\\x00b"),
    (["study", "paper", "--suite", "../x"], "../x"),
    (["study", "paper", "--out", ""], "''"),
    (["study", "paper", "--dry-run", "--out", ""], "''"),
    (["study", "paper", "--budget", "../../x", "--suite", "pinn"], "../../x"),
    (["report", "--out", ""], "''"),
    (["report", "--html", "a\x00b"], "a\\x00b"),
    (["report", "--html", LONG], "xxx"),
    (["report", "--study", "../x"], "../x"),
    (["report", "--out", "file"], "'file'"),
    (["show", "ab", "--out", LONG], "xxx"),
    (["show", LONG], "xxx"),
    (["show", "a\nb"], "a\\nb"),
    (["show", "ab", "--out", "file"], "'file'"),
    (["reproduce", "ab", "--out", "\x00"], "\\x00"),
    (["reproduce", "ab", "--into", ""], "''"),
    (["reproduce", "../x"], "../x"),
    (["speed", "pinn", "--steps", str(10**12), "--device", "cpu"], str(10**12)),
    (["speed", "pinn", "--rounds", str(10**7), "--device", "cpu"], str(10**7)),
    (["speed", "pinn", "--model", f"fnn:{DIGITS}x1", "--device", "cpu"], "fnn:999"),
    (["speed", "molecular", "--batch", str(10**17), "--device", "cpu"], str(10**17)),
    (["list", "\x00"], "\\x00"),
    (["x" * 9000], "xxx"),
]

COMMANDS = [
    *(([*PINN, "--out", "out", *given], named) for given, named in (*TRAINING, *OF_PINN)),
    *(([*MOLECULAR, "--out", "out", *given], named) for given, named in OF_MOLECULAR),
    *OTHERS,
]


@pytest.mark.parametrize(("arguments", "named"), COMMANDS, ids=short)
def test_a_value_that_cannot_be_is_refused(
    arguments: list[str], named: str, refused: Refusal
) -> None:
    Path("file").write_text("not a folder")
    assert named in refused(arguments)


# One's own objects.

ONCE = """
import torch
from torch.autograd.function import once_differentiable

class Sine(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x.sin()
    @staticmethod
    @once_differentiable
    def backward(context, slope):
        return slope * context.saved_tensors[0].cos()

class Object(torch.nn.Module):
    def forward(self, x):
        return Sine.apply(x)
"""


def activation(body: str) -> str:
    """A module whose ``Object`` is an activation with that body."""
    return f"""
import sys
import torch

class Object(torch.nn.Module):
    def forward(self, x):
        {body}
"""


IMPORTS = {
    "exits": ("import sys\nsys.exit(0)", "SystemExit"),
    "raises what is no Exception": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "raises many lines": ("raise ValueError('a\\x1b[31m\\nb' + 'x' * 9999)", "ValueError: a\\x1b"),
    "has a null byte": ("\x00", "SyntaxError"),
    "has no such encoding": ("# -*- coding: nope -*-", "nope"),
    "refuses attributes": ("def __getattr__(name): raise ValueError('no ' + name)", "no Object"),
}
OBJECTS = {
    "activation": {
        "exits": (activation("sys.exit(3)"), "SystemExit: 3"),
        "prints and raises": (activation("print('loud'); raise ValueError('quiet')"), "quiet"),
        "recurses": (activation("return self(x)"), "RecursionError"),
        "changes the dtype": (activation("return x.double()"), "torch.float64"),
        "returns whole numbers": (activation("return x.int()"), "torch.int32"),
        "cannot be differentiated": (activation("return x.detach()"), "not have been used"),
        "cannot be differentiated twice": (ONCE, "differentiate twice"),
        "returns nothing": (activation("return None"), "NoneType"),
        "is no attribute of its module": ("object = 3", "did you mean 'object'"),
    },
    "normalization": {
        "changes the dtype": (
            "import torch\nclass Object(torch.nn.Module):\n    def __init__(self, n):"
            " super().__init__()\n    def forward(self, x): return x.double()",
            "torch.float64",
        ),
    },
    "rescaling": {
        "has a representation of many lines": (
            "class R:\n    def __repr__(self): return 'a\\nb' * 9999\n"
            "def Object(labels): return R()",
            "a ba b",
        ),
        "exits": ("import sys\ndef Object(labels): sys.exit()", "SystemExit"),
    },
    "initialization": {
        "exits": ("import sys\ndef Object(*given): sys.exit(1)", "SystemExit: 1"),
    },
    "problem": {
        "exits": ("import sys\nclass Object:\n    def __init__(self): sys.exit(0)", "SystemExit"),
        "prints": ("class Object:\n    def __init__(self): print('loud')", "is Object"),
    },
}
OWN = [
    *(pytest.param("activation", *case, id=f"import {name}") for name, case in IMPORTS.items()),
    *(
        pytest.param(axis, *case, id=f"{axis} {name}")
        for axis, cases in OBJECTS.items()
        for name, case in cases.items()
    ),
]


@pytest.mark.parametrize(("option", "source", "named"), OWN)
def test_an_own_object_that_cannot_be_used_is_refused(
    option: str, source: str, named: str, refused: Refusal
) -> None:
    Path("hostile_own.py").write_text(source)
    base = [word for word in PINN if option != "problem" or word not in PINN[1:3]]
    said = refused([*base, "--out", "out", "--json", f"--{option}", "hostile_own:Object"])
    assert named in said and "hostile_own" in said


def test_a_broken_neighbour_that_is_not_imported_is_no_obstacle(refused: Refusal) -> None:
    Path("hostile_own.py").write_text(
        activation("return x.sin()") + "def later():\n    import hostile_own_neighbour\n"
    )
    Path("hostile_own_neighbour.py").write_text("def broken(:")
    # Everything is specified before the store is found to be none.
    Path("file").write_text("")
    assert "file" in refused([*PINN, "--activation", "hostile_own:Object", "--out", "file"])


def test_an_object_of_an_installed_package_is_found_in_no_time(refused: Refusal) -> None:
    """Its package imports thousands of files."""
    Path("file").write_text("")
    began = os.times()
    assert "file" in refused([*PINN, "--activation", "torch.nn:Hardtanh", "--out", "file"])
    assert sum(os.times()[:2]) - sum(began[:2]) < 10


# Files of studies.

STUDY = """question = "Does it help?"

[[part]]
suite = "pinn"
arms = ["baseline", "lsuv"]
"""
ARMS = '["baseline", "lsuv"]'
STUDIES: dict[str, tuple[str | bytes, str]] = {
    "not UTF-8": (STUDY.replace("help", "hélp").encode("latin-1"), "utf-8"),
    "UTF-16": (STUDY.encode("utf-16"), "utf-8"),
    "empty": ("", "question"),
    "huge": (STUDY + "# " + "x" * 2_000_000, "1000000 bytes"),
    "nested": ("question = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    "an unknown key": (STUDY + 'optoins = "--steps 3"\n', "did you mean 'options'"),
    "an unknown key at the top": ('qestion = "y"\n' + STUDY, "did you mean 'question'"),
    "no question": (STUDY.replace("Does it help?", " "), "' '"),
    "a question of two lines": (STUDY.replace("Does it help?", "a\\nb"), "'a\\nb'"),
    "a question that writes on the terminal": (
        STUDY.replace("Does", "\\u001b[31mDoes"),
        "\\x1b[31mDoes",
    ),
    "arms that are text": (STUDY.replace(ARMS, '"lsuv"'), "Expected `array`"),
    "no arms": (STUDY.replace(ARMS, "[]"), "0 arms"),
    "one arm twice": (STUDY.replace(ARMS, '["rescale=1e6", "rescale=1000000.0"]'), "1 arms"),
    "a part that is none": (STUDY.replace("[[part]]", "[part]"), "Expected `array`"),
    "parts that are numbers": ('question = "x"\npart = [1, 2]\n', "Expected `object`"),
    "a pair of three": (STUDY + 'compare = [["lsuv", "baseline", "x"]]\n', "length 2"),
    "another suite": (STUDY.replace('"pinn"', '"../pinn"'), "'../pinn'"),
    "64 factors": (STUDY + f"factors = {json.dumps([f'--a{k}' for k in range(64)])}\n", "2^64"),
    "a factor twice": (STUDY + 'factors = ["lsuv", "lsuv"]\n', "'lsuv', 'lsuv'"),
    "a factor that is nothing": (STUDY + 'factors = ["baseline"]\n', "'baseline'"),
    "a store among the options": (STUDY + 'options = "--out evil"\n', "'--out'"),
    "a path with a null byte": (STUDY + 'options = "--data-root a\\u0000b"\n', "a\\x00b"),
    "an arm with a problem": (STUDY.replace('"lsuv"', '"lsuv --problem x"'), "'--problem'"),
    "a path as a model": (STUDY + 'models = ["../../x"]\n', "'../../x'"),
}


@pytest.mark.parametrize("case", STUDIES)
def test_a_file_that_is_no_study_is_refused(case: str, refused: Refusal) -> None:
    content, named = STUDIES[case]
    Path("mine.toml").write_bytes(content.encode() if isinstance(content, str) else content)
    command = ["study", "mine.toml", "--device", "cpu", "--budget", "smoke", "--out", "out"]
    assert named in refused(command)


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)], ids=range(3)
)
def test_what_is_no_file_is_no_study(make: Callable[[Path], None], refused: Refusal) -> None:
    make(Path("mine.toml"))
    assert "mine.toml" in refused(["study", "mine.toml", "--device", "cpu", "--out", "out"])


@pytest.mark.parametrize(
    "name", ["../../x y.toml", "a\nb.toml", ".toml", "Ü.toml", "x" * 70 + ".toml"]
)
def test_the_name_of_a_study_names_files(name: str, refused: Refusal) -> None:
    assert repr(name)[1:-1] in refused(["study", name, "--device", "cpu", "--out", "out"])


# Stores.


def with_plan(**changes: Any) -> Callable[[Path], None]:
    """Leaves a plan with other fields in a store, beside the record of one run."""

    def make(root: Path) -> None:
        made = sample_study.plan()
        store = Store(root)
        save(made, store)
        path = root / "studies" / f"{made.key}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return make


def with_run(**changes: Any) -> Callable[[Path], None]:
    """Leaves the record of one run in a store."""

    def make(root: Path) -> None:
        Store(root).write(record(msgspec.structs.replace(SPEC, **changes)))

    return make


IN_STORES: list[tuple[Callable[[Path], None], list[str], str]] = [
    (with_run(), ["reproduce", SPEC.hash[:6], "--into", "store"], "'store'"),
    (with_run(), ["reproduce", SPEC.hash[:6], "--into", "store/../store"], "'store/../store'"),
    (with_run(), ["show", SPEC.hash.upper()], SPEC.hash.upper()),
    (with_run(), ["show", SPEC.hash + "0"], SPEC.hash + "0"),
    (with_run(suite="nosuch"), ["report"], "'store'"),
    (with_run(problem="nosuch"), ["report"], "'nosuch'"),
    (with_run(budget="../../x"), ["report"], "'../../x'"),
    (with_plan(), ["report", "--study", "sample", "--html", "file/page.html"], "file/page.html"),
    (with_plan(), ["report", "--study", "sample", "--html", "/proc/page.html"], "/proc/page.html"),
    (with_plan(), ["report", "--study", "sample", "--budget", ""], "''"),
    (with_plan(), ["report", "--study", ""], "''"),
]


@pytest.mark.parametrize(("make", "arguments", "named"), IN_STORES, ids=short)
def test_a_store_that_has_not_what_is_asked_for(
    make: Callable[[Path], None], arguments: list[str], named: str, refused: Refusal
) -> None:
    Path("file").write_text("not a folder")
    make(Path("store"))
    assert named in refused([*arguments, "--out", "store"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"runs": []}, "has no runs"),
        ({"columns": {}}, "does not say how"),
        ({"columns": {p: [[], [], []] for p in sample_study.PROBLEMS}}, "is scored"),
        ({"study": "../../sample"}, "renamed or edited"),
        ({"cells": 3}, "cells"),
    ],
    ids=short,
)
def test_a_damaged_plan_is_ignored_with_a_line_and_then_missing(
    changes: dict[str, Any],
    says: str,
    refused: Refusal,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with_plan(**changes)(Path("store"))
    before = tree(refused.outside)
    assert main(["report", "--study", "sample", "--out", "store"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    ignored, missing = err.splitlines()
    assert ignored.startswith("bench: ignoring a study: ") and says in ignored
    assert missing.startswith("bench: unknown study in 'store': 'sample'")
    assert tree(refused.outside) == before


# The nightly.


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--machine", "../x"], "../x"),
        (["--machine", ""], "''"),
        (["--machine", "a\nb"], "a\\nb"),
        (["--machine", "x" * 300], "xxx"),
        (["--base", ""], "''"),
        (["--branch", ""], "''"),
        (["--results", ""], "''"),
        (["--results", "\x00"], "\\x00"),
        (["--summary", "missing/summary.md"], "missing/summary.md"),
        (["--summary", "."], "'.'"),
        (["--commits", DIGITS], "999"),
        (["--rounds", "1_0"], "1_0"),
        (["--bench", "x" * 9000 + "("], "xxx"),
        (["--profile", "nightli"], "did you mean 'nightly'"),
    ],
    ids=short,
)
def test_the_nightly_refuses_before_it_begins(
    arguments: list[str], named: str, refused: Refusal
) -> None:
    assert named in refused(arguments, bench.nightly.main)


# Real processes.


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*PINN, "--arm", b"\xff"], "\\udcff"),
        ([*PINN, "--seed", str(2**70)], str(2**70)),
        ([*PINN, "--activation", "hostile_own:Object"], "SystemExit: 7"),
    ],
    ids=short,
)
def test_a_real_process(arguments: list[str | bytes], named: str, tmp_path: Path) -> None:
    (tmp_path / "hostile_own.py").write_text("import sys\nprint('loud')\nsys.exit(7)")
    before = tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "bench.suite", *arguments, "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = [line for line in done.stderr.splitlines() if line != "loud"]
    assert named in line
    assert tree(tmp_path) == before


def test_what_an_own_module_prints_is_not_among_the_results(
    refused: Refusal, capfd: pytest.CaptureFixture[str]
) -> None:
    # The second as a library or another process does.
    loud = "print('loud'); import os; os.write(1, b'louder\\n'); return x.sin()"
    Path("hostile_own.py").write_text(activation(loud))
    arguments = ["--activation", "hostile_own:Object", "--no-baseline", "--jobs", "1", "--json"]
    assert main([*PINN, *arguments]) == 0
    out, err = capfd.readouterr()
    assert [run["status"] for run in json.loads(out)] == ["done"]
    assert {"loud", "louder"} <= set(err.splitlines())
