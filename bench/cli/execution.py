"""Which seeds, where and how side by side: what the commands that run things have in common."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.spec.spec import Spec
from bench.store.record import FINAL, Record, decode_result
from bench.store.store import DEFAULT_OUT, Decode, Store
from bench.task import Suite
from bench.text.errors import BadInput
from bench.training.policy import Conditions
from bench.training.signals import EXIT_CODE

DTYPES = ("float32", "float64")
TOGETHER = ("auto", "on", "off")
_MOST_SEEDS = 10_000
#: One of these is there where CUDA is: a server's, a container's, WSL's, Jetson's.
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl")


def add_seed_arguments(parser: argparse._ActionsContainer) -> None:
    """Add ``--seeds`` and ``--seed``."""
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seeds", type=int, metavar="N", help="the seeds 0 … N−1 (default 1)")
    seeds.add_argument(
        "--seed", type=int, action="append", metavar="K", help="one seed; repeat for several"
    )


def add_execution_arguments(parser: argparse._ActionsContainer, batchable: bool) -> None:
    """Add device, dtype, jobs, the store and what becomes of finished runs.

    Args:
        parser: Where to.
        batchable: Whether a suite can train seeds as one model.
    """
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 …"
    )
    parser.add_argument(
        "--dtype", default="float32", choices=DTYPES, help="float32 (default) or float64"
    )
    parser.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        help="runs side by side, each in a process on one core (auto: one per core, or one on a"
        " GPU; 1: in this process, for debuggers)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="of each run; its state is kept, and the same command continues it",
    )
    parser.add_argument(
        "--halve-on-oom",
        action="store_true",
        help="when memory runs out, try again with half the seeds, then half a batch, at a time",
    )
    if batchable:
        parser.add_argument(
            "--seeds-together",
            default="auto",
            choices=TOGETHER,
            help="train the seeds of an arm as one model (auto: on CUDA devices)",
        )
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store of results"
    )
    parser.add_argument("--rerun", action="store_true", help="repeat finished runs")


def out_option(path: Path) -> str:
    """The option that names a store, with a space before it; empty for the default."""
    return "" if path == DEFAULT_OUT else f" --out {shlex.quote(str(path))}"


def seeds_of(options: argparse.Namespace, default: int = 1) -> Sequence[int]:
    """The seeds that are asked for, each once.

    Args:
        options: With those of `add_seed_arguments`.
        default: How many where none is named.

    Raises:
        BadInput: A number is out of its range.
    """
    if options.seed is not None:
        for seed in options.seed:
            if seed < 0:
                raise BadInput(f"--seed must be 0 or more, got {seed}")
        return list(dict.fromkeys(options.seed))
    count = default if options.seeds is None else options.seeds
    if not 1 <= count <= _MOST_SEEDS:
        raise BadInput(f"--seeds must be from 1 to {_MOST_SEEDS}, got {count}")
    return range(count)


def device_name(name: str) -> str:
    """The device's own name. Asks torch, which takes seconds to import, only about CUDA."""
    driver = any(Path(path).exists() for path in _DRIVERS)
    if name == "cpu" or (name == "auto" and not driver):
        return "cpu"
    from bench.training.device import resolve

    return str(resolve(name))


def jobs_of(text: str, device: str) -> int:
    """How many runs side by side.

    Raises:
        BadInput: It is no number.
    """
    if text == "auto":
        if device != "cpu":
            return 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < 1:
        raise BadInput(f"--jobs takes 'auto' or a number of at least 1, got {text!r}")
    return int(text)


def timeout_of(options: argparse.Namespace) -> float | None:
    """The time limit of a run, in seconds.

    Raises:
        BadInput: It is no positive number.
    """
    seconds: float | None = options.timeout
    if seconds is not None and not 0 < seconds < math.inf:
        raise BadInput(f"--timeout must be positive and finite, got {seconds}")
    return seconds


def run_or_find(
    suite: Suite,
    specs: Sequence[Spec],
    store: Store,
    device: str,
    options: argparse.Namespace,
    decode: Decode = decode_result,
) -> tuple[list[Record], bool]:
    """Run what is missing, with a report of the progress on stderr.

    Args:
        suite: Of all specs.
        specs: What is wanted.
        store: Made if it is not there.
        device: Name of the device, resolved.
        options: With those of `add_execution_arguments`.
        decode: Reads a record that is found: of `bench.store.record`.

    Returns:
        As of `bench.execution.run_all.run_all`.

    Raises:
        BadInput: ``--jobs`` or ``--timeout`` is out of range, or the store cannot be written to.
        CannotWrite: The store took no more in the middle.
    """
    conditions = Conditions(
        store=store,
        device=device,
        jobs=jobs_of(options.jobs, device),
        rerun=options.rerun,
        together={"auto": device != "cpu", "on": True, "off": False}[options.seeds_together],
        timeout_s=timeout_of(options),
        halve=options.halve_on_oom,
    )
    store.prepare()

    from bench.execution.progress import ProgressReporter
    from bench.execution.run_all import run_all

    # One run has no others to be protected from it.
    alone = options.jobs == "1" or len(specs) == 1
    with ProgressReporter(specs) as reporter:
        records, interrupted = run_all(
            specs, conditions, alone and conditions.timeout_s is None, reporter, decode
        )
    if not interrupted:
        _say_what_is_old(suite, records)
    return records, interrupted


def exit_code(records: Sequence[Record], interrupted: bool, options: argparse.Namespace) -> int:
    """0 if all runs ended as ``done`` or ``diverged``, 1 if one did not, 130 when interrupted."""
    if interrupted:
        again = "the same command without --rerun" if options.rerun else "the same command"
        print(f"bench: interrupted; {again} continues", file=sys.stderr)
        return EXIT_CODE
    bad = Counter(r.status for r in {r.spec_hash: r for r in records}.values())
    for status in FINAL:
        del bad[status]
    if not bad:
        return 0
    counts = ", ".join(f"{count} {status}" for status, count in bad.items())
    print(f"bench: runs without a result: {counts}; the same command tries again", file=sys.stderr)
    return 1


def _say_what_is_old(suite: Suite, records: Sequence[Record]) -> None:
    """One line if some of the records were made by other code or versions than the rest."""
    from bench.store.environment import provenance

    old: dict[str, Any] = {
        r.spec_hash: r.environment.get("commit")
        for r in records
        if r.is_older_than(provenance(suite, r.spec))
    }
    if old:
        commits = ", ".join(sorted({str(commit)[:8] for commit in old.values()}))
        print(
            f"bench: {len(old)} of the runs were made by other code or versions (commit {commits});"
            " --rerun repeats them",
            file=sys.stderr,
        )
