"""Hours as they are typed: ``8``, ``0.5``, ``8h``, ``90min``."""

from __future__ import annotations

from bench.text.errors import BadInput
from bench.text.numbers import parse_real

#: More than a year is a slip of the finger.
_MOST = 10_000
#: In one hour.
_UNITS = {"": 1, "h": 1, "min": 60}


def parse_hours(text: str, option: str = "--hours") -> float:
    """The hours that `text` is.

    Args:
        text: A number of hours, or one with the unit ``h`` or ``min``.
        option: What the error calls it.

    Raises:
        BadInput: It is none, or not positive, finite and at most 10 000 hours.
    """
    number = text.strip().rstrip("hmin").rstrip()
    unit = text.strip().removeprefix(number).strip()
    try:
        hours = parse_real(number) / _UNITS[unit]
    except (KeyError, ValueError):
        hours = 0.0
    if not 0 < hours <= _MOST:
        raise BadInput(
            f"{option} must be a positive number of at most {_MOST} hours, for instance 8, 0.5, 8h"
            f" or 90min, got {text!r}"
        )
    return hours
