"""Which seeds, where and how side by side: what the commands that run things have in common."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import BadInput
from bench.record import Record
from bench.spec import Spec
from bench.store import DEFAULT_OUT, Store
from bench.task import Suite

DTYPES = ("float32", "float64")
#: The exit code after Ctrl-C.
INTERRUPTED = 130
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
        help="runs side by side, each on one core (auto: one per core; measure speed with 1)",
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
    from bench.device import resolve

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
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"--jobs takes 'auto' or a number of at least 1, got {text!r}")
    return int(text)


def run_or_find(
    suite: Suite, specs: Sequence[Spec], store: Store, device: str, options: argparse.Namespace
) -> tuple[list[Record], bool]:
    """Run what is missing, with a report of the progress on stderr.

    Args:
        suite: Of all specs.
        specs: What is wanted.
        store: Made if it is not there.
        device: Name of the device, resolved.
        options: With those of `add_execution_arguments`.

    Returns:
        As of `bench.executors.run_all`.

    Raises:
        BadInput: ``--jobs`` is no number, or the store cannot be written to.
    """
    jobs = jobs_of(options.jobs, device)
    together = {"auto": device != "cpu", "on": True, "off": False}[options.seeds_together]
    store.prepare()

    from bench.executors import run_all
    from bench.progress import ProgressReporter

    with ProgressReporter(specs) as reporter:
        records, interrupted = run_all(
            specs, store, device, jobs, options.rerun, together, reporter
        )
    _say_what_is_old(suite, records)
    return records, interrupted


def exit_code(records: Sequence[Record], interrupted: bool, options: argparse.Namespace) -> int:
    """0 if all runs ended as ``done`` or ``diverged``, 1 if one failed, 130 when interrupted."""
    if interrupted:
        again = "the same command without --rerun" if options.rerun else "the same command"
        print(f"bench: interrupted; {again} continues", file=sys.stderr)
        return INTERRUPTED
    return 0 if all(r.status in ("done", "diverged") for r in records) else 1


def _say_what_is_old(suite: Suite, records: Sequence[Record]) -> None:
    """One line if some of the records were made by other code or versions than the rest."""
    from bench.environment import provenance

    now = provenance(suite)
    old: dict[str, Any] = {
        r.spec_hash: r.environment.get("commit") for r in records if r.is_older_than(now)
    }
    if old:
        commits = ", ".join(sorted({str(commit)[:8] for commit in old.values()}))
        print(
            f"bench: {len(old)} of the runs were made by other code or versions (commit {commits});"
            " --rerun repeats them",
            file=sys.stderr,
        )
