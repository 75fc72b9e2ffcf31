"""Splitting frames into training, validation and test sets.

Neighbouring frames of a trajectory are alike, so a random split tests on what was trained on. With
a split by blocks no test frame is near a training frame. The random split is the published one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput, unknown
from suites.molecular.data.frames import Frames

#: Blocks of a trajectory, unless told otherwise.
BLOCKS = 20
#: Kinds of split.
KINDS = ("blocks", "random")
_TRAIN, _VAL, _TEST = range(3)


@dataclass(frozen=True)
class Split:
    """Which frames belong to which set.

    Attributes:
        kind: One of `KINDS`.
        train: Rows of the training set, sorted int64.
        val: Rows of the validation set, sorted int64.
        test: Rows of the test set, sorted int64.
        dropped: Number of frames in the gaps, which no set could take.
        blocks: Number of blocks that the trajectory was cut into; 0 for a random split.
        gap: Frames dropped between two blocks of different sets.
    """

    kind: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    dropped: int
    blocks: int
    gap: int

    def summary(self) -> dict[str, Any]:
        """A description for the record, with a digest of the rows of all three sets."""
        digest = hashlib.sha256()
        for rows in (self.train, self.val, self.test):
            digest.update(f"{len(rows)}/".encode())
            digest.update(rows.astype("<i8").tobytes())
        return {
            "kind": self.kind,
            "n_train": len(self.train),
            "n_val": len(self.val),
            "n_test": len(self.test),
            "blocks": self.blocks,
            "gap": self.gap,
            "dropped": self.dropped,
            "digest": digest.hexdigest()[:16],
        }


def split_frames(
    count: int,
    *,
    kind: str,
    seed: int,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    blocks: int = BLOCKS,
    gap: int = 0,
    copies: np.ndarray | None = None,
) -> Split:
    """Split `count` frames 80/10/10.

    ``blocks`` cuts the trajectory into contiguous blocks and draws the validation and the test
    blocks among them. Between blocks of different sets, `gap` frames are dropped from the larger
    set, so that those on either side are more than `gap` frames apart. ``random`` draws the
    frames.

    Args:
        count: Number of frames; for ``blocks``, in the order of the trajectory.
        kind: One of `KINDS`.
        seed: Root of the random numbers (stream ``split``).
        n_train: Number of frames to draw from the training part, instead of all. With the same
            seed, a larger number adds frames to those of a smaller one.
        n_val: Number of frames to draw from the validation part, instead of all.
        n_test: Number of frames to draw from the test part, instead of all.
        blocks: Number of blocks, at least 3; a tenth of them for validation, and for testing.
        gap: Frames to drop between blocks of different sets.
        copies: (count,) for each frame the first that it is a copy of: copies go where that goes.

    Raises:
        BadInput: The kind is unknown, there are too few frames for the parts, the blocks or the
            gap, a part has fewer frames than are asked for, or a random split has a gap.
    """
    random = numpy_generator(seed, "split")
    if kind == "blocks":
        roles = _block_roles(count, blocks, gap, random)
        if copies is not None:
            roles = roles[copies]
    elif kind == "random":
        if gap:
            raise BadInput(f"a random split has no gap, got {gap}")
        which = np.arange(count)
        if copies is not None:
            _, which = np.unique(copies, return_inverse=True)
        roles = _random_roles(int(which.max(initial=-1)) + 1, random)[which]
    else:
        raise unknown("kind of split", kind, KINDS)
    parts = []
    for role, name, wanted in (
        (_TRAIN, "training", n_train),
        (_VAL, "validation", n_val),
        (_TEST, "test", n_test),
    ):
        # Always drawn, so that the size of one part does not change the others.
        part = random.permutation(np.flatnonzero(roles == role))
        if wanted is not None and not 1 <= wanted <= len(part):
            raise BadInput(f"{wanted} {name} frames asked for; there are {len(part)}, at least 1")
        parts.append(np.sort(part[:wanted]))
    train, val, test = parts
    return Split(
        kind=kind,
        train=train,
        val=val,
        test=test,
        dropped=int((roles < 0).sum()),
        blocks=blocks if kind == "blocks" else 0,
        gap=gap,
    )


def split_of(frames: Frames, seed: int, settings: Mapping[str, Any]) -> Split:
    """The split of frames that a spec's settings describe.

    Args:
        frames: All frames.
        seed: As of `split_frames`.
        settings: Its other arguments; ``copies`` is true where copies of a frame stay together.

    Raises:
        BadInput: As `split_frames`.
    """
    given = dict(settings)
    copies = frames.copies if given.pop("copies", False) else None
    return split_frames(len(frames), seed=seed, copies=copies, **given)


def _tenths(count: int, random: np.random.Generator) -> np.ndarray:
    """(count,) a role each, drawn: a tenth validates, a tenth tests, the others train."""
    tenth = max(1, count // 10)
    order = random.permutation(count)
    roles = np.full(count, _TRAIN)
    roles[order[:tenth]] = _TEST
    roles[order[tenth : 2 * tenth]] = _VAL
    return roles


def _random_roles(count: int, random: np.random.Generator) -> np.ndarray:
    if count < 3:
        raise BadInput(f"a split needs at least 3 different frames, got {count}")
    return _tenths(count, random)


def _block_roles(count: int, blocks: int, gap: int, random: np.random.Generator) -> np.ndarray:
    """(count,) the role of each frame, -1 in a gap."""
    if blocks < 3 or gap < 0:
        raise BadInput(f"blocks must be at least 3 and gap at least 0, got {blocks} and {gap}")
    size = count // blocks
    # A training block may lose a gap at both ends and must keep a frame.
    if size <= 2 * gap:
        raise BadInput(
            f"{count} frames in {blocks} blocks are {size} a block, too few for a gap of {gap} at"
            f" both ends: at least {blocks * (2 * gap + 1)} frames, fewer blocks or a smaller gap"
        )
    edges = np.arange(blocks + 1) * count // blocks
    kinds = _tenths(blocks, random)
    roles = np.repeat(kinds, np.diff(edges))
    for edge, before, after in zip(edges[1:-1], kinds[:-1], kinds[1:], strict=True):
        if before < after:
            roles[edge - gap : edge] = -1
        elif before > after:
            roles[edge : edge + gap] = -1
    return roles
