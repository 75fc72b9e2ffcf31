"""Shared test set-up."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import command_server
import pytest

# Before anything imports torch; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-processes",
        action="store_true",
        help="start every process as a new interpreter, see tests/command_server.py",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not (hasattr(config, "workerinput") or config.getoption("real_processes")):
        config.add_cleanup(command_server.start_server())
    # What the tests import is no garbage: it is not looked through, now, after every run that is
    # trained, or at the end.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers: a truth is solved once
    with pytest.MonkeyPatch.context() as patch, command_server.serve_workers():
        patch.setenv("DCBENCH_CACHE", str(folder / "dcbench-cache"))
        yield


@pytest.fixture(autouse=True)
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and workers are new interpreters, as a user's are, where the test is marked so."""
    if request.node.get_closest_marker("real_processes"):
        monkeypatch.delenv(command_server.ADDRESS, raising=False)


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
