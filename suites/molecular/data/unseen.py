"""Elements that no training frame has: nothing can be learnt of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.text.errors import BadInput
from suites.molecular.data.frames import Frames
from suites.molecular.data.splits import Split

#: What is done with frames of elements that no training frame has.
CHOICES = ("refuse", "apart")


@dataclass(frozen=True)
class Unseen:
    """Frames with elements that no training frame has.

    Attributes:
        elements: Their atomic numbers, sorted; empty where there are none.
        val: (frames,) bool, which of the validation frames have one.
        test: (frames,) bool, which of the test frames have one.
    """

    elements: list[int]
    val: np.ndarray
    test: np.ndarray

    def describe(self) -> str:
        """The elements, and in how many frames they are."""
        from ase.data import chemical_symbols

        named = ", ".join(chemical_symbols[number] for number in self.elements)
        return (
            f"no training frame has {named}, which {self.test.sum()} of {len(self.test)} test"
            f" frames and {self.val.sum()} of {len(self.val)} validation frames have"
        )


def unseen_elements(frames: Frames, split: Split) -> Unseen:
    """The validation and test frames with elements that no training frame has."""
    elements, counts = frames.composition()
    there = counts > 0
    unseen = ~there[split.train].any(axis=0)
    val, test = (there[rows][:, unseen].any(axis=1) for rows in (split.val, split.test))
    scored = np.union1d(split.val, split.test)
    unseen &= there[scored].any(axis=0)
    return Unseen(elements[unseen].tolist(), val, test)


def require_seen(frames: Frames, split: Split, choice: str) -> bool:
    """Whether frames with elements that no training frame has are scored apart.

    Args:
        frames: All frames.
        split: Which of them are in which part.
        choice: One of `CHOICES`.

    Raises:
        BadInput: There are such frames and they are to be refused, or there are no others.
    """
    found = unseen_elements(frames, split)
    if not found.elements:
        return False
    said = f"{frames.source}: {found.describe()}"
    if choice != "apart":
        raise BadInput(
            f"{said}: no energy can be right there (--unseen-elements apart scores these frames"
            " apart)"
        )
    for part, name in ((found.test, "test"), (found.val, "validation")):
        if part.all():
            raise BadInput(f"{said}: no {name} frame is left to be scored")
    return True
