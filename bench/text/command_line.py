"""The parser of the command lines: bad input is one clear line."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.text.errors import BadInput, unknown
from bench.text.numbers import parse_real, parse_whole


class Parser(argparse.ArgumentParser):
    """Raises one clear line, with the nearest match, instead of printing the usage.

    The types ``int``, ``float`` and ``Path`` take what `parse_whole`, `parse_real` and a file
    system take. An action may have an attribute ``also``: what other programs call its option.

    Attributes:
        hint: Says what to do about an option that there is not, if it knows; else ``None``.
    """

    def __init__(self, **options: Any) -> None:
        # Examples stand as they are written.
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self.hint: Callable[[str], str | None] = lambda flag: None
        self.register("type", int, _saying_why(parse_whole))
        self.register("type", float, _saying_why(parse_real))
        self.register("type", Path, _saying_why(parse_path))

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else str(action.metavar)
            raise unknown(name.lower(), str(value), action.choices)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            try:
                word.encode()
            except UnicodeEncodeError:
                # It would be in a record, which is UTF-8.
                raise BadInput(f"{word!r} is not UTF-8") from None
        found, rest = super().parse_known_args(words, namespace)
        for text in rest:
            if text.startswith("--"):
                raise self._unknown_option(text.partition("=")[0])
        return found, rest

    def _unknown_option(self, flag: str) -> BadInput:
        for action in self._actions:
            if flag.lstrip("-") in getattr(action, "also", ()):
                (name,) = action.option_strings
                return BadInput(f"unknown option {flag!r}: it is called {name!r} here")
        if (said := self.hint(flag)) is not None:
            return BadInput(f"unknown option {flag!r}: {said}")
        return unknown("option", flag, self._option_string_actions)


def _saying_why(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type of argparse that keeps the message of a ``ValueError``."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def parse_path(text: str) -> Path:
    """A path that a file could have, whether or not there is one.

    Raises:
        ValueError: It is empty, or the system takes no such name.
    """
    if not text:
        raise ValueError(f"must be a path, got {text!r}")
    path = Path(text)
    try:
        path.lstat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise ValueError(f"must be a path, got {text!r}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"must be a path, got {text!r}: {error}") from error
    return path
