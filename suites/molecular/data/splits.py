"""Splitting frames into training, validation and test sets.

Neighbouring frames of a trajectory are alike, so a random split tests on what was trained on. With
a split by blocks no test frame is near a training frame. The random split is the published one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.spec.randomness import numpy_generator
from bench.text.errors import BadInput, unknown
from suites.molecular.data.frames import Frames

#: Blocks of a trajectory, unless told otherwise.
BLOCKS = 20
#: Kinds of split.
KINDS = ("blocks", "random")
#: The kind where validation and test frames have files of their own.
FILES = "files"
#: The parts that are drawn from the training file unless they have a file of their own.
HELD = ("val", "test")
_TRAIN, _VAL, _TEST = range(3)
_DROPPED = -1


@dataclass(frozen=True)
class Split:
    """Which frames belong to which set.

    Attributes:
        kind: One of `KINDS`, or `FILES`.
        train: Rows of the training set, sorted int64.
        val: Rows of the validation set, sorted int64.
        test: Rows of the test set, sorted int64.
        dropped: Number of frames in the gaps, which no set could take.
        blocks: Number of blocks that the trajectory was cut into; 0 for a random split.
        gap: Frames dropped between two blocks of different sets.
        further: Rows of further test sets by name, sorted int64.
    """

    kind: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    dropped: int
    blocks: int
    gap: int
    further: Mapping[str, np.ndarray] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """A description for the record, with a digest of the rows of all three sets."""
        digest = hashlib.sha256()
        for rows in (self.train, self.val, self.test, *self.further.values()):
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
            **({"n_further": {k: len(v) for k, v in self.further.items()}} if self.further else {}),
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
    held: Sequence[str] = HELD,
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
        held: The parts that are drawn; one that is not is empty, and its frames train. `FILES` is
            the kind where none is.
        copies: (count,) for each frame the first that it is a copy of: all copies of a frame are in
            one part. Of blocks that is the test part where one of them is, else the validation
            part; and a copy of a frame that is dropped is dropped rather than trained on.

    Raises:
        BadInput: The kind is unknown, there are too few frames for the parts, the blocks or the
            gap, a part has fewer frames than are asked for, or a random split has a gap.
    """
    random = numpy_generator(seed, "split")
    if kind == "blocks":
        roles = _block_roles(count, blocks, gap, random, held)
        if copies is not None:
            roles = _of_copies(roles, copies)
    elif kind == "random":
        if gap:
            raise BadInput(f"a random split has no gap, got {gap}")
        which = np.arange(count)
        if copies is not None:
            _, which = np.unique(copies, return_inverse=True)
        roles = _random_roles(int(which.max(initial=-1)) + 1, random, held)[which]
    elif kind == FILES and not held:
        roles = np.full(count, _TRAIN)
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


def split_of(
    frames: Frames, seed: int, settings: Mapping[str, Any], held: Sequence[str] = HELD
) -> Split:
    """The split of the frames of one file that a spec's settings describe.

    Args:
        frames: All frames.
        seed: As of `split_frames`.
        settings: Its other arguments; ``copies`` is true where copies of a frame stay together.
        held: As of `split_frames`.

    Raises:
        BadInput: As `split_frames`.
    """
    given = dict(settings)
    copies = frames.copies if given.pop("copies", False) else None
    return split_frames(len(frames), seed=seed, held=held, copies=copies, **given)


def _of_copies(roles: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """(count,) the role that all copies of a frame get, of those that they would have."""
    order = np.array([_TRAIN, _DROPPED, _VAL, _TEST])
    highest = np.zeros(len(roles), dtype=np.int64)
    np.maximum.at(highest, copies, (roles[:, None] == order).argmax(axis=1))
    return np.asarray(order[highest[copies]])


def _tenths(count: int, random: np.random.Generator, held: Sequence[str]) -> np.ndarray:
    """(count,) a role each, drawn: a tenth for each part that is held out, the others train."""
    tenth = max(1, count // 10)
    order = random.permutation(count)
    roles = np.full(count, _TRAIN)
    if "test" in held:
        roles[order[:tenth]] = _TEST
    if "val" in held:
        roles[order[tenth : 2 * tenth]] = _VAL
    return roles


def _random_roles(count: int, random: np.random.Generator, held: Sequence[str]) -> np.ndarray:
    if count < 3:
        raise BadInput(f"a split needs at least 3 different frames, got {count}")
    return _tenths(count, random, held)


def _block_roles(
    count: int, blocks: int, gap: int, random: np.random.Generator, held: Sequence[str]
) -> np.ndarray:
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
    kinds = _tenths(blocks, random, held)
    roles = np.repeat(kinds, np.diff(edges))
    for edge, before, after in zip(edges[1:-1], kinds[:-1], kinds[1:], strict=True):
        if before < after:
            roles[edge - gap : edge] = _DROPPED
        elif before > after:
            roles[edge : edge + gap] = _DROPPED
    return roles
