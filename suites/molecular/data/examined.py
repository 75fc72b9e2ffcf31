"""What is looked for in a user's own file once it has been read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suites.molecular.data.duplicates import SAME, first_copies
from suites.molecular.data.frames import Frames
from suites.molecular.data.label_check import Assumed, label_warnings
from suites.molecular.data.strained_pairs import stress_warnings


def examined(frames: Frames, length_unit: str | None, force_unit: str | None) -> Frames:
    """The frames with their copies, and with sentences about what contradicts itself.

    Args:
        frames: As they were read.
        length_unit: What was said of the file's positions.
        force_unit: What was said of its forces.
    """
    length = length_unit or "Ang"
    assumed = Assumed(frames.energy_unit, length, force_unit or f"{frames.energy_unit}/{length}")
    copies = first_copies(frames)
    found = (
        *frames.warnings,
        *_zeros_warning(frames),
        *label_warnings(frames, assumed),
        *stress_warnings(frames),
        *_copies_warning(frames, copies),
    )
    return replace(frames, copies=copies, warnings=found)


def _zeros_warning(frames: Frames) -> list[str]:
    if frames.forces.any():
        return []
    return [
        f"the forces of all {len(frames)} frames are exactly 0: a potential learns to be flat from"
        " them, unless they are no labels but fill a gap (--forces-key names others)"
    ]


def _copies_warning(frames: Frames, copies: np.ndarray) -> list[str]:
    again = np.flatnonzero(copies != np.arange(len(frames)))
    if not len(again):
        return []
    apart = float(np.abs(frames.energies[again] - frames.energies[copies[again]]).max())
    text = (
        f"{len(again)} of {len(frames)} frames are copies of an earlier one (to {SAME:g} Å); all"
        " copies of a frame are in one part of the split"
    )
    if apart > 1e-6 * float(np.abs(frames.energies).max()):
        text += f", and their energies differ by up to {apart:.3g} {frames.energy_unit}"
    return [text]
