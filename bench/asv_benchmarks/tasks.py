"""Tasks, built as the command line builds them."""

from __future__ import annotations

import atexit
import contextlib
import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.task import Task

#: Of each suite and device, where they are not the defaults. A potential's step is captured on a
#: GPU by default, and not if it must not be compiled.
_OPTIONS = {
    ("pinn", "cpu"): {"compile": "off"},
    ("pinn", "cuda"): {"compile": "off"},
    ("molecular", "cpu"): {"compile": "off"},
}
#: Of a potential's ways.
OF_WAYS = {"padded": {"compile": "on"}, "compiled": {"compile": "on"}}
#: The harness's context of a task stays open until the process ends.
_open = contextlib.ExitStack()
atexit.register(_open.close)


@functools.cache
def built(
    suite_name: str,
    problem: str,
    network: str,
    device: str,
    dtype: str = "float32",
    budget: str = "quick",
    way: str = "",
) -> Task:
    """A task, ready to train.

    Steps are not compiled: that takes longer than all that is measured, and hides the
    operators that are counted.

    asv sets a benchmark up before each single sample, so a task is kept for the process.

    Args:
        suite_name: Name of the suite.
        problem: Name of the problem.
        network: Model and arm, separated by a space.
        device: ``cpu`` or ``cuda``.
        dtype: Floating-point type of the network.
        budget: Name of the budget.
        way: See `in_way`; without one the steps are not compiled.
    """
    import torch

    from bench.arm import Arm
    from bench.plugins import load_suite
    from bench.spec.randomness import global_streams
    from bench.spec.training_options import TrainingOptions
    from bench.task import Request
    from bench.training.device import deterministic

    suite = load_suite(suite_name)
    model, arm = network.split()
    spec = suite.specify(
        Request(
            problem=problem,
            model=model,
            arm=Arm.parse(arm),
            seed=0,
            budget=budget,
            device=device,
            dtype=dtype,
            training=TrainingOptions(),
            options=suite.options(
                **{**_OPTIONS.get((suite_name, device), {}), **OF_WAYS.get(way, {})}
            ),
        )
    )
    where = torch.device(device)
    _open.enter_context(deterministic(where))
    _open.enter_context(global_streams(spec.seed, where))
    return in_way(suite.build(spec, where), way)


def in_way(task: Any, way: str) -> Any:
    """A task, whose steps are computed in another way.

    Args:
        task: Just built, with `OF_WAYS` of the way.
        way: One of a PINN's (``kernel``, ``inductor``, …); of a potential ``padded``: on batches of
            static shape, as they are compiled, but not compiled, or ``compiled``. Empty: as it is.
    """
    if way == "padded":
        task.compiled = task.compiled.uncompiled()
    elif way and way not in OF_WAYS:
        task.gradient = task.gradient.with_(way=way)
        task.evaluation = task.gradient.evaluation
    return task
