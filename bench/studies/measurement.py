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
from bench.spec.training import Training
from bench.text.errors import BadInput

#: Steps that are done before the timed ones, and those.
_WARM_UP, _TIMED = 3, 7
#: Steps of L-BFGS, each with a line search; the first has no curvature yet.
_LBFGS = 4
#: Slow steps are fewer: none is begun after so many seconds of them, once one has been timed.
_STEPPING_S = 20.0
#: For one measurement, the start of the process included, and for all that one call makes.
KIND_S, ALL_S = 60.0, 120.0


class Parts(msgspec.Struct, frozen=True):
    """Seconds of what a run consists of.

    Attributes:
        build_s: Building the task.
        evaluate_s: One evaluation.
        adam_s: One step of Adam.
        lbfgs_s: One step of L-BFGS; 0 where the run that was measured has none.
    """

    build_s: float
    evaluate_s: float
    adam_s: float
    lbfgs_s: float

    def run_s(self, training: Training) -> float:
        """Seconds of a run of some length."""
        steps = training.steps * self.adam_s + training.lbfgs_steps * self.lbfgs_s
        return self.build_s + (training.evaluations + 1) * self.evaluate_s + steps


class Late(str):
    """Why something was not measured: only since there was no time."""


#: What this process has measured, or why it could not, by the key of a kind.
_found: dict[bytes, Parts | str] = {}


def measure_all(kinds: Mapping[bytes, Spec], limit_s: float = ALL_S) -> dict[bytes, Parts | str]:
    """What a run of each kind takes; where that cannot be measured, why.

    One process measures one after another, within half of the memory that is available. After a
    measurement that fails, the next one gets a new process. What one call has measured, the next
    one knows.

    Args:
        kinds: A spec of each kind, by a key that kinds share whose parts take equally long.
        limit_s: No measurement is begun after so many seconds.

    Returns:
        Of each kind its parts, or a reason for a sentence that ends with "because …"; it is a
        `Late` where a longer limit would do.

    Raises:
        KeyboardInterrupt: The process of the measurement has ended, too.
    """
    start = time.monotonic()
    with LimitedChild(KIND_S) as child:
        for key, spec in kinds.items():
            if key in _found:
                continue
            if time.monotonic() - start > limit_s:
                break
            try:
                parts = child.call(f"{__name__}:measure", msgspec.to_builtins(spec))
            except (BadInput, ChildFailed) as error:
                _found[key] = str(error)
            else:
                _found[key] = msgspec.convert(parts, Parts)
    late = Late(f"the measurements before it took more than {limit_s:g} s")
    return {key: _found.get(key, late) for key in kinds}


def measure(given: Mapping[str, Any]) -> dict[str, float]:
    """The `Parts` of a run as JSON, from a few steps and an evaluation on its device.

    The steps are not compiled, so a run that is compiled takes less. Nothing else runs beside them.

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
    adam = _WARM_UP + _TIMED if spec.training.steps else 0
    lbfgs = _LBFGS if spec.training.lbfgs_steps else 0
    few = msgspec.structs.replace(spec.training, steps=adam, lbfgs_steps=lbfgs)
    short = msgspec.structs.replace(spec, training=few)
    with deterministic(device), global_streams(spec.seed, device):
        start = time.perf_counter()
        task = load_suite(spec.suite).build(short, device)
        built = time.perf_counter()
        task.evaluate()
        evaluated = time.perf_counter()

        def timed(steps: int) -> Sequence[float]:
            timer, began = StepTimer(device), time.perf_counter()
            for done in range(steps):
                if done > 1 and time.perf_counter() - began > _STEPPING_S:
                    break
                with timer.step():
                    task.step()
            return timer.flush()

        of_adam = timed(adam)
        if lbfgs and len(of_adam) < adam:  # too slow: L-BFGS comes after all of Adam's
            last = msgspec.structs.replace(few, steps=0)
            task = load_suite(spec.suite).build(
                msgspec.structs.replace(spec, training=last), device
            )
        of_lbfgs = timed(lbfgs)
    parts = Parts(built - start, evaluated - built, _typical(of_adam), _typical(of_lbfgs))
    return msgspec.structs.asdict(parts)


def _typical(seconds: Sequence[float]) -> float:
    """Median of the steps after the warm-up, or of few all but the first; of none 0."""
    return statistics.median(seconds[_WARM_UP:] or seconds[1:]) if seconds else 0.0
