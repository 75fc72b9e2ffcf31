"""The tensors that a user's functions can see, and the names that they have there.

A function sees its closure, its defaults and the globals that its code names; from there the search
goes on through helper functions, attributes of objects, and elements of lists and dictionaries. A
tensor is named from the variable on: ``C``, ``params[0]``, ``params[k]`` for a key, ``medium.C``,
and without ``self`` for an attribute of the object that a method belongs to.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

from suites.pinn.engine.unknowns import Held

#: How far the search goes from a function through containers and objects, and how many elements of
#: a container it looks at.
_DEPTH, _ELEMENTS = 8, 1000
#: Packages whose globals are not a user's.
_FOREIGN = {"torch", "numpy", "scipy", "deepxde", "bench", "suites", *sys.stdlib_module_names}
_FOREIGN -= {"__main__"}


def held_tensors(roots: Iterable[Any]) -> list[Held]:
    """The tensors that functions and objects can reach, each once, in a fixed order.

    Args:
        roots: Functions, and objects that hold functions.

    Returns:
        Every tensor under its first name; a second tensor of the same name gets ``_2``, and so on.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in _search(roots).found:
        unique, k = name, 1
        while unique in found:
            k += 1
            unique = f"{name}_{k}"
        found[unique] = tensor
    return [Held(name, tensor) for name, tensor in found.items()]


def held_values(roots: Iterable[Any]) -> dict[str, Any]:
    """What else stands under plain names: numbers and arrays, by which a message can be clear."""
    return _search(roots).others


def names_in_code(roots: Iterable[Any]) -> set[str]:
    """The names that the functions look up."""
    return _search(roots).names


def _search(roots: Iterable[Any]) -> _Search:
    search = _Search()
    for root in roots:
        search.look(root, "", 0)
    return search


class _Search:
    """A search, which looks at every object once."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Tensor]] = []
        self.others: dict[str, Any] = {}
        self.names: set[str] = set()
        self._seen: set[int] = set()

    def look(self, value: Any, name: str, depth: int) -> None:
        """Search a value that is reached under a name."""
        if isinstance(value, Tensor):
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self.found.append((name or f"unnamed{len(self.found) + 1}", value))
            return
        if isinstance(value, int | float | complex) or type(value).__module__ == "numpy":
            self.others.setdefault(name, value)
            return
        if value is None or isinstance(value, str | bytes | type | BuiltinFunctionType):
            return
        if depth > _DEPTH or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, FunctionType) and not _is_foreign(value.__module__):
            self.names |= set(_names(value.__code__))
        for part, of_part in _parts(value, name):
            self.look(part, of_part, depth + 1)


def _parts(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    """What a value holds, each with its name."""
    if isinstance(value, FunctionType):
        yield from _seen_by(value)
    elif isinstance(value, MethodType):
        yield value.__self__, ""
        yield value.__func__, ""
    elif isinstance(value, functools.partial):
        yield value.func, name
        yield from ((part, f"{name}[{k}]") for k, part in enumerate(value.args))
        yield from ((part, key) for key, part in value.keywords.items())
    elif isinstance(value, Mapping):
        for key, part in list(value.items())[:_ELEMENTS]:
            yield part, f"{name}[{key}]"
    elif isinstance(value, list | tuple):
        for k, part in enumerate(value[:_ELEMENTS]):
            yield part, f"{name}[{k}]"
    elif isinstance(value, nn.Module):
        for key, part in (*value.named_parameters(), *value.named_buffers()):
            yield part, _joined(name, key)
        yield from _attributes(value, name)
    elif not isinstance(value, ModuleType):
        yield from _attributes(value, name)


def _seen_by(function: FunctionType) -> Iterator[tuple[Any, str]]:
    """Closure, defaults and globals of a function."""
    code = function.__code__
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield cell.cell_contents, "" if variable == "self" else variable
        except ValueError:  # not assigned yet
            continue
    arguments = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    for variable, part in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
        yield part, variable
    yield from ((part, key) for key, part in (function.__kwdefaults__ or {}).items())
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__, ""
    if _is_foreign(function.__module__):
        return
    names = _names(code)
    for variable in names:
        part = function.__globals__.get(variable)
        if not isinstance(part, ModuleType):
            yield part, variable
        elif not _is_foreign(part.__name__):
            # A module of the user's: what the code may take from it.
            yield from (
                (vars(part)[key], f"{variable}.{key}") for key in names if key in vars(part)
            )


def _names(code: CodeType) -> list[str]:
    """The names that a code and the functions inside it look up, in their order."""
    found = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _names(constant)
    return list(dict.fromkeys(found))


def _attributes(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Attributes of an object, and what its class's methods see."""
    for key, part in vars(value).items() if hasattr(value, "__dict__") else ():
        yield part, _joined(name, key)
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, key):
                yield getattr(value, key), _joined(name, key)
    for kind in type(value).__mro__:
        if not _is_foreign(kind.__module__):
            for key, part in vars(kind).items():
                if isinstance(part, Tensor | list | tuple | dict):
                    yield part, _joined(name, key)
                elif isinstance(part, FunctionType):
                    yield part, ""


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_foreign(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _FOREIGN
