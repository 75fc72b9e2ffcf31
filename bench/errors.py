"""Input errors: one clear line that names the value, the allowed ones and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """Input that the user must correct: printed as one line, exit code 2."""


def unknown(kind: str, value: str, allowed: Iterable[str]) -> BadInput:
    """The error for a name that is not one of `allowed`, with the nearest match.

    Args:
        kind: What the name should have been, for instance ``"activation"``.
        value: What was given.
        allowed: The names that exist.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return BadInput(f"unknown {kind} {value!r}{hint} (allowed: {', '.join(names)})")
