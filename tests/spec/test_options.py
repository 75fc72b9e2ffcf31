"""Options: declared once, read from a command line, a file and a Python call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

from bench.arm import AXES
from bench.cli.runs import RunFilter
from bench.cli.speed import SpeedOptions
from bench.execution.options import ExecutionOptions
from bench.execution.selection import Axes, Selection
from bench.plugins import load_suite
from bench.spec.options import Doc, Options, add_flags
from bench.spec.training_options import TrainingOptions
from bench.studies.options import StudyOptions
from bench.text.command_line import Parser
from bench.text.errors import BadInput
from suites.molecular.options import MolecularOptions, MolecularSpeedOptions
from suites.pinn.options import PINNOptions, PINNSpeedOptions

DECLARED = [
    TrainingOptions,
    ExecutionOptions,
    Selection,
    Axes,
    StudyOptions,
    RunFilter,
    SpeedOptions,
    PINNOptions,
    PINNSpeedOptions,
    MolecularOptions,
    MolecularSpeedOptions,
]


class Every(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of each kind."""

    whole: Annotated[int | None, Doc("a number", "N", also=("count",))] = None
    real: Annotated[float, Doc("a number", "X")] = 0.5
    text: Annotated[str | None, Doc("a text", "NAME")] = None
    choice: Annotated[str, Doc("one of two", "NAME", ("left", "right"))] = "left"
    path: Annotated[Path | None, Doc("a file", "FILE")] = None
    switch: Annotated[bool, Doc("a switch of 100 %")] = False
    many: Annotated[tuple[str, ...], Doc("several", "NAME", flag="one")] = ()
    numbers: Annotated[tuple[int, ...], Doc("several", "N")] = (3, 4)


def parsed(kind: type[Options], words: list[str]) -> Any:
    parser = Parser(prog="test")
    add_flags(parser, kind)
    return kind.read(parser.parse_args(words))


GIVEN: list[dict[str, Any]] = [
    {},
    {"whole": -3, "real": -1e-20, "text": "-dash", "choice": "right"},
    {"path": Path("a b/c"), "switch": True, "many": ("x", "--y"), "numbers": (1,)},
]


@pytest.mark.parametrize("given", GIVEN)
def test_a_command_line_gives_what_a_call_gives(given: dict[str, Any]) -> None:
    options = Every.of(given)
    assert parsed(Every, options.words()) == options
    assert Every.of({name: getattr(options, name) for name in options.__struct_fields__}) == options


@pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.__name__)
def test_every_option_of_the_project_has_words_and_an_explanation(kind: type[Options]) -> None:
    declared = kind.declared()
    assert [parsed(kind, []), kind()] == [kind.of({})] * 2
    assert kind().words() == []
    for option in declared:
        assert (option.doc.text and option.doc.text[0].islower()) or option.doc.text[0].isupper()
        assert (option.kind is bool) == (option.doc.value == "")
        assert option.flag.startswith("--") and option.flag == option.flag.lower()
    assert len({option.flag for option in declared}) == len(declared)


def test_the_axes_have_a_flag_each() -> None:
    assert [option.name for option in Axes.declared()] == list(AXES)


def test_what_is_called_otherwise_elsewhere_is_no_option_here() -> None:
    """A hint that named an option's own name would never be given."""
    for kind in DECLARED:
        names = {option.flag.removeprefix("--") for option in kind.declared()}
        assert not names & {word for option in kind.declared() for word in option.doc.also}


@pytest.mark.parametrize("suite", ["pinn", "molecular"])
def test_a_suites_flags_are_no_one_elses(suite: str) -> None:
    common = (TrainingOptions, ExecutionOptions, Selection, Axes)
    flags = [o.flag for kind in (*common, load_suite(suite).options) for o in kind.declared()]
    assert len(flags) == len(set(flags))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"wholee": 1}, "unknown option 'wholee'; did you mean 'whole'?"),
    ({"count": 1}, "it is called 'whole' here"),
    ({"whole": "3"}, "whole must be a whole number, got '3'"),
    ({"whole": 2.5}, "whole must be a whole number, got 2.5"),
    ({"whole": True}, "whole must be a whole number, got True"),
    ({"whole": 10**30}, "at most 18 digits"),
    ({"real": "x"}, "real must be a number, got 'x'"),
    ({"real": None}, "real must be a number, got None"),
    ({"text": b"x"}, "text must be text, got b'x'"),
    ({"choice": "lef"}, "unknown choice 'lef'; did you mean 'left'?"),
    ({"path": ""}, "path must be a path, got ''"),
    ({"path": "a\x00"}, "path must be a path"),
    ({"path": 3}, "path must be a path, got 3"),
    ({"switch": 1}, "switch must be true or false, got 1"),
    ({"many": {"a": 1}}, "many must be a list of values"),
    ({"numbers": [1, "2"]}, "numbers must be a whole number, got '2'"),
]


@pytest.mark.parametrize(("given", "said"), BAD)
def test_what_is_no_value_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as raised:
        Every.of(given)
    assert said in str(raised.value)


def test_values_of_a_near_type_are_taken() -> None:
    found = Every.of({"real": 2, "text": 3, "path": "here", "many": "one", "numbers": 7})
    assert (found.real, found.text, found.path) == (2.0, "3", Path("here"))
    assert (found.many, found.numbers) == (("one",), (7,))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--count", "3"], "unknown option '--count': it is called '--whole' here"),
        (["--wholee", "3"], "did you mean '--whole'?"),
        (["--choice", "lef"], "did you mean 'left'?"),
        (["--whole", "x"], "argument --whole: must be a whole number"),
    ],
)
def test_the_parser_says_what_to_write(words: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("?", r"\?")):
        parsed(Every, words)


def test_help_shows_defaults_and_takes_percent_signs() -> None:
    parser = Parser(prog="test")
    add_flags(parser, Every, {"many": "as many as wanted"})
    said = " ".join(parser.format_help().split())
    assert "(default: 0.5)" in said and "(default: 3 4)" in said and "100 %" in said
    assert "several; repeat for several; as many as wanted" in said
