"""Numbers as they are typed: ASCII digits, and nothing that a number would not keep."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]+")
#: As many as every 64-bit integer can have.
_DIGITS = 18
_FORM = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.I
)


def parse_whole(text: str) -> int:
    """The whole number that `text` is.

    Raises:
        ValueError: It is none, or has more than 18 digits; the message says what it must be.
    """
    if not _WHOLE.fullmatch(text) or len(text.lstrip("+-")) > _DIGITS:
        raise ValueError(f"must be a whole number of at most {_DIGITS} digits, got {text!r}")
    return int(text)


def parse_real(text: str) -> float:
    """The number that `text` is; nan and inf are numbers, and −0 is 0.

    Raises:
        ValueError: It is none, or a double would make 0 or infinity of it; the message says what it
            must be.
    """
    form = _FORM.fullmatch(text)
    if not form:
        raise ValueError(f"must be a number, got {text!r}")
    number = float(text)
    digits = form[1]
    if digits and (math.isinf(number) or (number == 0 and digits.strip("0."))):
        raise ValueError(f"must be a number that a double can hold, got {text!r}")
    return number + 0.0
