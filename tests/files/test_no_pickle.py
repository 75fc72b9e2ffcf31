"""No source unpickles, evaluates or runs what it has read: ruff refuses it.

What ruff cannot know is with which keyword a function is called: that is searched for here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("bench", "suites") for path in (ROOT / folder).rglob("*.py"))
#: Of what may unpickle, the keyword that forbids it.
SAFE = {("allow_pickle", "False"), ("weights_only", "True")}
KEYWORD = re.compile(r"\b(allow_pickle|weights_only)\s*=\s*(\w+)")
#: What excepts a line from the rules, or from all.
EXCEPTION = re.compile(r"noqa(?!:)|noqa:.*\b(TID251|S\d+)")

#: Lines, and the rules that refuse each.
PLANTED = {
    "import pickle": {"TID251"},
    "from pickle import loads": {"TID251"},
    "import _pickle": {"TID251"},
    "import cPickle": {"TID251"},
    "import joblib.memory": {"TID251"},
    "import cloudpickle": {"TID251"},
    "import dill": {"TID251"},
    "import marshal": {"TID251"},
    "import shelve": {"TID251"},
    "pickle.load(file)": {"S301"},
    "marshal.loads(file)": {"S302"},
    "pd.read_pickle(file)": {"TID251", "S301"},
    "np.load(file)": {"TID251"},
    "np.load(file, allow_pickle=True)": {"TID251"},
    "np.lib.format.read_array(file)": {"TID251"},
    "from numpy import load": {"TID251"},
    "torch.load(file)": {"TID251"},
    "torch.load(file, weights_only=False)": {"TID251"},
    "torch.load(file, weights_only=True)": {"TID251"},
    "from torch import load as read": {"TID251"},
    "yaml.load(file, yaml.Loader)": {"TID251"},
    "yaml.unsafe_load(file)": {"TID251"},
    "yaml.full_load_all(file)": {"TID251"},
    "x = eval(file)": {"S307"},
    "exec(file)": {"S102"},
    "net.eval(); yaml.safe_load(file); json.load(file); np.save(file, x)": set(),
}


def test_ruff_refuses() -> None:
    imports = ["import json", "import numpy as np", "import pandas as pd", "import torch"]
    source = "\n".join([*imports, "import yaml", *PLANTED])
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "json"]
    done = subprocess.run(
        [*command, "--stdin-filename", "bench/planted.py", "-"],
        input=source,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found: dict[str, set[str]] = defaultdict(set)
    for fault in json.loads(done.stdout):
        if fault["code"].startswith(("S1", "S3", "TID")):
            found[source.splitlines()[fault["location"]["row"] - 1]].add(fault["code"])
    assert found == {line: rules for line, rules in PLANTED.items() if rules}


def faults(source: str) -> list[str]:
    """What in a source may unpickle: keywords that allow it, exceptions without one."""
    found = [match.group() for match in KEYWORD.finditer(source) if match.groups() not in SAFE]
    exceptions = [line for line in source.splitlines() if EXCEPTION.search(line)]
    return found + [line for line in exceptions if not KEYWORD.search(line)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("reader(path, allow_pickle=True)", ["allow_pickle=True"]),
        ("torch.load(path, weights_only=False)  # noqa: TID251", ["weights_only=False"]),
        ("torch.load(path,\n weights_only = flag)", ["weights_only = flag"]),
        ("np.load(path)  # noqa: TID251", ["np.load(path)  # noqa: TID251"]),
        ("import pickle  # noqa: E402, TID251", ["import pickle  # noqa: E402, TID251"]),
        ("pickle.load(path)  # noqa: S301", ["pickle.load(path)  # noqa: S301"]),
        ("exec(path)  # noqa", ["exec(path)  # noqa"]),
        ("# ruff: noqa", ["# ruff: noqa"]),
        ("np.load(path, allow_pickle=False)  # noqa: TID251", []),
        ("values = [0]  # noqa: RUF012", []),
    ],
)
def test_the_search_finds(source: str, found: list[str]) -> None:
    assert faults(source) == found


def test_no_source_allows_it() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in SOURCES}
    assert len(sources) > 100
    assert {name: found for name, text in sources.items() if (found := faults(text))} == {}
