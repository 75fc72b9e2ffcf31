"""No source unpickles, evaluates or runs what it has read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What `bench.execution.run_all` receives is pickled by its own child.
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("bench", "suites")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "bench" / "executors.py"
)
MODULES = {"pickle", "cPickle", "_pickle", "shelve", "marshal", "joblib", "dill", "cloudpickle"}
#: Of these calls, by their last two names, the keyword that must be given, and its value.
REQUIRED = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "format.read_array": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
FORBIDDEN = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "pd.read_pickle"}


def name_of(function: ast.expr) -> str:
    """The last two names of what is called."""
    if isinstance(function, ast.Attribute):
        return f"{name_of(function.value).rpartition('.')[2]}.{function.attr}".lstrip(".")
    return function.id if isinstance(function, ast.Name) else ""


def faults(source: str) -> list[str]:
    """What in a source is not allowed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            found += [name for name in names if name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            given = {
                word.arg: word.value.value
                for word in node.keywords
                if isinstance(word.value, ast.Constant)
            }
            keyword, value = REQUIRED.get(name, (None, None))
            if name in FORBIDDEN or (keyword and given.get(keyword) is not value):
                found.append(name)
            for pair in (("allow_pickle", True), ("weights_only", False)):
                if pair in given.items() and name not in found:
                    found.append(name)
    return found


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("import joblib.memory", "joblib.memory"),
        ("np.load(path)", "np.load"),
        ("np.load(path, allow_pickle=True)", "np.load"),
        ("np.lib.format.read_array(file)", "format.read_array"),
        ("reader(path, allow_pickle=True)", "reader"),
        ("torch.load(path)", "torch.load"),
        ("torch.load(path, weights_only=flag)", "torch.load"),
        ("yaml.load(text)", "yaml.load"),
        ("x = eval(text)", "eval"),
        ("exec(text)", "exec"),
    ],
)
def test_the_search_finds(source: str, fault: str) -> None:
    assert faults(source) == [fault]


def test_the_search_finds_nothing_else() -> None:
    assert not faults("net.eval(); yaml.safe_load(t); np.load(p, allow_pickle=False)")


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_sources(path: Path) -> None:
    assert faults((ROOT / path).read_text()) == []
