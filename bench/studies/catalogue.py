"""The studies that have names: questions, and what the installed suites run to answer them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import msgspec

from bench.spec.user_code import users_code
from bench.studies.definition import Part, Study
from bench.studies.file import NAME, read_study
from bench.studies.questions import QUESTIONS
from bench.text.errors import BadInput, unknown

#: What a report on all runs of a store is called.
EVERYTHING = "all"

#: Entry points of this group are mappings: from the name of a question of `QUESTIONS` to a `Part`,
#: or from another name to a whole `Study`.
_GROUP = "bench.studies"


@functools.cache
def named_studies() -> Mapping[str, Study]:
    """The studies by name; a plug-in that does not import is said on stderr, once."""
    parts: dict[str, list[Part]] = {name: [] for name in QUESTIONS}
    own: dict[str, Study] = {}
    for point in sorted(entry_points(group=_GROUP), key=lambda point: point.value):
        try:
            with users_code(f"the studies {point.value!r} do not import"):
                for name, found in point.load().items():
                    if isinstance(found, Study):
                        own.setdefault(name, msgspec.structs.replace(found, name=name))
                    else:
                        parts[name].append(found)
        except BadInput as error:
            print(f"bench: {error}; the others go on", file=sys.stderr)
    named = {
        name: Study(QUESTIONS[name], of_study, name) for name, of_study in parts.items() if of_study
    }
    return {**own, **named}


def get_study(name: str) -> Study:
    """The study of that name, or of a TOML file.

    Raises:
        BadInput: There is none, or the file is no study.
    """
    studies = named_studies()
    if name in studies:
        return studies[name]
    if not name.endswith(".toml"):
        file = f"{name}.toml"
        if NAME.fullmatch(name) and Path(file).is_file():
            raise BadInput(f"unknown study {name!r}: did you mean the file {file!r}?")
        raise unknown("study", name, [*studies, "FILE.toml"])
    if (stem := Path(name).stem) in (*studies, EVERYTHING):
        raise BadInput(f"study {name!r}: {stem!r} already means something; rename the file")
    return read_study(Path(name))
