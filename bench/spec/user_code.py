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
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.spec.randomness import seeded_generators
from bench.spec.source_files import find_source
from bench.spec.user_frames import in_place, is_own
from bench.text.errors import BadInput, nearest, typed, unknown
from bench.text.stdout import kept_for_results

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(text: str) -> bool:
    """Whether `text` has the form ``package.module:attribute``."""
    return _REFERENCE.fullmatch(text) is not None


def spelled_as_reference(text: str) -> str | None:
    """What a text should be that was meant as ``package.module:attribute``, if it was.

    ``mine.Snake``, ``mine.py:Snake`` and ``./mine:Snake`` are ``mine:Snake``.
    """
    if not re.search(r"[./:\\]", text):
        return None
    name, given, attribute = text.partition(":")
    name = name.removeprefix("./")
    if not given:
        name, _, attribute = name.rpartition(".")
    module = name.removesuffix(".py").strip("/\\").replace("/", ".").replace("\\", ".")
    meant = f"{module}:{attribute}"
    return meant if is_reference(meant) and attribute != "py" else "package.module:attribute"


def see_working_directory() -> None:
    """Let a user's modules be found where the command was given.

    A folder may have a ``bench`` of its own: then this package goes first, for the processes that
    are started later and import it anew.
    """
    here = Path.cwd()
    if "" in sys.path or str(here) in sys.path:
        return
    sys.path.insert(0, str(here))
    root = Path(__file__).resolve().parents[2]
    if root != here and any((here / name).exists() for name in ("bench", "bench.py")):
        sys.path.insert(0, str(root))


def _module(reference: str) -> ModuleType:
    name = reference.partition(":")[0]
    see_working_directory()
    failure = f"cannot import {name!r} of {reference!r}"
    if name in sys.modules:
        return sys.modules[name]
    source = find_source(name)
    # What a user's module draws while it is imported is the same in each process.
    draws = source is None or is_own(str(source))
    seeded = seeded_generators("import") if draws else contextlib.nullcontext()
    with users_code(failure), seeded:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or f"{name}.".find(f"{error.name}.") != 0:
                raise  # something that the module imports
            raise _not_found(failure, error.name) from None


def _not_found(failure: str, module: str) -> BadInput:
    """The error about a module, or a package that it is said to be in, that is not there."""
    *packages, last = module.split(".")
    folder = Path.cwd().joinpath(*packages)
    near = nearest(last, _modules_in(folder))
    return BadInput(f"{failure}: no module {module!r} in {folder} or on the Python path{near}")


def _modules_in(folder: Path) -> list[str]:
    """Names of the modules and packages in a folder."""
    if not folder.is_dir():
        return []
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return sorted({path.stem for path in folder.glob("*.py")} - {"__init__"} | set(packages))


@contextlib.contextmanager
def users_code(failure: str) -> Iterator[None]:
    """Runs a user's own code, which may print (on stderr), raise and exit.

    Args:
        failure: What its failure means, for the message.

    Raises:
        BadInput: It raised anything but a ``KeyboardInterrupt``, which is Ctrl-C. The message names
            the line of the user's own file.
    """
    try:
        with kept_for_results():
            yield
    except (BadInput, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise BadInput(f"{failure}: {typed(error)}{in_place(error)}") from error


def load(reference: str) -> Any:
    """The object that ``package.module:attribute`` names.

    Raises:
        BadInput: The form is wrong, the module does not import, or has no such attribute.
    """
    if not is_reference(reference):
        raise BadInput(f"{reference!r} is not of the form package.module:attribute")
    name, _, attribute = reference.partition(":")
    if name.endswith(".py"):
        meant = f"{name.removesuffix('.py')}:{attribute}"
        raise BadInput(
            f"{reference!r} names a file; one's own is written module:attribute, {meant!r}"
        )
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
    for source in sorted(source_files(reference)):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def source_files(reference: str) -> set[Path]:
    """The files behind a reference that `source_digest` reads: none of an installed package, whose
    files were listed when it was installed."""
    module = _module(reference)
    file = getattr(module, "__file__", None)
    if file is None:
        return set()
    path = Path(file).resolve()
    if _is_installed(path) and _listed(module.__name__.partition(".")[0]):
        return set()
    return _sources(path, module.__name__)


def check_sources(sources: Mapping[str, str]) -> None:
    """Refuse weights that were trained with other code of a user's own: they mean nothing to it.

    Args:
        sources: Digest of each reference, as of `Spec.sources`.

    Raises:
        BadInput: One has changed.
    """
    for name, digest in sources.items():
        if source_digest(name) != digest:
            raise BadInput(f"{name} has changed since")


@functools.lru_cache(maxsize=256)
def imported_names(reference: str, digest: str) -> tuple[str, ...]:
    """All that the sources behind a reference import, in dotted names, without importing it.

    Args:
        reference: ``package.module:attribute``.
        digest: Its `source_digest`, for which the answer is kept.
    """
    del digest
    see_working_directory()
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
