"""The digest of the code that a result depends on, definition by definition.

From the roots of a run, which are names of definitions, a static look follows every name that a
definition uses to the definition of that name, as far as the run's own packages go; what others
(torch, DeepXDE) define is covered by their versions. Nothing is imported. What counts is what
`bench.spec.definitions.Content` says of each definition that is reached, and beside it what their
modules, and those that these import, do when they are imported.

Counted for safety, although a run may not need it:

* of a class, all of it, but for a root ``module:Class.method`` that hands ``self`` to no other;
* a whole module, where it is used as an object (``getattr(module, name)``), where all its names are
  imported (``*``), where it is asked for a name that it does not define (``__getattr__``), and
  where it imports under a computed name itself;
* what a branch that is never taken uses.

Not counted are the entries of tables: dictionaries at the top level of a module, whose values have
reference strings, ``{"tanh": "package.module:Tanh"}``. What a run uses of them is a root. Nor is
what cannot be told from the source: attributes that are set from elsewhere, compiled extensions,
files. Sources in another language are a root of their own, ``package:folder/``: all files in a
folder of a package, their comments included.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.spec.definitions import EFFECTS, Content, Import, Module, Use
from bench.spec.source_files import find_source

#: In the place of a name: all that a module has.
_ALL = "<all>"

#: Programs of several suites share the harness.
_parsed = functools.cache(Module)


class Unit(NamedTuple):
    """What is counted as one.

    Attributes:
        module: Its module.
        name: The name of a definition, ``Class.method``, or one of two in angle brackets: what
            importing the module does, and all of the module.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


class Meaning(NamedTuple):
    """What a name stands for: in words, and as units if it is defined in the packages."""

    words: set[str]
    units: set[Unit]


class Program:
    """The sources of some packages. Each is read once.

    Args:
        packages: Names of top-level packages or modules: those whose definitions count.
        path: Folders to look for them in, instead of the import system's.
    """

    def __init__(self, packages: Iterable[str], path: Sequence[str] | None = None) -> None:
        self._packages = frozenset(packages)
        self._path = path
        self._modules: dict[str, Module | None] = {}
        self._nodes: dict[Unit, tuple[str, frozenset[Unit]]] = {}
        self._digests: dict[str, str] = {}

    def digest(self, root: str) -> str:
        """16 hexadecimal digits of all that a definition is made of.

        Args:
            root: ``module:name``, ``module:Class.method``, ``package:folder/``, or a dotted name as
                of an import, which may be that of a module: all of it.

        Raises:
            LookupError: There is no such definition in the packages.
        """
        if root not in self._digests:
            digest = hashlib.sha256()
            if root.endswith("/"):
                for file in self._files(root):
                    digest.update(f"{file.name} {file.stat().st_size}\n".encode())
                    digest.update(file.read_bytes())
                return self._digests.setdefault(root, digest.hexdigest()[:16])
            for unit in sorted(self.closure(root)):
                digest.update(f"{unit} {self._node(unit)[0]}\n".encode())
            self._digests[root] = digest.hexdigest()[:16]
        return self._digests[root]

    def _files(self, root: str) -> list[Path]:
        """The files of a root ``package:folder/``."""
        package, _, folder = root.rstrip("/").partition(":")
        source = find_source(package, self._path)
        found = sorted((source.parent / folder).glob("*")) if source and folder else []
        if not found:
            raise LookupError(f"there are no files {root!r}")
        return [file for file in found if file.is_file()]

    def closure(self, root: str) -> frozenset[Unit]:
        """What `digest` covers, but for the files of a folder.

        Raises:
            LookupError: There is no such definition in the packages.
        """
        if root.endswith("/"):
            return frozenset()
        waiting = list(self._root(root))
        found = set(waiting)
        while waiting:
            new = self._node(waiting.pop())[1] - found
            found |= new
            waiting.extend(new)
        return frozenset(unit for unit in found if self._node(unit)[0])

    def _root(self, root: str) -> set[Unit]:
        name, given, attributes = root.partition(":")
        if not given:
            top, *names = root.split(".")
            return self._attribute(top, names).units
        path = attributes.split(".")
        module = self._module(name)
        if module is None or path[0] not in module.statements | module.imports:
            raise LookupError(f"there is no definition {root!r}")
        units = self._attribute(name, path).units
        return {self._method(unit, path[1]) for unit in units} if len(path) == 2 else units

    def _method(self, unit: Unit, method: str) -> Unit:
        """A class's method; all of the class where a base class defines it."""
        module = self._module(unit.module)
        part = f"{unit.name}.{method}"
        return Unit(unit.module, part) if module and module.content(part) else unit

    def _module(self, name: str) -> Module | None:
        """A module of the packages; ``None`` for any other, and where there is no source."""
        if name not in self._modules:
            ours = name.partition(".")[0] in self._packages
            source = find_source(name, self._path) if ours else None
            self._modules[name] = None
            if source is not None:
                is_package = source.name == "__init__.py"
                self._modules[name] = _parsed(name, is_package, source.read_bytes())
        return self._modules[name]

    def _node(self, unit: Unit) -> tuple[str, frozenset[Unit]]:
        """The digest of what a unit says, empty if it says nothing, and the units that it uses."""
        if unit not in self._nodes:
            module = self._module(unit.module)
            assert module is not None
            self._nodes[unit] = self._read(module, unit.name)
        return self._nodes[unit]

    def _read(self, module: Module, part: str) -> tuple[str, frozenset[Unit]]:
        if part == _ALL:
            return "all", frozenset(self._all(module))
        content = module.content(part)
        assert content is not None
        digest, used = self._content(module, content)
        if part == EFFECTS:
            return digest if module.effects else "", used | self._further_effects(module)
        return digest, used | {Unit(module.name, EFFECTS)}

    def _further_effects(self, module: Module) -> set[Unit]:
        """What else happens when a module is imported."""
        above = module.name.rpartition(".")[0]
        names = [name for name in (*module.imported, above) if self._module(name) is not None]
        found = {Unit(name, EFFECTS) for name in names}
        for decorated in module.decorated:
            # A decorator of these packages may enter what it decorates somewhere.
            if self._content(module, module.read(decorated.decorator_list))[1]:
                found.add(Unit(module.name, decorated.name))
        return found

    def _all(self, module: Module) -> Iterator[Unit]:
        yield Unit(module.name, EFFECTS)
        for name in module.statements:
            yield Unit(module.name, name)
        for imports in module.imports.values():
            for found in imports:
                yield from self._imported(found, []).units
        for star in module.stars:
            yield from self._attribute(star, []).units

    def _content(self, module: Module, content: Content) -> tuple[str, frozenset[Unit]]:
        """The digest of what was read, with what its names stand for, and the units it uses."""
        said: set[str] = set()
        units: set[Unit] = set()
        for use in content.uses:
            words, used = self._use(module, use)
            said.update(f"{'.'.join(use.path)} is {word}" for word in words)
            # What only words a failure is no part of the code.
            units |= {unit for unit in used if not (use.raised and self._is_function(unit))}
        for reference in content.references:
            name, _, attributes = reference.partition(":")
            units |= self._attribute(name, attributes.split(".")).units
        for name in content.modules:
            units |= self._attribute(name, []).units
        if content.is_computed:
            units.add(Unit(module.name, _ALL))
        text = "\n".join([content.text, *sorted(said)])
        return hashlib.sha256(text.encode()).hexdigest(), frozenset(units)

    def _is_function(self, unit: Unit) -> bool:
        module = self._module(unit.module)
        return module is not None and module.is_function(unit.name)

    def _use(self, module: Module, use: Use) -> Meaning:
        if use.imported is not None:
            return self._imported(use.imported, use.path[1:])
        return self._named(module, use.path)

    def _named(self, module: Module, path: Sequence[str]) -> Meaning:
        """What a name at the top level of a module, with attributes, stands for."""
        name, *rest = path
        found = Meaning(set(), set())
        if name in module.statements:
            unit = Unit(module.name, name)
            found.words.add(str(unit))
            found.units.add(unit)
        meanings = [self._imported(imported, rest) for imported in module.imports.get(name, ())]
        if not found.words and not meanings:  # a builtin, or one of all that another module has
            meanings = [self._attribute(star, []) for star in module.stars]
        for words, units in meanings:
            found.words.update(words)
            found.units.update(units)
        return found

    def _imported(self, found: Import, rest: Sequence[str]) -> Meaning:
        return self._attribute(found.module, [*([found.name] if found.name else []), *rest])

    def _attribute(self, name: str, path: Sequence[str]) -> Meaning:
        """What attributes of a module, asked for one after another, stand for."""
        module = self._module(name)
        if module is None:
            return Meaning({".".join([name, *path])}, set())
        if path and path[0] in module.statements | module.imports:
            found = self._named(module, path)
            found.units.add(Unit(name, EFFECTS))
            return found
        if path and self._module(f"{name}.{path[0]}") is not None:
            return self._attribute(f"{name}.{path[0]}", path[1:])
        return Meaning({name}, {Unit(name, _ALL)})


@functools.cache
def _program(packages: frozenset[str]) -> Program:
    return Program(packages)


def code_digests(roots: Iterable[str]) -> dict[str, str]:
    """The digest of what each root is made of, in the roots' packages and in the harness.

    Args:
        roots: See `Program.digest`.

    Returns:
        16 hexadecimal digits by root, in the order of the roots' names.

    Raises:
        LookupError: There is no such definition.
    """
    ordered = sorted(set(roots))
    tops = (root.partition(":")[0].partition(".")[0] for root in ordered)
    program = _program(frozenset({"bench", *tops}))
    return {root: program.digest(root) for root in ordered}
