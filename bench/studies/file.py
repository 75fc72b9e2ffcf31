"""A study of one's own: a TOML file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec

from bench.plugins import load_suite
from bench.spec.options import Options
from bench.spec.training_options import TrainingOptions
from bench.studies.definition import Part, Study
from bench.text.errors import BadInput, unknown

#: What a study may be called.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Bytes of a study's file.
_LARGEST = 1_000_000


def read_study(path: Path) -> Study:
    """The study in a file, which is called as the file is.

    A part's keys are the fields of `Part`, the options of training, and those of its suite.

    Raises:
        BadInput: It cannot be read, or is no study.
    """
    name = str(path)
    if not NAME.fullmatch(path.stem):
        raise BadInput(f"study {name!r}: a name is small letters, digits, '-' and '_'")
    try:
        study = _decode(_content(path), name)
    except OSError as error:
        raise BadInput(f"cannot read study {name!r}: {error.strerror}") from error
    except BadInput:
        raise
    except RecursionError as error:
        raise BadInput(f"study {name!r} is nested too deeply") from error
    except ValueError as error:  # of TOML, of UTF-8 and of msgspec
        raise BadInput(f"study {name!r}: {error}") from error
    if study.name:
        raise BadInput(f"study {name!r}: its name is that of the file")
    # It is the title of the report.
    if not study.question.strip() or not study.question.isprintable():
        raise BadInput(f"study {name!r}: the question {study.question!r} is not one line of text")
    suites = [part.suite for part in study.part]
    if not suites or len(suites) > len(set(suites)):
        raise BadInput(f"study {name!r}: it needs one [[part]] for each suite, has {suites}")
    for part in study.part:
        part.check()
    return msgspec.structs.replace(study, name=path.stem)


def _content(path: Path) -> bytes:
    """All of a file, unless it is too large or none: a pipe would never end."""
    if path.exists() and not path.is_file():
        raise ValueError("this is not a file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return content


def _decode(content: bytes, name: str) -> Study:
    """The study in TOML `content`, with the nearest match of an unknown key."""
    found = msgspec.toml.decode(content)
    for key in found:
        if key not in Study.__struct_fields__:
            raise unknown(f"key in study {name!r}:", key, Study.__struct_fields__)
    parts = found.get("part")
    if isinstance(parts, list):
        found["part"] = [_with_options(part, name) for part in parts]
    return msgspec.convert(found, Study)


def _with_options(part: Any, name: str) -> Any:
    """A part whose options have become the words of a command line."""
    if not isinstance(part, dict) or not isinstance(part.get("suite"), str):
        return part  # msgspec says what is wrong
    kinds: tuple[type[Options], ...] = (TrainingOptions, load_suite(part["suite"]).options)
    known = {option.name: kind for kind in kinds for option in kind.declared()}
    given: dict[type[Options], dict[str, Any]] = {kind: {} for kind in kinds}
    rest = {}
    for key, value in part.items():
        if key in Part.__struct_fields__:
            rest[key] = value
        elif key in known:
            given[known[key]][key] = value
        else:
            raise unknown(f"key in study {name!r}:", key, [*Part.__struct_fields__, *known])
    try:
        words = [word for kind, values in given.items() for word in kind.of(values).words()]
    except BadInput as error:
        raise BadInput(f"study {name!r}: {error}") from error
    if words:
        rest["options"] = f"{shlex.join(words)} {rest.get('options', '')}".strip()
    return rest
