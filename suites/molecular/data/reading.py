"""What reading a file found beside its frames: names, frames without labels, isolated atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: A single atom whose periodic images are at least so far away, in Å, is isolated: no network that
#: is trained here looks farther.
ALONE = 6.0

#: Most characters of the name of a ``config_type``, which becomes part of a metric's name.
_LONGEST = 60

#: What the key ``config_type`` of an isolated atom says, without case, blanks and underscores.
_ISOLATED = ("isolatedatom", "isolatedatoms", "isolated")


@dataclass(frozen=True)
class Reading:
    """How a file was read.

    Attributes:
        energy_key: The name of its energies.
        forces_key: The name of its forces.
        passed: Names of other labels that would do.
        without_labels: Numbers of the frames of the file that are left out, which have no energy or
            no forces.
        stress_keys: The names of its stresses and virials, where they are read.
        isolated: Atomic number and energy of each isolated atom, in the labels' unit; they are no
            frames.
        others: How the files of other parts were read, by part (``val``, ``test:far``).
    """

    energy_key: str
    forces_key: str
    passed: tuple[str, ...] = ()
    without_labels: tuple[int, ...] = ()
    isolated: tuple[tuple[int, float], ...] = ()
    stress_keys: tuple[str, ...] = ()
    others: Mapping[str, Reading] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """JSON values for the record."""
        return {
            "energy_key": self.energy_key,
            "forces_key": self.forces_key,
            "frames_without_labels": len(self.without_labels),
            "isolated_atoms": [list(atom) for atom in self.isolated],
            **({"stress_keys": list(self.stress_keys)} if self.stress_keys else {}),
            **({"others": others} if (others := self._others()) else {}),
        }

    def _others(self) -> dict[str, Any]:
        return {name: reading.describe() for name, reading in self.others.items()}

    def sentences(self, source: str) -> list[str]:
        """What a user should know of it.

        Args:
            source: The file.
        """
        found = []
        if (self.energy_key, self.forces_key) != ("energy", "forces") or self.passed:
            others = f"; not {', '.join(self.passed)}, which it has too" if self.passed else ""
            found.append(
                f"{source}: energies are its {self.energy_key!r}, forces its"
                f" {self.forces_key!r}{others} (--energy-key, --forces-key)"
            )
        if any(key not in ("stress", "virial") for key in self.stress_keys):
            named = " and ".join(map(repr, self.stress_keys))
            found.append(f"{source}: stresses are its {named} (--stress-key)")
        if self.without_labels:
            first = ", ".join(map(str, self.without_labels[:3]))
            more = ", …" if len(self.without_labels) > 3 else ""
            count = len(self.without_labels)
            found.append(
                f"{source}: {count} frame{'s' * (count > 1)} without an energy or forces"
                f" {'are' if count > 1 else 'is'} left out ({first}{more}); --require-labels makes"
                " that an error"
            )
        return found


def is_isolated_atom(
    numbers: np.ndarray, cell: np.ndarray, pbc: np.ndarray, config_type: object
) -> bool:
    """Whether a frame is one atom without neighbours, whose energy is a reference and no label.

    That is what data sets of GAP and MACE call ``config_type=IsolatedAtom``; otherwise one atom
    that is not periodic, or whose nearest image is at least `ALONE` away.

    Args:
        numbers: (atoms,) atomic numbers.
        cell: (3, 3) lattice vectors in rows, in Å.
        pbc: (3,) bool.
        config_type: What the frame says of itself, if anything.
    """
    if len(numbers) != 1:
        return False
    said = str(config_type).lower().replace("_", "").replace("-", "").replace(" ", "")
    if said in _ISOLATED or not pbc.any():
        return True
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    steps = steps[steps.any(axis=1) & ~steps[:, ~pbc].any(axis=1)]
    return bool(np.linalg.norm(steps @ cell, axis=1).min() >= ALONE)


def group_names(found: Sequence[object]) -> np.ndarray | None:
    """(frames,) the ``config_type`` of each frame as text, or None if no frame has one.

    Of names longer than `_LONGEST` the beginning is kept, and where several begin alike, also their
    number among these.
    """
    if all(value is None for value in found):
        return None
    whole = ["none" if value is None else str(value) for value in found]
    shown: dict[str, str] = {name: name for name in whole if len(name) <= _LONGEST}
    for name in dict.fromkeys(whole):
        if name in shown:
            continue
        short, number = name[:_LONGEST], 1
        while short in shown.values():
            number += 1
            short = f"{name[: _LONGEST - len(f'~{number}')]}~{number}"
        shown[name] = short
    return np.array([shown[name] for name in whole])
