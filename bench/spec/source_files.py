"""Where the source of a module lies, without importing it."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path


def find_source(name: str, path: Sequence[str] | None = None) -> Path | None:
    """The Python file of a module or of a package.

    Only what a top-level name stands for is asked of the import system; what is below it lies where
    the names of folders say, so that no package is run.

    Args:
        name: For instance ``bench.training.loop``.
        path: Folders to look in instead of the import system's.

    Returns:
        ``None`` where there is none: a namespace, an extension module, nothing at all.
    """
    top, *below = name.split(".")
    origin, folders = _top_level(top, None if path is None else list(path))
    if not below:
        return origin
    for folder in folders:
        base = folder.joinpath(*below)
        for found in (base / "__init__.py", base.with_suffix(".py")):
            if found.is_file():
                return found
    return None


@functools.cache
def is_importable(top: str) -> bool:
    """Whether there is a top-level module or package of that name, in whatever form."""
    return _spec(top, None) is not None


def _spec(top: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    if path is not None:
        return PathFinder.find_spec(top, path)
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand, as `__main__` may be
        return None


def _top_level(top: str, path: list[str] | None) -> tuple[Path | None, list[Path]]:
    """The file of a top-level name, and the folders of what is below it."""
    spec = _spec(top, path)
    if spec is None:
        return None, []
    source = spec.origin if spec.origin and spec.origin.endswith(".py") else None
    folders = map(Path, spec.submodule_search_locations or ())
    return Path(source) if source else None, list(folders)
