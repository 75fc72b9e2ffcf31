"""Elements that no training frame has: nothing can be learnt of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        further: Likewise of each further test set, by its name.
    """

    elements: list[int]
    val: np.ndarray
    test: np.ndarray
    further: Mapping[str, np.ndarray] = field(default_factory=dict)

    def describe(self) -> str:
        """The elements, and in how many frames they are."""
        from ase.data import chemical_symbols

        named = ", ".join(chemical_symbols[number] for number in self.elements)
        parts = [(self.test, "test frames"), (self.val, "validation frames")]
        parts += [(rows, f"frames of {name!r}") for name, rows in self.further.items()]
        *first, last = (f"{rows.sum()} of {len(rows)} {name}" for rows, name in parts)
        return f"no training frame has {named}, which {', '.join(first)} and {last} have"


def unseen_elements(frames: Frames, split: Split) -> Unseen:
    """The frames of all parts but the training's with elements that no training frame has."""
    elements, counts = frames.composition()
    there = counts > 0
    unseen = ~there[split.train].any(axis=0)

    def having(rows: np.ndarray) -> np.ndarray:
        return np.asarray(there[rows][:, unseen].any(axis=1))

    further = {name: having(rows) for name, rows in split.further.items()}
    scored = np.concatenate([split.val, split.test, *split.further.values()])
    named = elements[unseen & there[scored].any(axis=0)].tolist()
    return Unseen(named, having(split.val), having(split.test), further)


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
    parts = {"test frame": found.test, "validation frame": found.val}
    for name, part in {**parts, **{f"frame of {k!r}": v for k, v in found.further.items()}}.items():
        if part.all():
            raise BadInput(f"{said}: no {name} is left to be scored")
    return True
