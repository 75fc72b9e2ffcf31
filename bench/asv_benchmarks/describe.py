"""What asv's pages say of a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def describe[F: Callable[..., Any]](pretty_name: str, unit: str | None = None) -> Callable[[F], F]:
    """Set asv's attributes of a benchmark's function.

    Args:
        pretty_name: Its name on the pages.
        unit: Unit of a tracked value; asv knows the unit of other benchmarks.
    """

    def mark(function: F) -> F:
        vars(function)["pretty_name"] = pretty_name
        if unit is not None:
            vars(function)["unit"] = unit
        return function

    return mark
