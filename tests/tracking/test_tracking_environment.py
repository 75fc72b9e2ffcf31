"""asv's environments: made with uv, and without it where it is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_ASK = """
import sys
from asv import environment
from asv.commands import run  # as asv's main does: commands and plugins
from asv.config import Config
from asv.plugin_manager import plugin_manager

conf = Config.load("asv.conf.json")
for plugin in conf.plugins:
    plugin_manager.import_plugin(plugin)
for found in environment.get_environments(conf, None):
    print(type(found).__name__, found.name)
"""


def ask(path: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def folder_with(folder: Path, *tools: str) -> str:
    """A PATH that has nothing but these tools, which do nothing."""
    folder.mkdir()
    for tool in tools:
        (folder / tool).write_text("#!/bin/sh\n")
        (folder / tool).chmod(0o755)
    return str(folder)


def test_uv_on_the_path_or_beside_python_makes_environments(tmp_path: Path) -> None:
    assert "Uv uv-py3.12-uv" in ask(folder_with(tmp_path / "on", "uv", "git"))
    if not Path(sys.executable).with_name("uv").exists():
        pytest.skip("uv is not beside Python here")
    assert "Uv uv-py3.12-uv" in ask(folder_with(tmp_path / "beside", "git"))


def test_without_uv_virtualenv_makes_environments_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine where uv is nowhere: Python is called from a folder without it."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    said = subprocess.run(
        [python, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{_ASK}"],
        cwd=ROOT,
        env={**os.environ, "PATH": folder_with(tmp_path / "empty", "git")},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    assert "UvByVirtualenv uv-py3.12-uv" in said.stdout
    assert "made with virtualenv" in said.stdout + said.stderr
