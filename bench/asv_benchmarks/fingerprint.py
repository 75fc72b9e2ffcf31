"""What a few training steps compute, as three numbers that only the mathematics changes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .tasks import OF_WAYS, in_way

#: Adam steps of a case that does not say how many. The second one depends on the first's update.
_STEPS = 2

#: A metric far below this is one of a network that does nothing, and as large as rounding makes it.
_NOTHING = 1e-6

#: Of each suite, for small and quick tasks. A PINN's step is not compiled: that takes minutes.
_OPTIONS: dict[str, dict[str, Any]] = {
    "pinn": {"compile": "off"},
    "molecular": {"n_train": 12, "n_val": 4, "n_test": 4, "batch": 6, "compile": "off"},
}


class Fingerprint(NamedTuple):
    """A case in numbers, all from float64 on one core.

    Attributes:
        loss: The loss of the first step.
        gradient: Euclidean norm of its gradient by all parameters.
        metrics: Geometric mean of the sizes of all metrics after the last step: losses on training
            and held-out data, errors against the ground truth. Where one of n metrics changes by
            its part δ, the mean changes by its part δ/n.
    """

    loss: float
    gradient: float
    metrics: float


def fingerprints(suite: str, cases: Iterable[str]) -> dict[str, Fingerprint | str]:
    """The fingerprint of each case, or what went wrong with it in one line."""
    found: dict[str, Fingerprint | str] = {}
    with _one_thread():
        for case in cases:
            try:
                found[case] = fingerprint(suite, case)
            # One case that fails is to fail alone.
            except Exception as error:
                found[case] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return found


def fingerprint(suite_name: str, case: str) -> Fingerprint:
    """Build a task of budget ``smoke``, train it for its steps, and evaluate it.

    Args:
        suite_name: Name of the suite.
        case: Problem, model and arm, then options of training or of the suite that differ, each as
            ``name=value``, all separated by spaces. ``way=NAME`` is how a step is computed, see
            `bench.asv_benchmarks.tasks.in_way`.
    """
    import torch

    from bench.spec.randomness import global_streams
    from bench.training.device import deterministic

    case, _, way = case.partition(" way=")
    suite, spec = _specified(suite_name, case, way)
    where = torch.device("cpu")
    with deterministic(where), global_streams(spec.seed, where):
        task = in_way(suite.build(spec, where), way)
        loss = float(task.step()["loss"])
        gradient = _norm(task.optimization.parameters)
        for _ in range(spec.training.total_steps - 1):
            task.step()
        metrics = task.evaluate().metrics
    return Fingerprint(loss, gradient, _geometric_mean(metrics))


def _specified(suite_name: str, case: str, way: str = "") -> tuple[Any, Any]:
    """The suite, and the spec of a case."""
    from bench.arm import Arm
    from bench.plugins import load_suite
    from bench.spec.training_options import TrainingOptions
    from bench.task import Request

    problem, model, arm, *settings = case.split()
    given = dict(setting.split("=", 1) for setting in settings)
    known = set(TrainingOptions.__struct_fields__)
    training = {name: _value(text) for name, text in given.items() if name in known}
    options = {name: _value(text) for name, text in given.items() if name not in known}
    suite = load_suite(suite_name)
    request = Request(
        problem=problem,
        model=model,
        arm=Arm.parse(arm),
        seed=0,
        budget="smoke",
        device="cpu",
        dtype="float64",
        training=TrainingOptions(**{"steps": _STEPS, **training}),
        options=suite.options(**{**_OPTIONS[suite_name], **OF_WAYS.get(way, {}), **options}),
    )
    return suite, suite.specify(request)


def _value(text: str) -> Any:
    """A number, where the text is one."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _norm(parameters: Iterable[Any]) -> float:
    """Of the gradients that parameters have."""
    squares = [float(p.grad.square().sum()) for p in parameters if p.grad is not None]
    return math.sqrt(math.fsum(squares))


def _geometric_mean(metrics: Mapping[str, float]) -> float:
    """Of the sizes, each with `_NOTHING` added; infinite or NaN where a metric is."""
    logs = [math.log(abs(value) + _NOTHING) for value in metrics.values()]
    return math.exp(math.fsum(logs) / len(logs))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread in the body: how many there are decides the order of long sums."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
