"""The parser of the command lines: bad input is one clear line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from bench.errors import BadInput, unknown


class Parser(argparse.ArgumentParser):
    """Raises one clear line, with the nearest match, instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else str(action.metavar)
            raise unknown(name.lower(), str(value), action.choices)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        for text in rest:
            if text.startswith("--"):
                raise unknown("option", text.partition("=")[0], self._option_string_actions)
        return found, rest
