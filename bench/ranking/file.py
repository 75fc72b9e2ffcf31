"""Arms of a ranking in a TOML file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bench.files.atomic import read_bounded
from bench.ranking.ranking import Contestant
from bench.text.errors import BadInput, unknown

#: Bytes of a file.
_LARGEST = 1_000_000
#: The tables of a file, each with any number of arms.
TABLES = ("candidate", "against")
#: The keys of an arm.
_KEYS = ("arm", "name", "tune")


def read_entries(path: Path, kind: str) -> list[Contestant]:
    """The arms that a file has under ``[[candidate]]`` or ``[[against]]``.

    Args:
        path: The file.
        kind: Which of `TABLES` is read.

    Raises:
        BadInput: The file cannot be read, has no such table, or something in it is wrong.
    """
    name = str(path)
    try:
        found = msgspec.toml.decode(read_bounded(path, _LARGEST))
        for key in found:
            if key not in TABLES:
                raise unknown(f"key in {name!r}:", key, TABLES)
        every = {table: _decode(found.get(table, []), table, name) for table in TABLES}
    except OSError as error:
        raise BadInput(f"cannot read {name!r}: {error.strerror}") from error
    except BadInput:
        raise
    except RecursionError as error:
        raise BadInput(f"{name!r} is nested too deeply") from error
    except ValueError as error:  # of TOML, of UTF-8 and of msgspec
        raise BadInput(f"{name!r}: {error}") from error
    if not every[kind]:
        raise BadInput(f"{name!r} has no [[{kind}]]")
    return every[kind]


def _decode(entries: Any, table: str, name: str) -> list[Contestant]:
    """The arms of one table."""
    for entry in entries if isinstance(entries, list) else []:
        for key in entry if isinstance(entry, dict) else ():
            if key not in _KEYS:
                raise unknown(f"key of [[{table}]] in {name!r}:", key, _KEYS)
    return msgspec.convert(entries, list[Contestant])
