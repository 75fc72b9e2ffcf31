"""A page with as many figures of predictions as it has room for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.report.pictures import Picture
from bench.report.rendering import page
from bench.report.shortening import MOST_BYTES
from bench.text.formatting import counted

#: What stands around a figure: its heading, caption and buttons.
_AROUND = 1_000


def fitted(template: str, predictions: Iterable[Picture], **values: Any) -> str:
    """The text of a page, of at most `MOST_BYTES` if it is smaller without predictions.

    Predictions are the last that a page gets: they illustrate, and nothing is concluded from them.
    What is left out is said among the limits.

    Args:
        template: As of `page`: it shows ``predictions`` and ``limits``.
        predictions: The figures, the most wanted first.
        values: What else the template shows.
    """
    room = MOST_BYTES - len(page(template, **values, predictions=[]).encode())
    shown, left_out = [], 0
    for picture in predictions:
        size = len(picture.svg.encode()) + _AROUND
        if size <= room:
            shown.append(picture)
            room -= size
        else:
            left_out += 1
    if left_out:
        said = (
            f"{counted(left_out, 'figure')} of predictions left out, so that the page stays below"
            f" {MOST_BYTES / 1e6:g} MB."
        )
        values["limits"] = [*values["limits"], said]
    return page(template, **values, predictions=shown)
