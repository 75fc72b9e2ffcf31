"""Whether frames are a trajectory: a file does not say it, but its frames show it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from bench.spec.randomness import numpy_generator
from suites.molecular.data.frames import Frames

#: Frames are in a trajectory's order if neighbours differ by less than this share of what random
#: pairs differ by. It is 0.08 to 0.14 for the shipped trajectories, whose frames are far apart in
#: time, and 1 for any order that is random.
ORDERED_BELOW = 0.7

#: Fewest frames of equal atoms whose order tells anything, and most kinds that are looked at.
_FEWEST, _KINDS = 10, 20

#: Most pairs of frames of either kind that are looked at.
_PAIRS = 500


class Order(NamedTuple):
    """Whether frames are a trajectory in its order, and why: the end of a sentence."""

    trajectory: bool
    why: str


def find_order(frames: Frames) -> Order:
    """Whether the frames are a trajectory in its order.

    They are if all have the same atoms in the same order, the source does not disown its order
    (`Frames.sequential`), and neighbours are alike: the median of their root mean square
    displacement is below `ORDERED_BELOW` times that of random pairs. Where atoms differ, that is
    looked for among the frames of equal atoms, and said.
    """
    if not frames.sequential:
        return Order(False, "the order of its frames is lost")
    if not frames.uniform or (frames.pbc != frames.pbc[0]).any():
        return Order(False, f"its frames differ in their atoms{_alike(frames)}")
    if len(frames) < 3:
        return Order(False, f"it has {len(frames)} frames")
    ratio = neighbour_ratio(frames)
    if ratio < ORDERED_BELOW:
        return Order(True, f"neighbouring frames differ by {ratio:.2g} of what random ones do")
    return Order(
        False,
        f"neighbouring frames differ as random ones do (ratio {ratio:.2g}, {ORDERED_BELOW:g} or"
        " more)",
    )


def _alike(frames: Frames) -> str:
    """What to say of frames that are like the one before them of the same atoms: several
    trajectories in one file; empty where there are none.
    """
    kinds: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for k, (start, end) in enumerate(zip(frames.first[:-1], frames.first[1:], strict=True)):
        kinds[frames.numbers[start:end].tobytes(), frames.pbc[k].tobytes()].append(k)
    largest = sorted((rows for rows in kinds.values() if len(rows) >= _FEWEST), key=len)[-_KINDS:]
    ratios = [neighbour_ratio(frames.select(np.array(rows))) for rows in largest]
    ordered = [
        (ratio, len(rows))
        for ratio, rows in zip(ratios, largest, strict=True)
        if ratio < ORDERED_BELOW
    ]
    if not ordered:
        return ""
    count = sum(size for _, size in ordered)
    return (
        f", but {count} of its {len(frames)} frames are in the order of {len(ordered)}"
        f" trajector{'y' if len(ordered) == 1 else 'ies'} (neighbours of equal atoms differ by"
        f" {max(ratio for ratio, _ in ordered):.2g} of what random ones do, or less): test frames"
        " of a random split are like frames on which it trains; --test-file takes others"
    )


def neighbour_ratio(frames: Frames) -> float:
    """Median displacement of neighbouring frames, divided by that of random pairs of frames.

    The displacement is the root mean square over atoms, in Å, by the nearest image where periodic;
    cells may change from frame to frame. 1 where no frame differs from another.

    Args:
        frames: At least 3 frames with the same atoms in the same order.
    """
    count = len(frames)
    random = numpy_generator(0, "order of frames")
    first = np.arange(count - 1)
    if len(first) > _PAIRS:
        first = np.sort(random.choice(first, _PAIRS, replace=False))
    one = random.integers(0, count, _PAIRS)
    other = (one + random.integers(1, count, _PAIRS)) % count
    apart = float(np.median(_displacements(frames, one, other)))
    if apart == 0:
        return 1.0
    return float(np.median(_displacements(frames, first, first + 1))) / apart


def _displacements(frames: Frames, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(pairs,) root mean square displacement between the frames of each pair, in Å."""
    periodic = frames.pbc[0]
    positions = frames.positions.reshape(len(frames), -1, 3)
    if not periodic.any():
        moved = positions[other] - positions[one]
        return np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    # Directions that are not periodic get unit vectors at right angles to the others.
    cells = np.array([_completed(cell, periodic) for cell in frames.cells[one]])
    others = np.array([_completed(cell, periodic) for cell in frames.cells[other]])
    moved = positions[other] @ np.linalg.inv(others) - positions[one] @ np.linalg.inv(cells)
    moved[:, :, periodic] -= np.round(moved[:, :, periodic])
    return np.sqrt(((moved @ cells) ** 2).sum(axis=2).mean(axis=1))


def _completed(cell: np.ndarray, periodic: np.ndarray) -> np.ndarray:
    found = cell.copy()
    *_, basis = np.linalg.svd(cell[periodic])
    found[~periodic] = basis[int(periodic.sum()) :]
    return found
