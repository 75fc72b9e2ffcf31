"""The compositions that a potential was trained on, and whether another one is like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from suites.molecular.data.frames import Frames

#: Of shares, which are quotients.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Compositions:
    """The range of compositions of frames.

    Attributes:
        shares: Smallest and largest share of the atoms of a frame, by atomic number.
        atoms: Fewest and most atoms of a frame that is not periodic; ``None``: all are periodic.
    """

    shares: Mapping[int, tuple[float, float]]
    atoms: tuple[int, int] | None

    @classmethod
    def of(cls, frames: Frames) -> Compositions:
        """The range of these frames."""
        elements, counts = frames.composition()
        shares = counts / frames.n_atoms[:, None]
        ends = zip(elements, shares.min(axis=0), shares.max(axis=0), strict=True)
        alone = frames.n_atoms[~frames.pbc.any(axis=1)]
        return cls(
            {int(z): (float(least), float(most)) for z, least, most in ends},
            (int(alone.min()), int(alone.max())) if len(alone) else None,
        )

    def describe(self) -> dict[str, Any]:
        """JSON values for the record."""
        return {
            "shares": {str(z): list(ends) for z, ends in self.shares.items()},
            "atoms": None if self.atoms is None else list(self.atoms),
        }

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> Compositions:
        """What `describe` wrote."""
        atoms = described["atoms"]
        return cls(
            {int(z): (float(a), float(b)) for z, (a, b) in described["shares"].items()},
            None if atoms is None else (int(atoms[0]), int(atoms[1])),
        )

    def unlike(self, frame: Frames) -> str | None:
        """How the first of these frames is outside the range; ``None`` if it is within.

        A cell may be repeated. A molecule or cluster may not: twice the atoms are two molecules,
        and no training frame may have shown how they interact.
        """
        found = Compositions.of(frame.select(np.array([0])))
        for z in sorted({*self.shares, *found.shares}):
            share = found.shares.get(z, (0.0, 0.0))[0]
            least, most = self.shares.get(z, (0.0, 0.0))
            if not least - _ROUNDING <= share <= most + _ROUNDING:
                return (
                    f"{chemical_symbols[z]} is {100 * share:.3g} % of its atoms, and"
                    f" {_range(100 * least, 100 * most, ' %')} in the training frames"
                )
        if found.atoms is not None and self.atoms is not None:
            count, (least, most) = found.atoms[0], self.atoms
            if not least <= count <= most:
                return f"it has {count} atoms, and the training frames {_range(least, most, '')}"
        return None


def _range(least: float, most: float, unit: str) -> str:
    if least == most:
        return f"{least:.3g}{unit}"
    return f"{least:.3g} to {most:.3g}{unit}"
