"""Colours of values, legible on light and dark pages."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

#: From less to more, neutral in the middle: blue, grey, orange.
DIVERGING = LinearSegmentedColormap.from_list(
    "dcbench", ["#08457e", "#4a97d2", "#c9ccd0", "#ee9350", "#a83500"], N=65
)
#: Beyond the most.
BEYOND = "#6b1f00"


def diverging(value: float) -> str:
    """Colour of a value in −1 … 1."""
    return to_hex(DIVERGING(np.clip((value + 1) / 2, 0, 1)))


def text_on(colour: str) -> str:
    """Black or white, whichever has the greater contrast."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#111111" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
