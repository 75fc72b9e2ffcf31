"""Numbers as tables show them."""

from __future__ import annotations

import math


def number(value: float | None) -> str:
    """Three digits, short: ``2.31e-2``, ``0.412``; ``–`` where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 0.1 <= abs(value) < 1000:
        return f"{value:.3g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def ratio_text(value: float) -> str:
    """A ratio: ``0.0982``, ``1.00``, ``2.31e-5``; ``∞``, and ``–`` where there is none."""
    if math.isinf(value):
        return "∞"
    if 1e-3 <= value < 1e5:
        return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"
    return number(value)


def counted(number: int, word: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {word}{'' if number == 1 else 's'}"
