"""How long a ranking may take, from the command line, a file or Python."""

from __future__ import annotations

import pytest

from bench.ranking.night_options import NightOptions
from bench.spec.options import add_flags
from bench.text.command_line import Parser
from bench.text.errors import BadInput


def test_the_command_line_and_python_mean_the_same() -> None:
    parser = Parser()
    add_flags(parser, NightOptions)
    read = NightOptions.read(parser.parse_args(["--hours", "90min"]))
    assert read.seconds == NightOptions.of({"hours": 1.5}).seconds == 5400
    assert NightOptions.read(parser.parse_args([])).seconds == 8 * 3600
    assert read.words() == ["--hours", "90min"]


def test_no_hours_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^--hours must be .*, got '0'$"):
        _ = NightOptions.of({"hours": 0}).seconds
