"""References to a user's own objects, and the digest of their sources."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.spec.user_code import source_digest

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file and gives the digest of mine:A as a new process would see it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(name: str, source: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for module in set(sys.modules) - before:
            del sys.modules[module]
        return source_digest("mine:A") if (tmp_path / "mine.py").exists() else ""

    yield put
    for module in set(sys.modules) - before:
        del sys.modules[module]


def test_an_edited_file_has_another_digest(write: Write) -> None:
    first = write("mine.py", "class A: pass")
    assert write("mine.py", "class A: x = 1") != first
    assert write("mine.py", "class A: pass") == first


def test_a_helper_that_is_imported_counts(write: Write) -> None:
    write("helper.py", "from deeper import factor")
    write("deeper.py", "factor = 1")
    first = write("mine.py", "from helper import factor\nclass A: pass")
    assert write("deeper.py", "factor = 2") != first


def test_a_package_of_helpers_counts_with_relative_imports(write: Write) -> None:
    write("own/__init__.py", "from . import inner")
    write("own/inner.py", "from .most import y")
    write("own/most.py", "y = 1")
    first = write("mine.py", "import own\nclass A: pass")
    assert write("own/most.py", "y = 2") != first


def test_a_neighbour_that_is_not_imported_does_not_count(write: Write) -> None:
    first = write("mine.py", "import math\nclass A: pass")
    assert write("other.py", "x = 1") == first
