"""Where in a user's own files an exception is from."""

from __future__ import annotations

import importlib.metadata
import sys
import sysconfig
import traceback
from pathlib import Path

from bench.spec.source_files import find_source


def place_of(error: BaseException) -> str:
    """The deepest line of a user's own files that an exception passed through.

    Own is what belongs neither to Python, nor to an installed package, nor to the harness and its
    suites.

    Returns:
        For instance ``mine.py, line 12``: the file as seen from the working directory. Empty where
        there is no such line, or where the exception is a ``SyntaxError``, whose message names it.
    """
    if isinstance(error, SyntaxError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_own(frame.filename):
            return f"{_seen(Path(frame.filename))}, line {frame.lineno}"
    return ""


def in_place(error: BaseException) -> str:
    """`place_of` in brackets, to be put behind a message; empty where that is empty."""
    place = place_of(error)
    return f" ({place})" if place else ""


def is_own(filename: str) -> bool:
    """Whether the file of a frame is a user's own."""
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    return {path, *path.parents}.isdisjoint(_installed() | _harness())


def _installed() -> set[Path]:
    """The folders of Python's own modules and of installed packages, the system's among them."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path("/usr/lib"), *(Path(sysconfig.get_path(name)).resolve() for name in names)}


def _harness() -> set[Path]:
    """The folders of this package and of the suites, and the files of suites of one file."""
    found = {Path(__file__).resolve().parents[1]}
    for suite in importlib.metadata.entry_points(group="bench.suites"):
        # One that this process has not imported has modules that it may have.
        file = getattr(sys.modules.get(suite.module), "__file__", None)
        if source := file or find_source(suite.module):
            path = Path(source).resolve()
            found.add(path.parent if "." in suite.module else path)
    return found


def _seen(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
