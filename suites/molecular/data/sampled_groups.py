"""A sample of the largest groups of frames, for checks whose cost grows with pairs of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def sampled_groups(
    groups: Iterable[Sequence[int]], n_atoms: np.ndarray, most: int, most_atoms: int, least: int
) -> list[np.ndarray]:
    """Rows of frames, a group each, of at least two.

    Of a group that is too large, frames are drawn with those that follow in the file, which of a
    trajectory are alike.

    Args:
        groups: Rows of frames that may be compared with each other, sorted.
        n_atoms: (frames,) atoms of each frame.
        most: Frames in all.
        most_atoms: Atoms of a group, unless that would be fewer than `least` frames.
        least: Frames of a group that are kept however many atoms they have.
    """
    random = np.random.default_rng(0)
    found, left = [], most
    for group in sorted(groups, key=len, reverse=True):
        rows = np.array(group)
        room = min(left, max(least, most_atoms // int(n_atoms[rows[0]])))
        if len(rows) > room:
            starts = random.choice(len(rows) - 1, room // 2, replace=False)
            rows = rows[np.unique([starts, starts + 1])]
        left -= len(rows)
        if len(rows) > 1:
            found.append(rows)
        if left < 2:
            break
    return found
