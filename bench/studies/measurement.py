"""How long a run takes, measured by a few of its steps in a process of their own.

A task of paper size may need more memory than there is, and a user's technique may hang or end the
process: neither may harm the command that only asks how long a study will take.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.execution.limited_child import ChildFailed, LimitedChild
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.text.errors import BadInput

#: Steps that are done before the timed ones, and those.
_WARM_UP, _TIMED = 3, 7
#: Slow steps are fewer: none is begun after so many seconds of them, once one has been timed.
_STEPPING_S = 20.0
#: For one measurement, the start of the process included, and for all that one call makes.
KIND_S, ALL_S = 60.0, 120.0

#: What this process has measured, or why it could not, by the key of a kind.
_found: dict[bytes, float | str] = {}


def measure_all(kinds: Mapping[bytes, Spec]) -> dict[bytes, float | str]:
    """Seconds that a run of each kind takes; where that cannot be measured, why.

    One process measures one after another, within half of the memory that is available. After a
    measurement that fails, the next one gets a new process. What one call has measured, the next
    one knows.

    Args:
        kinds: A spec of each kind, by a key that kinds share which take equally long.

    Returns:
        Of each kind seconds, or a reason for a sentence that ends with "because …".

    Raises:
        KeyboardInterrupt: The process of the measurement has ended, too.
    """
    start = time.monotonic()
    with LimitedChild(KIND_S) as child:
        for key, spec in kinds.items():
            if key in _found:
                continue
            if time.monotonic() - start > ALL_S:
                break
            try:
                seconds = child.call(f"{__name__}:measure", msgspec.to_builtins(spec))
            except (BadInput, ChildFailed) as error:
                _found[key] = str(error)
            else:
                _found[key] = float(seconds)
    late = f"the measurements before it took more than {ALL_S:g} s"
    return {key: _found.get(key, late) for key in kinds}


def measure(given: Mapping[str, Any]) -> float:
    """Seconds that a run takes, estimated from a few steps and an evaluation on its device.

    The steps are not compiled, so a run that is compiled takes less.

    Args:
        given: The spec as JSON.

    Raises:
        Exception: Whatever building, evaluating or a step raises.
    """
    import torch

    from bench.spec.randomness import global_streams
    from bench.training.device import StepTimer, deterministic

    spec = msgspec.convert(given, Spec)
    device = torch.device(spec.device)
    training = spec.training
    few = msgspec.structs.replace(training, steps=_WARM_UP + _TIMED, lbfgs_steps=0)
    short = msgspec.structs.replace(spec, training=few)
    with deterministic(device), global_streams(spec.seed, device):
        start = time.perf_counter()
        task = load_suite(spec.suite).build(short, device)
        built = time.perf_counter()
        task.evaluate()
        evaluated = time.perf_counter()
        timer = StepTimer(device)
        for done in range(_WARM_UP + _TIMED):
            if done > 1 and time.perf_counter() - evaluated > _STEPPING_S:
                break
            with timer.step():
                task.step()
        step = _typical(timer.flush())
    evaluations = (training.evaluations + 1) * (evaluated - built)
    return built - start + evaluations + training.total_steps * step


def _typical(seconds: Sequence[float]) -> float:
    """Median of the steps after the warm-up; of a slow task's few, of all but the first."""
    return statistics.median(seconds[_WARM_UP:] or seconds[1:])
