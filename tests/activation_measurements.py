"""The table of docs/measurements/activations.md: accuracy and time of activations in float32.

    python tests/activation_measurements.py [TOKEN …]

Each line is an activation: the largest error of σ, σ′, σ″ and σ‴ over 1e-6·max(|exact|, x², 1e-3)
(a test allows 1), that of σ in units in the last place, and nanoseconds an element for σ and for
σ with three derivatives. Times are thread time on one core, of numbers that stay in its cache; the
ways alternate, and the least of each counts. Run it on a quiet machine; it compiles for minutes.
"""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from activation_references import EXACT, GRID, TOLERANCES, worst_error, worst_units
from native_activations import NativeActivations, aligned
from torch import Tensor

from bench.techniques.activation import make_activation
from bench.techniques.slopes import slopes_of
from bench.training import cpu_forms, traced
from suites.pinn.engine.native_activations import native_name

COUNT = 1 << 15
REPEATS = 40
ROUNDS = 15
#: Evaluations in one compiled graph, so that its call and its reads weigh little.
IN_A_GRAPH = 8
#: The kernel's blocks lie in the first cache: so many fewer numbers, evaluated so many times.
IN_CACHE = 32

Way = Callable[[Tensor], Sequence[Tensor]]


def slopes_to(token: str, order: int) -> Way:
    """σ and its derivatives up to an order, as functions of a tensor."""
    sigma = slopes_of(make_activation(token))
    assert sigma is not None

    def evaluate(x: Tensor) -> list[Tensor]:
        y = sigma.value(x)
        slopes = sigma.slopes(x, y, order) if order else []
        return [y, *(torch.zeros_like(x) if slope is None else slope for slope in slopes)]

    return evaluate


@contextlib.contextmanager
def operators_of_torch() -> Iterator[None]:
    """Compilation with torch's operators, and without fused multiply-adds, its default."""
    kept, options = dict(cpu_forms.CPU_FORMS), dict(traced._OPTIONS)
    cpu_forms.CPU_FORMS.clear()
    traced._OPTIONS["cpp.enable_floating_point_contract_flag"] = "off"
    try:
        yield
    finally:
        cpu_forms.CPU_FORMS.update(kept)
        traced._OPTIONS.update(options)


def summed(way: Way) -> Way:
    """Σ over shifted points of all that a way gives: arithmetic, and little memory."""

    def evaluate(x: Tensor) -> list[Tensor]:
        total = torch.zeros_like(x)
        for k in range(IN_A_GRAPH):
            for part in way(x + 0.01 * k):
                total = total + part
        return [total]

    return evaluate


def least(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Nanoseconds of thread time of one call, each the least of some rounds."""
    found = dict.fromkeys(runs, math.inf)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begin = time.thread_time_ns()
            for _ in range(REPEATS):
                run()
            found[name] = min(found[name], (time.thread_time_ns() - begin) / REPEATS)
    return found


def errors(found: Sequence[Tensor], token: str) -> str:
    rows = [values.tolist() for values in found]
    units = worst_units(rows[0], token, torch.float32)
    return f"{worst_error(rows, token) / TOLERANCES[torch.float32]:.2f} / {units:.1f}"


def line(token: str, native: NativeActivations) -> str:
    """One row of the table."""
    name = native_name(make_activation(token))
    assert name is not None
    grid = torch.tensor(GRID)
    x = 1.5 * torch.randn(COUNT, generator=torch.Generator().manual_seed(0))
    few = COUNT // IN_CACHE
    given, room = aligned(few, torch.float32), aligned(4 * few, torch.float32)
    given.copy_(x[:few])
    with operators_of_torch():
        before = [traced.compile_traced(slopes_to(token, 3), grid)(grid)]
        graphs_before = [traced.compile_traced(summed(slopes_to(token, k)), x) for k in (0, 3)]
    now = [traced.compile_traced(slopes_to(token, 3), grid)(grid)]
    graphs = [traced.compile_traced(summed(slopes_to(token, k)), x) for k in (0, 3)]
    with torch.no_grad():
        eager = slopes_to(token, 3)(grid)
        cells = [errors(each, token) for each in (eager, *before, *now)]
        cells.append(errors(list(native(name, grid, 3)), token))
        for k, order in enumerate((0, 3)):
            times = least(
                {
                    "eager": lambda order=order: slopes_to(token, order)(x),
                    "before": lambda k=k: graphs_before[k](x),
                    "now": lambda k=k: graphs[k](x),
                    "native": lambda order=order: native.run(name, given, room, order, IN_CACHE),
                }
            )
            for way, scale in (("eager", 1), ("before", 8), ("now", 8), ("native", 1)):
                cells.append(f"{times[way] / scale / COUNT:.2f}")
    return " | ".join([f"`{token}`", *cells])


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        native = NativeActivations(Path(folder))
        for token in sys.argv[1:] or EXACT:
            print(f"| {line(token, native)} |", flush=True)


if __name__ == "__main__":
    main()
