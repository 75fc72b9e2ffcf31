"""Whether a potential's training step is compiled or captured: every decision, in one place.

Nothing is timed: a choice changes the last digits of a result, which must follow from the spec.
"""

from __future__ import annotations

import torch

from bench.training.capture import can_capture
from suites.molecular.models.catalogue import Size

#: A core's seconds to compile a shape with an empty cache, the C++ compiler's included (SchNet: 75
#: and 62, on a core that was shared), and what a step then saves: its operators' overhead, and a
#: part for each feature of each pair in each interaction. No more than SchNet saves on ethanol at
#: widths 64 and 128 (9 and 11 ms) and on oxides (20 ms; a core of 80 GFLOP/s); PaiNN, CGCNN and
#: ForceNet save more.
COMPILE_SECONDS = 140.0
_SAVED_OVERHEAD = 6e-3
_SAVED_PER_FEATURE = 12e-9
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


def is_captured(asked: str, device: torch.device) -> bool:
    """Whether a training step is captured in a CUDA graph, compiled or not.

    Args:
        asked: One of `suites.molecular.options.COMPILE`; ``off``: the plain batches' step.
        device: Where the step runs.
    """
    return asked != "off" and can_capture(device)
