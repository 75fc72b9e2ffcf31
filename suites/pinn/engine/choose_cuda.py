"""What is decided for PINNs on a CUDA device, from counts alone: see `suites.pinn.engine.choose`.

The kernels of a fast evaluation are always captured (`bench.training.capture`). What compiling then
saves is memory traffic: of the 80 to 100 bytes that a step moves for each hidden feature of a row
and stream, fusing elementwise passes spares about 45 (counted in the traced graph of seeds
together).
"""

from __future__ import annotations

import torch

from suites.pinn.engine.evaluation import FastEvaluation

#: Seconds saved for each hidden feature of a row and stream: 45 bytes at 2.7 TB/s. Measured on an
#: H100: 0.06 ms of a step of advection-1d, which has 3.6 million.
_SAVED_PER_ELEMENT = 1.7e-11
#: Measured on the same machine.
_COMPILE_SECONDS = 12.0
#: So many times the seconds to compile must be saved.
_MARGIN = 2.0

#: Rows of a part of a weight's gradient: a device with 132 processors has work for all of them from
#: eight seeds of 7000 rows on, and a part is still a long sum.
_ROWS_OF_A_PRODUCT = 256


def hidden_elements(evaluation: FastEvaluation) -> float:
    """Number of hidden features of all rows and streams that a step computes."""
    return evaluation.row_passes * evaluation.net.width * len(evaluation.net.activations)


def saved_by_compiling(steps: float, elements: float) -> float:
    """Seconds that compiled steps save over a run.

    Args:
        steps: Of the run.
        elements: `hidden_elements`, of all seeds that are trained together.
    """
    return steps * _SAVED_PER_ELEMENT * elements


def pays(saved: float) -> bool:
    """Whether so many seconds are worth compiling for."""
    return saved > _MARGIN * _COMPILE_SECONDS


def rows_of_a_product(device: torch.device) -> int | None:
    """Rows of a part of the weights' gradients of seeds together, or ``None``: not in parts."""
    return _ROWS_OF_A_PRODUCT if device.type == "cuda" else None
