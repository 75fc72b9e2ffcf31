"""Input errors: one clear line that names the value, the allowed ones and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Of a message; a longer one loses its middle.
_LONGEST = 2000


class BadInput(ValueError):
    """Input that the user must correct: printed as one line, exit code 2.

    Args:
        message: Kept as one line of at most 2000 printable characters, whatever the input was.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(message: str) -> str:
    """A message as one line of printable characters, shortened in its middle."""
    line = " ".join(message.splitlines())
    if not line.isprintable():
        # Control characters would reach the terminal, and lone surrogates cannot be written.
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(line) <= _LONGEST:
        return line
    half = (_LONGEST - 3) // 2
    return f"{line[:half]} … {line[-half:]}"


def typed(error: BaseException, whole: bool = False) -> str:
    """``Type: message`` of an exception, as one line.

    Args:
        error: The exception.
        whole: With all lines of its message, and not the first alone.
    """
    message = str(error) if whole else (str(error).splitlines() or [""])[0]
    return one_line(f"{type(error).__name__}: {message}")


def unknown(kind: str, value: str, allowed: Iterable[str]) -> BadInput:
    """The error for a name that is not one of `allowed`, with the nearest match.

    Args:
        kind: What the name should have been, for instance ``"activation"``.
        value: What was given.
        allowed: The names that exist.
    """
    names = sorted(allowed)
    return BadInput(
        f"unknown {kind} {value!r}{nearest(value, names)} (allowed: {', '.join(names)})"
    )


def nearest(value: str, allowed: Iterable[str]) -> str:
    """``; did you mean …?`` for a name that resembles one of `allowed`, else nothing."""
    names = list(allowed)
    near = [name for name in names if name.casefold() == value.casefold()]
    near = near or difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
