"""How much of a tracked error is noise: ``python -m bench.noise``.

A harmless change (a reordered sum, another matrix library) does the same to a training as a change
of the last digits of its initial weights. So every tracked training is repeated from weights whose
last digits are changed. A threshold must exceed the spread of the tracked median.

The spread between groups of seeds is printed beside it. A change that draws other random numbers
moves an error by as much, and the nightly reports it as a change.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Annotated, Any

from bench.asv_benchmarks import metrics as tracked
from bench.asv_benchmarks.precision import SinglePrecision, rounding
from bench.asv_benchmarks.runs import SEEDS
from bench.plugins import load_suite
from bench.spec.options import Doc, Options, add_flags
from bench.spec.spec import Spec
from bench.suite import parser
from bench.text.command_line import Parser
from bench.text.errors import BadInput

_CLASSES = (tracked.PINN, tracked.Molecular)
#: Groups of seeds, of which the first is the tracked one.
_GROUPS = 3


class NoiseOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is repeated."""

    changes: Annotated[int, Doc("how often the last digits are changed", "N")] = 3

    def check(self) -> None:
        """Refuse a number that leaves nothing to compare.

        Raises:
            BadInput: It is less than 1.
        """
        if self.changes < 1:
            raise BadInput(f"--changes must be at least 1, got {self.changes}")


_EXAMPLES = """examples:
  %(prog)s
  DCBENCH_PROFILE=nightly %(prog)s --changes 2
"""


@dataclass(frozen=True)
class Training:
    """One training: a spec, and the number of the change of last digits (0: none)."""

    benchmark: str
    metrics: tuple[str, ...]
    spec: Spec
    change: int


def trainings(changes: int) -> Iterator[Training]:
    """All trainings of the profile in force.

    Args:
        changes: Number of changes of the last digits, each of all weights.
    """
    from bench.cli.train import asked

    for cls in _CLASSES:
        for arguments in cls.calls():
            seeds = ["--seeds", str(SEEDS * _GROUPS), "--device", "cpu"]
            # Read as the command line reads what asv trains.
            namespace = parser().parse_args([*arguments, *seeds])
            for spec in asked(load_suite(cls.suite), namespace, "cpu"):
                for change in range(1 + changes if spec.seed < SEEDS else 1):
                    yield Training(cls.__name__, cls.metrics, spec, change)


def train(training: Training) -> dict[str, float]:
    """The metrics at the end, with the weights' last digits changed before the first step."""
    import torch

    from bench.spec.randomness import global_streams
    from bench.training.device import deterministic

    spec, cpu = training.spec, torch.device("cpu")
    with deterministic(cpu), global_streams(spec.seed, cpu):
        task = load_suite(spec.suite).build(spec, cpu)
        if training.change:
            generator = torch.Generator().manual_seed(training.change)
            task.load_state_dict(_changed(task.state_dict(), generator))
        for _ in range(spec.training.total_steps):
            task.step()
        found = task.evaluate().metrics
    return {name: float(found[name]) for name in training.metrics}


def _changed(state: Any, generator: Any, eps: float | None = None) -> Any:
    """A state dict with every floating-point tensor times 1 + eps·N(0, 1).

    Args:
        state: Tensors in nested dicts; anything else stays as it is.
        generator: Generator that draws the normal numbers.
        eps: Size of the change; by default the eps of each tensor's own type.
    """
    import torch

    if isinstance(state, dict):
        return {name: _changed(value, generator, eps) for name, value in state.items()}
    if isinstance(state, torch.Tensor) and state.is_floating_point():
        noise = torch.randn(state.shape, generator=generator, dtype=state.dtype)
        size = torch.finfo(state.dtype).eps if eps is None else eps
        return state * (1 + size * noise)
    return state


def spreads(
    results: Sequence[tuple[Training, dict[str, float]]],
) -> Iterator[tuple[str, float, float, float]]:
    """Name, tracked median, its largest relative change by last digits, and between seeds."""
    values: dict[str, dict[tuple[int, int], list[float]]] = {}
    for training, metrics in results:
        spec = training.spec
        group = (spec.seed // SEEDS, training.change)
        for metric, value in metrics.items():
            network = f"{spec.model} {spec.arm}"
            name = f"{training.benchmark} {metric} {spec.problem} {network}"
            values.setdefault(name, {}).setdefault(group, []).append(value)
    for name, groups in values.items():
        medians = {group: statistics.median(found) for group, found in groups.items()}
        median = medians[0, 0]
        digits = [abs(m / median - 1) for (seeds, change), m in medians.items() if change]
        seeds = [abs(m / median - 1) for (seeds, change), m in medians.items() if seeds]
        yield name, median, max(digits), max(seeds)


def rounding_spreads(changes: int) -> Iterator[tuple[str, float, float]]:
    """Name, tracked difference of single to double precision, its largest ratio by last digits."""
    import torch

    for case in SinglePrecision.params[0]:
        suite, problem, model, arm = case.split()
        found = []
        for seed in range(1 + changes):
            generator = torch.Generator().manual_seed(seed)
            eps = 2.0**-23 if seed else 0.0
            change = functools.partial(_changed, generator=generator, eps=eps)
            found.append(rounding(suite, problem, model, arm, change))
        yield case, found[0], max(found) / min(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the profile is that of ``DCBENCH_PROFILE``.

    Returns:
        0, or 2 for bad input.
    """
    root = Parser(prog="python -m bench.noise", description=__doc__, epilog=_EXAMPLES)
    add_flags(root, NoiseOptions)
    try:
        options = NoiseOptions.read(root.parse_args(arguments))
        options.check()
    except BadInput as error:
        print(f"noise: {error}", file=sys.stderr)
        return 2
    _print_noise(options.changes)
    return 0


def _print_noise(changes: int) -> None:
    """Print a line for each tracked error."""
    todo = list(trainings(changes))
    cores = len(os.sched_getaffinity(0))
    results = []
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for training, found in zip(todo, pool.map(train, todo), strict=True):
            results.append((training, found))
            print(f"{len(results)} of {len(todo)}", end="\r", file=sys.stderr, flush=True)
    print(f"{'tracked error':<78} {'median':>9} {'digits':>8} {'seeds':>8}")
    for name, median, digits, seeds in spreads(results):
        print(f"{name:<78} {median:>9.3g} {digits:>8.1e} {seeds:>8.1e}")
    print(f"\n{'single precision':<78} {'now':>9} {'digits':>8}")
    for name, now, ratio in rounding_spreads(changes):
        print(f"{name:<78} {now:>9.1e} {'×':>3}{ratio:.2f}")


if __name__ == "__main__":
    sys.exit(main())
