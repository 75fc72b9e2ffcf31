"""Numbers as tables show them."""

from __future__ import annotations

import math

#: A ratio of errors beyond it, or below its inverse, is of a run that has gone astray.
_FAR = 1e6


def number(value: float | None) -> str:
    """Three digits, short: ``2.31e-2``, ``0.412``; ``–`` where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def ratio_text(value: float) -> str:
    """A ratio: ``0.0982``, ``1.00``, ``2.31e-5``; ``∞``, and ``–`` where there is none.

    Of one beyond a million either way only that is said: its digits mean nothing.
    """
    if math.isinf(value):
        return "∞"
    if value > _FAR:
        return ">1e6"
    if 0 < value < 1 / _FAR:
        return "<1e-6"
    if 1e-3 <= value < 1e5:
        return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"
    return number(value)


def times_text(value: float) -> str:
    """A ratio as a factor: ``×0.0982``, ``>×1e6``."""
    text = ratio_text(value)
    return f"{text[0]}×{text[1:]}" if text[0] in "<>" else f"×{text}"


def counted(number: int, word: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def ended(text: str) -> str:
    """A sentence's end: with a dot, unless the text ends with that of an abbreviated name."""
    return text if text.endswith(".") else f"{text}."
