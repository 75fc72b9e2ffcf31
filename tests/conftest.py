"""Shared test set-up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before anything imports torch; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a CUDA device")


#: Files that take minutes and so begin first; the others fill the time beside them.
LONG = ("test_fault_injection.py", "test_nightly.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="torch.cuda is not available: no CUDA device here")
        for item in marked:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def session_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ground truths of tests stay out of the home directory; subprocesses inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCBENCH_CACHE", str(tmp_path_factory.mktemp("dcbench-cache")))
        yield


@pytest.fixture(autouse=True)
def default_dtype() -> Iterator[None]:
    """DeepXDE's dtype is torch's default, which ends with the test that has set it."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(torch.float32)


@pytest.fixture
def own_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Writes a user's module into the working directory, which is a temporary one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)
