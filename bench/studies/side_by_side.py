"""How much longer steps take beside others: processes share caches and the memory's bandwidth."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from bench.execution.limited_child import LimitedChild, available_memory
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.studies.measurement import KIND_S

#: For how long steps are timed.
_STEPPING_S = 2.0

#: More than are done in that time.
_MANY = 100_000

#: What this process has measured, by suite, device and number of runs.
_found: dict[tuple[str, str, int], float] = {}

#: In the child: the task that `prepare` has built, and what must stay entered while it steps.
_prepared: list[Any] = []


def slowdown(spec: Spec, jobs: int) -> float:
    """How many times as long a step takes beside ``jobs - 1`` others of its kind as alone.

    It is measured once for each suite and device: what is shared is the machine.

    Args:
        spec: Of a run that can be built and stepped.
        jobs: How many run side by side. All of them together may use half of the memory that is
            available.

    Returns:
        At least 1.

    Raises:
        BadInput: The task refuses its spec.
        bench.execution.limited_child.ChildFailed: So many cannot be measured; the message ends a
            sentence with "because …".
        KeyboardInterrupt: The processes of the measurement have ended, too.
    """
    if jobs < 2:
        return 1.0
    key = (spec.suite, spec.device, jobs)
    if key not in _found:
        _found[key] = _measured(spec, jobs)
    return _found[key]


def _measured(spec: Spec, jobs: int) -> float:
    endless = msgspec.structs.replace(spec.training, steps=_MANY, lbfgs_steps=0)
    spec = msgspec.structs.replace(spec, training=endless)
    with contextlib.ExitStack() as stack:
        memory = available_memory() // (2 * jobs)
        children = [stack.enter_context(LimitedChild(KIND_S, memory)) for _ in range(jobs)]
        for child in children:
            child.begin(f"{__name__}:prepare", msgspec.to_builtins(spec))
        for child in children:
            child.result()
        alone = float(children[0].call(f"{__name__}:step_s", _STEPPING_S))
        for child in children:
            child.begin(f"{__name__}:step_s", _STEPPING_S)
        beside = [float(child.result()) for child in children]
    return max(statistics.median(beside) / alone, 1.0)


def prepare(given: Mapping[str, Any]) -> None:
    """In a child: build the task that `step_s` steps.

    Args:
        given: The spec as JSON.
    """
    import torch

    from bench.spec.randomness import global_streams
    from bench.training.device import deterministic

    spec = msgspec.convert(given, Spec)
    device = torch.device(spec.device)
    entered = contextlib.ExitStack()  # until the child ends
    entered.enter_context(deterministic(device))
    entered.enter_context(global_streams(spec.seed, device))
    task = load_suite(spec.suite).build(spec, device)
    task.step()
    _prepared[:] = [task, device, entered]


def step_s(for_s: float) -> float:
    """In a child: median seconds of the steps of the task, which go on for some seconds."""
    from bench.training.device import StepTimer

    task, device, _ = _prepared
    timer, end = StepTimer(device), time.perf_counter() + for_s
    seconds: list[float] = []
    while not seconds or time.perf_counter() < end:
        with timer.step():
            task.step()
        seconds += timer.flush()
    return statistics.median(seconds)
