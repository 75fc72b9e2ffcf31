"""Options, declared once: command-line flags, keys of a study's file and Python arguments."""

from __future__ import annotations

import argparse
import functools
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, get_args, get_origin

import msgspec

from bench.text.command_line import parse_path
from bench.text.errors import BadInput, unknown


@dataclass(frozen=True)
class Doc:
    """The documentation of an option.

    Attributes:
        text: One line for the help.
        value: The placeholder of the value in the help, for instance ``N``; empty for a switch.
        choices: The values that it takes; if empty, any of its type.
        also: Other programs' names of it, for a hint: ``epochs`` for ``steps``.
        flag: Its flag without dashes, if it is not the field's name.
    """

    text: str
    value: str = ""
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    flag: str = ""


def one_of(entries: Mapping[str, Any]) -> Doc:
    """The documentation of an option that names one of some entries, each with a ``summary``."""
    said = "; ".join(f"{name}: {entry.summary}" for name, entry in entries.items())
    return Doc(said, "NAME", tuple(entries))


class Declared(typing.NamedTuple):
    """One option of a struct.

    Attributes:
        name: Name of the field, which is also the key in a file and the argument in Python.
        flag: The flag on the command line, with its dashes.
        kind: The type of each value: ``int``, ``float``, ``str``, ``Path`` or ``bool``.
        repeated: Whether it takes several values, each after a flag of its own.
        default: The value if it is not given.
        doc: Its documentation.
    """

    name: str
    flag: str
    kind: type
    repeated: bool
    default: Any
    doc: Doc


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of structs whose fields are options.

    Every field is ``Annotated[type, Doc(…)]`` with a default. Its type is ``int``, ``float``,
    ``str`` or ``Path``, one of these or ``None``, a ``tuple`` of any number of one of them, or
    ``bool`` with the default ``False``.
    """

    @classmethod
    def declared(cls) -> list[Declared]:
        """The options in the order of their declaration, inherited ones last."""
        return list(_declared(cls))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The options that keys and values name, as in a file or a Python call.

        A number may stand for its text, a text for a path, and one value for a list of values.

        Raises:
            BadInput: A key is unknown (the message has the nearest match), or a value does not fit
                its option.
        """
        known = {option.name: option for option in cls.declared()}
        for key in given:
            if key not in known:
                raise unknown_option(key, known.values())
        return cls(**{key: _checked(known[key], value) for key, value in given.items()})

    @classmethod
    def read(cls, namespace: argparse.Namespace) -> Self:
        """The options that a parser with their flags (`add_flags`) has read."""
        given: dict[str, Any] = {}
        for option in cls.declared():
            value = getattr(namespace, option.name)
            if not option.repeated:
                given[option.name] = value
            elif value is not None:
                given[option.name] = tuple(value)
        return cls(**given)

    def words(self) -> list[str]:
        """The words of a command line that give these options; nothing for a default."""
        words: list[str] = []
        for option in self.declared():
            value = getattr(self, option.name)
            if value == option.default:
                continue
            if option.kind is bool:
                words.append(option.flag)
                continue
            for one in value if option.repeated else (value,):
                # An equals sign keeps a value that begins with a dash.
                text = str(one)
                words += [f"{option.flag}={text}"] if text[:1] == "-" else [option.flag, text]
        return words


@functools.cache
def _declared(cls: type[Options]) -> tuple[Declared, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__annotations__", ())}
    for field in sorted(msgspec.structs.fields(cls), key=lambda f: f.name in inherited):
        annotated, doc = get_args(hints[field.name])
        kind, repeated = _kind(annotated)
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        flag = "--" + (doc.flag or field.name.replace("_", "-"))
        found.append(Declared(field.name, flag, kind, repeated, default, doc))
    return tuple(found)


def _kind(annotated: Any) -> tuple[type, bool]:
    """The type of a value, and whether there may be several."""
    if get_origin(annotated) in (types.UnionType, typing.Union):
        (annotated,) = (one for one in get_args(annotated) if one is not type(None))
    if get_origin(annotated) is tuple:
        return get_args(annotated)[0], True
    return annotated, False


def add_flags(
    parser: argparse._ActionsContainer,
    options: type[Options],
    notes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Add the flags of a struct of options to a parser or a group of one.

    Args:
        parser: The parser or group.
        options: The struct of options.
        notes: Additions to the help of some options, by the fields' names.
    """
    for option in options.declared():
        doc = option.doc
        if option.kind is bool:
            switch = parser.add_argument(
                option.flag, action="store_true", dest=option.name, help=_escaped(doc.text)
            )
            switch.also = doc.also  # type: ignore[attr-defined]
            continue
        text = f"{doc.text}; repeat for several" if option.repeated else doc.text
        if note := notes.get(option.name):
            text += f"; {note}"
        if option.default not in (None, (), ""):
            default = option.default if option.repeated else (option.default,)
            text += f" (default: {' '.join(map(str, default))})"
        action = parser.add_argument(
            option.flag,
            dest=option.name,
            type=option.kind,
            action="append" if option.repeated else "store",
            default=None if option.repeated else option.default,
            choices=doc.choices or None,
            metavar=doc.value,
            help=_escaped(text),
        )
        action.also = doc.also  # type: ignore[attr-defined]


def _escaped(text: str) -> str:
    """The text for a help, in which argparse expands formats."""
    return text.replace("%", "%%")


def unknown_option(key: str, known: Iterable[Declared], kind: str = "option") -> BadInput:
    """The error about a key that is no option; it has the option's name here or the nearest match.

    Args:
        key: The key as it was given.
        known: The known options.
        kind: The word for an option in the message.
    """
    options = list(known)
    for option in options:
        if key.replace("_", "-") in option.doc.also:
            return BadInput(f"unknown {kind} {key!r}: it is called {option.name!r} here")
    return unknown(kind, key, (option.name for option in options))


def _checked(option: Declared, value: Any) -> Any:
    """A value of an option in the option's type.

    Raises:
        BadInput: The value does not fit. The message has the option, the value and what it may be.
    """
    if option.repeated:
        several = (value,) if isinstance(value, str | bytes | int | float | Path) else value
        if not isinstance(several, Sequence):
            raise BadInput(f"{option.name} must be a list of values, got {value!r}")
        return tuple(_single(option, one) for one in several)
    if value is None and option.default is None:
        return None
    return _single(option, value)


def _single(option: Declared, value: Any) -> Any:
    kind: Any = option.kind
    name = option.name
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if kind is Path and isinstance(value, str):
        try:
            value = parse_path(value)
        except ValueError as error:
            raise BadInput(f"{name} {error}") from error
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise BadInput(f"{name} must be {_WHAT[kind]}, got {value!r}")
    if kind is int and abs(value) >= 10**18:
        raise BadInput(f"{name} must be a whole number of at most 18 digits, got {value!r}")
    if option.doc.choices and value not in option.doc.choices:
        raise unknown(name, value, option.doc.choices)
    return value


_WHAT: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
