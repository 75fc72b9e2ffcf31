"""Whether the training step of a potential is compiled: every decision on it, in one place.

Nothing is timed: a choice changes the last digits of a result, which must follow from the spec.
"""

from __future__ import annotations

import torch

from suites.molecular.models.catalogue import Size

#: Measured on a core of 46 to 80 GFLOP/s: seconds to compile a shape, at most, and what a step then
#: saves, at least (SchNet's; the other models save more): its operators' overhead, and a part for
#: each feature of each pair in each interaction.
COMPILE_SECONDS = 60.0
_SAVED_OVERHEAD = 3e-3
_SAVED_PER_FEATURE = 30e-9
#: So many times the seconds to compile must be saved.
_MARGIN = 2.0


def saved_seconds(pairs: float, size: Size) -> float:
    """What compiling saves of a step, at least.

    Args:
        pairs: Directed pairs of a batch.
        size: Of the network.
    """
    return _SAVED_OVERHEAD + _SAVED_PER_FEATURE * pairs * size.features * size.interactions


def break_even_steps(pairs: float, size: Size, shapes: int) -> int:
    """Steps after which compiling has paid for itself, at most.

    Args:
        pairs: Directed pairs of a batch.
        size: Of the network.
        shapes: Of batches, each of which is compiled.
    """
    return round(COMPILE_SECONDS * shapes / saved_seconds(pairs, size))


def is_compiled(asked: str, device: torch.device, steps: int, break_even: int) -> bool:
    """Whether a training step is compiled.

    Args:
        asked: One of `suites.molecular.options.COMPILE`. ``auto``: on a CPU, where the run has so
            many more steps than the break-even that it pays well.
        device: Where the step runs.
        steps: Of the run.
        break_even: See `break_even_steps`.
    """
    if asked != "auto":
        return asked == "on"
    return device.type == "cpu" and steps > _MARGIN * break_even
