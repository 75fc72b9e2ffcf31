"""How long runs will take, from measured step times."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.store.gc_pause import uncollected
from bench.store.record import FINAL, Record, decode_result
from bench.store.store import Store
from bench.studies.plan import Plan
from bench.text.formatting import counted

#: Steps that are done before the timed ones, and those.
_WARM_UP, _TIMED = 3, 7
#: Importing torch and a suite's library, once a process.
_START_S = 10.0


def estimate(
    specs: Sequence[Spec], records: Iterable[Record], jobs: int, tell: Callable[[str], None]
) -> float:
    """Seconds that runs will take, `jobs` side by side.

    A run is taken to last as long as the finished runs of the same problem, model and techniques in
    the same settings. Where there is none, one is built and stepped a few times; a choice that
    rarely decides how long a step lasts (activation, rescaling, initialisation) is not asked for
    there.

    Args:
        specs: The runs, each once.
        records: Of finished runs, by which it is told.
        jobs: How many run side by side.
        tell: Told when something must be measured.

    Returns:
        An estimate; infinite where a problem cannot be built.
    """
    known: dict[bytes, list[float]] = {}
    for record in records:
        if record.status in FINAL and record.seeds_together == 1:
            timing = record.timing
            total = timing.build_s + timing.train_s + timing.evaluate_s
            known.setdefault(_kind(record.spec, exact=True), []).append(total)
    measured: dict[bytes, float] = {}
    lasting: list[float] = []
    for spec in specs:
        if found := known.get(_kind(spec, exact=True)):
            lasting.append(statistics.median(found))
            continue
        kind = _kind(spec, exact=False)
        if kind not in measured:
            if not measured:
                tell(
                    "measuring a few steps of each problem and model, to say how long it will take"
                )
            measured[kind] = measure(spec)
        lasting.append(measured[kind])
    if not lasting:
        return 0.0
    return max(sum(lasting) / max(jobs, 1), *lasting) + _START_S


def measure(spec: Spec) -> float:
    """Seconds that a run takes by a few of its steps and an evaluation, on its device.

    The steps are not compiled, so that a run that is compiled takes less.
    """
    import torch

    from bench.spec.randomness import global_streams
    from bench.training.device import StepTimer, deterministic

    device = torch.device(spec.device)
    training = spec.training
    few = msgspec.structs.replace(training, steps=_WARM_UP + _TIMED, lbfgs_steps=0)
    short = msgspec.structs.replace(spec, training=few)
    try:
        with deterministic(device), global_streams(spec.seed, device):
            start = time.perf_counter()
            task = load_suite(spec.suite).build(short, device)
            built = time.perf_counter()
            task.evaluate()
            evaluated = time.perf_counter()
            timer = StepTimer(device)
            for _ in range(_WARM_UP + _TIMED):
                with timer.step():
                    task.step()
            step = statistics.median(timer.flush()[_WARM_UP:])
    except Exception:  # whatever a user's technique raises: the run itself will say it
        return math.inf
    evaluations = (training.evaluations + 1) * (evaluated - built)
    return built - start + evaluations + training.total_steps * step


def say_how_long(plan: Plan, store: Store, jobs: int, rerun: bool) -> None:
    """Say on stderr how many runs a plan has, how many are missing, and how long these will take.

    Args:
        plan: What is to be run.
        store: What is there.
        jobs: How many runs go side by side.
        rerun: Whether finished runs are repeated.
    """
    distinct = {spec.hash: spec for spec in plan.specs}
    with uncollected():
        found = {} if rerun else {name: store.read(name, decode_result) for name in distinct}
    missing = [spec for name, spec in distinct.items() if not _finished(found.get(name))]
    head = f"study {plan.study} on {plan.suite}: {_shape(plan)}"
    if not missing:
        print(f"bench: {head}: all {len(distinct)} runs are in {store.root}", file=sys.stderr)
        return
    seconds = estimate(
        missing,
        store.records(decode_result),
        jobs,
        lambda text: print(f"bench: {text}", file=sys.stderr),
    )
    print(
        f"bench: {head}: {len(distinct)} runs, {len(missing)} to do, about"
        f" {duration(seconds)} with {jobs} at a time",
        file=sys.stderr,
        flush=True,
    )


def _finished(record: Record | None) -> bool:
    return record is not None and record.status in FINAL


def _shape(plan: Plan) -> str:
    """For people: 4 arms × 5 problems × 3 seeds."""
    words = ("arm", "problem", "model", "seed")
    return " × ".join(counted(len({getattr(s, word) for s in plan.specs}), word) for word in words)


def duration(seconds: float) -> str:
    """For people: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``; ``unknown`` if infinite."""
    if not math.isfinite(seconds):
        return "unknown"
    for unit, size, least in (("days", 86_400, 2 * 86_400), ("h", 3600, 5400), ("min", 60, 90)):
        if seconds >= least:
            amount = seconds / size
            return f"{amount:.0f} {unit}" if unit == "min" else f"{amount:.1f} {unit}"
    return f"{max(1, round(seconds))} s"


def _kind(spec: Spec, exact: bool) -> bytes:
    """What runs that take equally long have in common."""
    axes = spec.axes if exact else {"normalization": spec.axes["normalization"]}
    points = {k: v for k, v in spec.settings.items() if k in ("points", "batch", "size", "engine")}
    what = (spec.suite, spec.problem, spec.model, axes, points, spec.device, spec.dtype)
    training = spec.training
    return msgspec.json.encode(
        (*what, training.total_steps, training.lbfgs_steps, training.evaluations), order="sorted"
    )
