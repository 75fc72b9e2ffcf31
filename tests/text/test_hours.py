"""Hours as they are typed."""

from __future__ import annotations

import re

import pytest

from bench.text.errors import BadInput
from bench.text.hours import parse_hours


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("8", 8.0),
        ("0.5", 0.5),
        (".25", 0.25),
        ("8h", 8.0),
        ("1.5 h", 1.5),
        ("90min", 1.5),
        (" 30 min ", 0.5),
        ("1e4", 1e4),
    ],
)
def test_hours_and_minutes(text: str, hours: float) -> None:
    assert parse_hours(text) == hours


@pytest.mark.parametrize(
    "text",
    (
        *("", "0", "-1", "0h", "inf", "nan", "1e400", "10001", "600001min", "h", "min", "8hh"),
        *("8m", "8hmin", "8 hours", "1h30", "2days", "0,5", "٨", "8min5", "1e-400"),
    ),
)
def test_anything_else_is_one_line_with_the_form(text: str) -> None:
    said = (
        "--hours must be a positive number of at most 10000 hours, for instance 8, 0.5, 8h or"
        f" 90min, got {text!r}"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(said)}$"):
        parse_hours(text)
