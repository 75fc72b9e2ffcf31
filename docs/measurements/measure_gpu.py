"""Everything that `docs/measurements/gpu.md` has figures of, on a machine with a GPU, in minutes.

    python docs/measurements/measure_gpu.py --out gpu-results

Each part runs in a process of its own with a limit of its own, the most telling ones first, and
results are written after each: what is cut off, or fails, loses that part alone. `--device cpu
--smoke` runs small cases of all parts, to see that the script works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

PROBLEMS = [
    "advection-1d",
    "compressible-flow-1d",
    "diffusion-reaction-2d",
    "diffusion-sorption-1d",
    "shallow-water-2d",
]

Row = dict[str, Any]


class Asked(NamedTuple):
    """What the command line asks for.

    Attributes:
        device: ``cuda``, or ``cpu`` to try the script.
        smoke: Small cases.
    """

    device: str
    smoke: bool

    @property
    def timing(self) -> list[str]:
        """How `bench.suite speed` times."""
        rounds, steps = (1, 1) if self.smoke else (9, 10)
        return f"--rounds {rounds} --steps {steps} --device {self.device} --json".split()


class Part(NamedTuple):
    """One part.

    Attributes:
        name: Of the part.
        limit: Most seconds that it may take on a GPU.
        measure: Finds its rows.
    """

    name: str
    limit: float
    measure: Callable[[Asked], list[Row]]


# What the parts measure.


def machine(asked: Asked) -> list[Row]:
    """Device, driver, versions."""
    import torch

    rows = [
        ("python", platform.python_version()),
        ("torch", torch.__version__),
        ("CUDA", str(torch.version.cuda)),
        ("CPU cores", str(os.cpu_count())),
    ]
    if asked.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        rows += [
            ("device", properties.name),
            ("processors", str(properties.multi_processor_count)),
            ("memory", f"{properties.total_memory / 2**30:.0f} GiB"),
        ]
    return [{"what": name, "value": value} for name, value in rows]


def speed(*arguments: str) -> Callable[[Asked], list[Row]]:
    """`bench.suite speed` with these arguments."""

    def measure(asked: Asked) -> list[Row]:
        command = [sys.executable, "-m", "bench.suite", "speed", *arguments, *asked.timing]
        done = subprocess.run(command, capture_output=True, text=True)
        # 1: a gradient differs from stock's; the row says by how much.
        if done.returncode not in (0, 1):
            raise RuntimeError(done.stderr[-2000:])
        return [_short(row) for row in json.loads(done.stdout)]

    return measure


def _short(row: Row) -> Row:
    return {
        "case": row["name"],
        "path": row["path"],
        "ms": row["ours_ms"],
        "stock ms": row["stock_ms"],
        "× stock": row["ratio"],
        "set-up s": row["setup_s"],
        "difference": row["difference"],
    }


def potentials(model: str) -> Callable[[Asked], list[Row]]:
    """A step at batch 10 and 100 against stock SchNetPack."""

    def measure(asked: Asked) -> list[Row]:
        size, batches = ("16x1", [4]) if asked.smoke else ("128x3", [10, 100])
        chosen = [word for batch in batches for word in ("--batch", str(batch))]
        return speed("molecular", "--model", f"{model}:{size}", *chosen)(asked)

    return measure


def pinn(problem: str, compiled: str) -> Callable[[Asked], list[Row]]:
    """A step of one PINN against stock DeepXDE, on the published points."""

    def measure(asked: Asked) -> list[Row]:
        model = "fnn:4x1" if asked.smoke else "fnn"
        case = ("--problem", problem, "--model", model, "--compile", compiled)
        return speed("pinn", *case)(asked)

    return measure


def seeds(problem: str, compiled: str) -> Callable[[Asked], list[Row]]:
    """Steps of eight seeds as one model; the ratio is of their throughput to that of one seed."""

    def measure(asked: Asked) -> list[Row]:
        import torch

        from bench.task import Contender, SpeedCase
        from bench.training import stock_speed
        from bench.training.device import deterministic
        from suites.pinn import batch, task

        count, device = 2 if asked.smoke else 8, torch.device(asked.device)
        ways = [(None, "whole"), (choose_parts(asked), "in parts")]
        with deterministic(device):
            exact = _specs(problem, count, "float64", "off", asked)
            alone = [task.build(spec, device) for spec in exact]
            wanted = [own.gradient(own.parameters.vector.detach()).gradient for own in alone]
            specs = _specs(problem, count, "float32", compiled, asked)
            contenders = []
            for rows, name in ways:
                batch.rows_of_a_product = lambda _, rows=rows: rows
                double = batch.build_together(exact, device)
                found = double.gradient(double.vector).gradient.unbind()
                difference = stock_speed.relative_difference(found, wanted)
                together = batch.build_together(specs, device)
                together.step()
                how = together.gradient.how
                path = f"{count} seeds {how['executed']}, {name}"
                setup = how.get("setup_s", 0.0)
                contenders.append(Contender(path, together.step, difference, setup, count))
            # One seed as it runs alone, in stock's place.
            one = task.build(_specs(problem, 1, "float32", "off", asked)[0], device)
            case = SpeedCase(problem, one.step, contenders)
            rounds, steps = (1, 1) if asked.smoke else (9, 10)
            measured = stock_speed.measure(case, rounds, steps, device)
        return [
            {
                "case": row.name,
                "path": row.path,
                "ms of a seed": row.ours_ms,
                "one seed alone ms": row.stock_ms,
                "× throughput": row.ratio,
                "set-up s": row.setup_s,
                "difference": row.difference,
            }
            for row in measured
        ]

    return measure


def choose_parts(asked: Asked) -> int:
    """Rows of a part of a weight's gradient."""
    import torch

    from suites.pinn.engine.choose_cuda import rows_of_a_product

    return 16 if asked.smoke else rows_of_a_product(torch.device("cuda")) or 0


def _specs(problem: str, count: int, dtype: str, compiled: str, asked: Asked) -> list[Any]:
    from bench.arm import Arm
    from bench.spec.training_options import TrainingOptions
    from bench.task import Request
    from suites.pinn.options import PINNOptions
    from suites.pinn.suite import SUITE

    model, budget = ("fnn:4x1", "smoke") if asked.smoke else ("fnn", "paper")
    options = PINNOptions(protocol="paper", supervised=0.0, compile=compiled)
    training = TrainingOptions(steps=1_000_000)
    return [
        SUITE.specify(
            Request(problem, model, Arm(), seed, budget, asked.device, dtype, training, options)
        )
        for seed in range(count)
    ]


def products(asked: Asked) -> list[Row]:
    """The three products of a layer of eight seeds, 14000 rows each, and their memory traffic."""
    import torch

    from suites.pinn.engine.batched_product import batched_product

    count, rows, width = (2, 64, 4) if asked.smoke else (8, 14_000, 40)
    device, part = torch.device(asked.device), choose_parts(asked)
    x = torch.randn(count, rows, width, device=device)
    w = torch.randn(count, width, width, device=device, requires_grad=True)
    by = torch.randn_like(x)
    whole, parted = x @ w, batched_product(x, w, part)
    one = x[0] @ w[0]
    cases: list[tuple[str, Callable[[], object]]] = [
        ("forward", lambda: torch.bmm(x, w)),
        ("weights' gradient, whole", lambda: torch.autograd.grad(whole, w, by, retain_graph=True)),
        (
            "weights' gradient, in parts",
            lambda: torch.autograd.grad(parted, w, by, retain_graph=True),
        ),
        (
            "weights' gradient of one seed",
            lambda: torch.autograd.grad(one, w, by[0], retain_graph=True),
        ),
        ("an elementwise product", lambda: torch.mul(x, by)),
    ]
    return [{"what": name, "µs": 1e6 * _seconds(step, device)} for name, step in cases]


def _seconds(step: Callable[[], object], device: Any) -> float:
    """Fastest of some rounds of 20 calls, the device's time."""
    from bench.training.device import StepTimer

    for _ in range(3):
        step()
    timer = StepTimer(device)
    for _ in range(5):
        with timer.step():
            for _ in range(20):
                step()
    return min(timer.flush()) / 20


def tests(asked: Asked) -> list[Row]:
    """Equality on the device: losses are those of the CPU, captured steps those of eager ones."""
    chosen = ["tests/training/test_capture.py"]
    if not asked.smoke:
        names = "losses_are_those or captured_once or together or potentials_train or capture"
        chosen += ["tests/training/test_gpu.py", "-k", names]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return [{"what": line} for line in lines if line.startswith("FAILED")] + [{"what": lines[-1]}]


PARTS = [
    Part("machine", 30, machine),
    Part("schnet", 110, potentials("schnet")),
    Part("painn", 130, potentials("painn")),
    Part("products", 30, products),
    *(Part(f"seeds {problem}", 60, seeds(problem, "off")) for problem in PROBLEMS),
    *(Part(f"pinn {problem}", 45, pinn(problem, "off")) for problem in PROBLEMS),
    Part("compiled seeds advection-1d", 90, seeds(PROBLEMS[0], "on")),
    Part("compiled seeds diffusion-reaction-2d", 120, seeds(PROBLEMS[2], "on")),
    *(Part(f"compiled pinn {problem}", 90, pinn(problem, "on")) for problem in PROBLEMS),
    Part("tests", 150, tests),
]

#: Of a smoke test, one of each kind.
SMOKE = ("machine", "schnet", "products", "seeds advection-1d", "pinn advection-1d", "tests")


# How they are run.


def run_part(part: Part, asked: Asked, limit: float) -> Row:
    """A part in a process of its own.

    Returns:
        Its rows, or the reason why there are none, and the seconds that it took.
    """
    command = [sys.executable, __file__, "--part", part.name, "--device", asked.device]
    command += ["--smoke"] if asked.smoke else []
    start = time.monotonic()
    found: Row = {"part": part.name}
    # A session, so that what it has started ends with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, error = process.communicate(timeout=limit)
        found |= {"rows": json.loads(out)} if process.returncode == 0 else {"failed": error[-2000:]}
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        found["failed"] = f"not done after {limit:.0f} s"
    return found | {"seconds": round(time.monotonic() - start, 1)}


def markdown(results: Iterable[Row]) -> str:
    """The results as tables."""
    lines = ["# Measured on a GPU", ""]
    for result in results:
        lines += [f"## {result['part']}", "", f"{result['seconds']} s", ""]
        if "failed" in result:
            lines += ["No result:", "", "```", result["failed"].strip(), "```", ""]
            continue
        columns = list(result["rows"][0])
        lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        for row in result["rows"]:
            lines.append("| " + " | ".join(_cell(row.get(name)) for name in columns) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write(folder: Path, results: list[Row]) -> None:
    """``results.json`` and ``results.md``, each replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("results.json", json.dumps(results, indent=1, ensure_ascii=False)),
        ("results.md", markdown(results)),
    ):
        new = folder / f"{name}.new"
        new.write_text(text + "\n")
        new.replace(folder / name)


def main() -> int:
    """Measure.

    Returns:
        1 if a part has no result.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="a folder")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--smoke", action="store_true", help="small cases, to try the script")
    parser.add_argument("--budget", type=float, default=570.0, help="seconds for all parts")
    parser.add_argument("--only", action="append", help="parts whose names begin so")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asked = Asked(given.device, given.smoke)
    if given.part:
        (part,) = [part for part in PARTS if part.name == given.part]
        print(json.dumps(part.measure(asked)))
        return 0
    begun, results = time.monotonic(), []
    for part in PARTS:
        if given.smoke and part.name not in SMOKE:
            continue
        if given.only and not part.name.startswith(tuple(given.only)):
            continue
        left = given.budget - (time.monotonic() - begun)
        if left < 10:
            result: Row = {"part": part.name, "failed": "no time left", "seconds": 0}
        else:
            result = run_part(part, asked, min(left, given.budget if asked.smoke else part.limit))
        results.append(result)
        write(given.out, results)
        print(f"{part.name}: {result.get('failed', 'done')} ({result['seconds']} s)", flush=True)
    return 1 if any("failed" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
