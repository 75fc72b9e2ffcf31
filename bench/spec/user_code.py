"""`package.module:attribute` references to a user's own objects."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.spec.source_files import find_source
from bench.text.errors import BadInput, unknown
from bench.text.stdout import kept_for_results

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(text: str) -> bool:
    """Whether `text` has the form ``package.module:attribute``."""
    return _REFERENCE.fullmatch(text) is not None


def _look_here() -> None:
    """Let the working directory be one where modules are found."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _module(reference: str) -> ModuleType:
    name = reference.partition(":")[0]
    _look_here()
    with users_code(f"cannot import {name!r} of {reference!r}"):
        return importlib.import_module(name)


@contextlib.contextmanager
def users_code(failure: str) -> Iterator[None]:
    """Runs a user's own code, which may print (on stderr), raise and exit.

    Args:
        failure: What its failure means, for the message.

    Raises:
        BadInput: It raised anything but a ``KeyboardInterrupt``, which is Ctrl-C.
    """
    try:
        with kept_for_results():
            yield
    except (BadInput, KeyboardInterrupt):
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInput(f"{failure}: {reason}") from error


def load(reference: str) -> Any:
    """The object that ``package.module:attribute`` names.

    Raises:
        BadInput: The form is wrong, the module does not import, or has no such attribute.
    """
    if not is_reference(reference):
        raise BadInput(f"{reference!r} is not of the form package.module:attribute")
    found: Any = _module(reference)
    for attribute in reference.partition(":")[2].split("."):
        with users_code(f"cannot get {attribute!r} of {reference!r}"):
            try:
                found = getattr(found, attribute)
            except AttributeError:
                raise unknown(
                    f"attribute in {reference!r}:",
                    attribute,
                    [name for name in dir(found) if not name.startswith("_")],
                ) from None
    return found


def source_digest(reference: str) -> str:
    """Digest of the sources behind a reference, so that an edited file is a new spec.

    It covers the module's file and the modules beside or below it that it imports, directly or
    through each other, but for the harness and its suites, which may lie there, too; of an
    installed package, all files that were installed with it.

    Returns:
        16 hexadecimal digits.
    """
    module = _module(reference)
    file = getattr(module, "__file__", None)
    path = Path(str(file)).resolve()
    digest = hashlib.sha256()
    if _is_installed(path) and (listed := _listed(module.__name__.partition(".")[0])):
        digest.update(listed.encode())
        return digest.hexdigest()[:16]
    for source in sorted(_sources(path, module.__name__) if file else ()):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=256)
def imported_names(reference: str, digest: str) -> tuple[str, ...]:
    """All that the sources behind a reference import, in dotted names, without importing it.

    Args:
        reference: ``package.module:attribute``.
        digest: Its `source_digest`, for which the answer is kept.
    """
    del digest
    _look_here()
    name = reference.partition(":")[0]
    path = find_source(name)
    if path is None:
        return ()
    path = path.resolve()
    # What is installed imports thousands of files of other packages, which would take minutes.
    sources = {path} if _is_installed(path) else _sources(path, name)
    root = _root(path, name)
    imports = {found for source in sources for found in _imported(source, root)}
    return tuple(sorted(f"{module}.{name}".rstrip(".*") for module, name in imports))


def _is_installed(path: Path) -> bool:
    """Whether a file came with an installed package."""
    folders = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return not folders.isdisjoint(path.parents)


@functools.cache
def _listed(package: str) -> str:
    """Names and digests of the Python files that came with an installed package."""
    names = sorted(set(importlib.metadata.packages_distributions().get(package, ())))
    files = (file for name in names for file in importlib.metadata.files(name) or ())
    return "\n".join(f"{f} {f.hash.value}" for f in files if f.suffix == ".py" and f.hash)


@functools.cache
def _harness() -> frozenset[str]:
    """The top-level packages of the harness and its suites, which have digests of their own."""
    suites = importlib.metadata.entry_points(group="bench.suites")
    return frozenset({"bench", *(suite.module.partition(".")[0] for suite in suites)})


def _root(path: Path, name: str) -> Path:
    """The folder that is on the path: that of the top-level package or module."""
    return path.parents[name.count(".") + (path.name == "__init__.py")]


def _sources(first: Path, module: str) -> set[Path]:
    """A module's own file, and those that it imports from the same place."""
    root = _root(first, module)
    others = _harness() - {module.partition(".")[0]}
    found: set[Path] = set()
    waiting = [first]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for imported, name in _imported(path, root):
            if imported.partition(".")[0] in others:
                continue
            base = root.joinpath(*imported.split("."))
            for place in (base, base / name):
                sources = (place.with_suffix(".py"), place / "__init__.py")
                waiting += [source for source in sources if source.is_file()]
    return found


def _imported(path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Modules that a source file may import, as seen from `root`, each with a name in it, which
    may be a module, too; the name is empty where the module itself is imported."""
    package = path.parent.relative_to(root).parts
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        # An extension module, or a neighbour that is broken and has not been imported yet.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)
