"""What a suite says of itself, before anything is run."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cli import train
from bench.spec.options import Declared, Options
from bench.spec.user_code import is_reference
from bench.task import Suite
from bench.testing.suite_requests import suite_of
from bench.text.command_line import Parser
from bench.text.errors import BadInput, typed

#: A value for an option of each type.
_SAMPLES: Mapping[type, Any] = {int: 2, float: 0.5, str: "x", Path: Path("x"), bool: True}


class ListingContract:
    """It is listed at once, and its options are flags, keys and arguments alike."""

    def test_importing_it_does_not_import_torch(self, token: str) -> None:
        """Names and options are listed at once; torch takes seconds."""
        suite_of(token)
        place = _where_torch_is_imported(token)
        assert not place, (
            f"suite {token!r}: importing and listing it imports torch, at {place}; import it where"
            " a task is built"
        )

    def test_names_what_it_has(self, token: str) -> None:
        suite = suite_of(token)
        assert is_reference(token) or suite.name == token, (
            f"suite {token!r} is installed by another name than its own, {suite.name!r}"
        )
        listed = {kind: getattr(suite, kind) for kind in ("problems", "models", "budgets")}
        for kind, names in listed.items():
            assert names, f"suite {token!r} has no {kind}"
            for name, summary in names.items():
                assert summary and "\n" not in summary, (
                    f"suite {token!r}: the summary of {name!r} is no line: {summary!r}"
                )
        _expect_known(token, "problem", suite.default_problems(), suite.problems)
        for budget in suite.budgets:
            _expect_known(token, "model", suite.default_models(budget), suite.models)

    def test_options_are_declared(self, token: str) -> None:
        """Each has a line of help, and flags, files and Python calls give the same options."""
        suite = suite_of(token)
        try:
            parser = Parser()
            train.add_command(parser.add_subparsers(dest="command"), suite)
        except Exception as error:
            raise AssertionError(
                f"suite {token!r}: its options cannot be flags beside those of the harness:"
                f" {typed(error)}"
            ) from error
        for option in suite.options.declared():
            text = option.doc.text
            assert text and "\n" not in text, (
                f"suite {token!r}: option {option.name!r} has no line of help"
            )
            for value in _values(option):
                given = _accepted(token, suite, option, value)
                words = [suite.name, *given.words()]
                read = suite.options.read(parser.parse_args(words))
                assert read == given, (
                    f"suite {token!r}: {' '.join(words)} does not give the option"
                    f" {option.name!r} the value {value!r}"
                )
        assert suite.options.read(parser.parse_args([suite.name])) == suite.options(), (
            f"suite {token!r}: without a flag its options are not the defaults"
        )


#: Run in a new process: where torch is imported, if it is.
_PROBE = """
import os, sys, traceback

class Torch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            frames = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            # Not on stdout, which a user's module does not get.
            print(f"{frames[-1].filename}:{frames[-1].lineno}", file=sys.stderr, flush=True)
            os._exit(3)

sys.meta_path.insert(0, Torch())
token = sys.argv[1]
from bench.plugins import load_suite
from bench.spec.user_code import is_reference, load
suite = load(token) if is_reference(token) else load_suite(token)
suite.name, suite.summary, suite.packages, suite.problems, suite.models, suite.options.declared()
suite.default_problems(), [suite.default_models(budget) for budget in suite.budgets]
"""


@functools.cache
def _where_torch_is_imported(token: str) -> str:
    """File and line, by a process of its own; empty if it is not."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, token],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stderr.splitlines()[-1] if done.returncode else ""


def _expect_known(token: str, kind: str, defaults: Sequence[str], known: Mapping[str, str]) -> None:
    assert defaults, f"suite {token!r} has no default {kind}"
    strangers = [name for name in defaults if name not in known]
    assert not strangers, (
        f"suite {token!r}: the default {kind}s {strangers} are none of its {kind}s"
    )


def _values(option: Declared) -> list[Any]:
    """Values that an option may be given."""
    values = list(option.doc.choices) or [_SAMPLES[option.kind]]
    return [(value,) for value in values] if option.repeated else values


def _accepted(token: str, suite: Suite, option: Declared, value: Any) -> Options:
    try:
        return suite.options.of({option.name: value})
    except BadInput as error:
        raise AssertionError(
            f"suite {token!r}: its option {option.name!r} does not take {value!r}: {error}"
        ) from error
