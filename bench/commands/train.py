"""``python -m bench.suite <suite>``: train and score arms × problems × seeds."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.arm import AXES, BASELINE, Arm
from bench.errors import BadInput
from bench.options import add_training_arguments
from bench.record import Record
from bench.spec import Spec
from bench.store import DEFAULT_OUT, Store
from bench.task import Batchable, Request, Suite, load_suite

DTYPES = ("float32", "float64")
TOGETHER = ("auto", "on", "off")
_MOST_SEEDS = 10_000
#: One of these is there where CUDA is: a server's, a container's, WSL's, Jetson's.
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl")


def add_command(commands: Any, suite: Suite) -> None:
    """Add the subcommand of a suite."""
    parser = commands.add_parser(
        suite.name, help=f"train and score: {suite.summary}", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--problem",
        action="append",
        metavar="NAME",
        help="a problem, or one's own (see the README); repeat for several (default: "
        f"{', '.join(suite.default_problems())})",
    )
    what.add_argument(
        "--arm",
        action="append",
        metavar="ARM",
        help="techniques joined by +, for instance irelu+lsuv; repeat for several",
    )
    for axis in AXES:
        what.add_argument(
            f"--{axis}",
            metavar="NAME",
            help=f"choice of {axis} for every --arm: a name or package.module:attribute",
        )
    what.add_argument("--no-baseline", action="store_true", help="do not add the baseline")
    what.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(suite.models)}, or with its size,"
        f" {suite.default_models('quick')[0]}:40x6; repeat for several (default:"
        f" {_default_models(suite)})",
    )
    seeds = what.add_mutually_exclusive_group()
    seeds.add_argument("--seeds", type=int, metavar="N", help="the seeds 0 … N−1 (default 1)")
    seeds.add_argument(
        "--seed", type=int, action="append", metavar="K", help="one seed; repeat for several"
    )
    how = parser.add_argument_group("how to train")
    how.add_argument(
        "--budget",
        default="quick",
        metavar="NAME",
        help="; ".join(f"{name}: {text}" for name, text in suite.budgets.items())
        + " (default quick)",
    )
    add_training_arguments(how)
    suite.add_arguments(how)
    where = parser.add_argument_group("where to run")
    where.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 …")
    where.add_argument(
        "--dtype", default="float32", choices=DTYPES, help="float32 (default) or float64"
    )
    where.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        help="runs side by side, each on one core (auto: one per core; measure speed with 1)",
    )
    if isinstance(suite, Batchable):
        where.add_argument(
            "--seeds-together",
            default="auto",
            choices=TOGETHER,
            help="train the seeds of an arm as one model (auto: on CUDA devices)",
        )
    else:
        parser.set_defaults(seeds_together="off")
    where.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="the store of results"
    )
    where.add_argument("--rerun", action="store_true", help="repeat finished runs")
    where.add_argument("--json", action="store_true", help="print a JSON array of records only")


def run(options: argparse.Namespace) -> int:
    """Run the subcommand of a suite; returns the exit code."""
    suite = load_suite(options.command)
    device = device_name(options.device)
    specs = specify(suite, options, device)
    jobs = _jobs(options.jobs, device)
    together = {"auto": device != "cpu", "on": True, "off": False}[options.seeds_together]
    store = Store(options.out)
    store.prepare()

    from bench.executors import run_all
    from bench.progress import ProgressReporter

    with ProgressReporter(specs) as reporter:
        records, interrupted = run_all(
            specs, store, device, jobs, options.rerun, together, reporter
        )
    _say_what_is_old(suite, records)
    if options.json:
        sys.stdout.write(msgspec.json.encode(records).decode() + "\n")
    elif records:
        from bench.environment import provenance
        from bench.report.tables import print_tables, render_console

        print_tables(records, suite.columns, provenance(suite), render_console())
        print(f"{len({r.spec_hash for r in records})} runs in {options.out}; one whole:", end=" ")
        print(f"python -m bench.suite show {records[-1].spec_hash[:8]}{_out(options.out)}")
    suite.finish(records, store, options)
    if interrupted:
        again = "the same command without --rerun" if options.rerun else "the same command"
        print(f"bench: interrupted; {again} continues", file=sys.stderr)
        return 130
    return 0 if all(r.status in ("done", "diverged") for r in records) else 1


def _default_models(suite: Suite) -> str:
    """The models that run when none is named, and under which budgets if that differs."""
    by_models: dict[str, list[str]] = {}
    for budget in suite.budgets:
        by_models.setdefault(", ".join(suite.default_models(budget)), []).append(budget)
    if len(by_models) == 1:
        return next(iter(by_models))
    return "; ".join(f"{'/'.join(budgets)}: {models}" for models, budgets in by_models.items())


def _out(path: Path) -> str:
    return "" if path == DEFAULT_OUT else f" --out {path}"


def specify(suite: Suite, options: argparse.Namespace, device: str) -> list[Spec]:
    """The specs that the options of the command line ask for.

    Args:
        suite: Of the command.
        options: Parsed.
        device: Name of the device.

    Raises:
        BadInput: A name, a size or an option is wrong.
    """
    arms = _arms(options)
    problems = list(dict.fromkeys(options.problem or suite.default_problems()))
    models = list(dict.fromkeys(options.model or suite.default_models(options.budget)))
    specs = [
        suite.specify(
            Request(
                problem=problem,
                model=model,
                arm=arm,
                seed=seed,
                budget=options.budget,
                device=device.partition(":")[0],
                dtype=options.dtype,
                options=options,
            )
        )
        for problem in problems
        for model in models
        for arm in arms
        for seed in _seeds(options)
    ]
    named: dict[tuple[str, str, str, int], str] = {}
    for spec in specs:
        label = (spec.problem, spec.model, spec.arm, spec.seed)
        if named.setdefault(label, spec.hash) != spec.hash:
            raise BadInput(f"two problems are called {spec.problem!r}: run them one by one")
    return specs


def _arms(options: argparse.Namespace) -> list[Arm]:
    given = [Arm.parse(text) for text in options.arm or []]
    changes = {axis: getattr(options, axis) for axis in AXES if getattr(options, axis) is not None}
    if changes:
        given = given or [Arm()]
        for axis, choice in changes.items():
            given = [arm.override(axis, choice) for arm in given]
    if options.no_baseline and not given:
        raise BadInput(f"--no-baseline leaves nothing to run: name an --arm (or {BASELINE!r})")
    arms = given if options.no_baseline else [Arm(), *given]
    for arm in arms:
        arm.check_own()
    return list(dict.fromkeys(arms))


def _seeds(options: argparse.Namespace) -> Sequence[int]:
    if options.seed is not None:
        for seed in options.seed:
            if seed < 0:
                raise BadInput(f"--seed must be 0 or more, got {seed}")
        return list(dict.fromkeys(options.seed))
    count = 1 if options.seeds is None else options.seeds
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


def _jobs(text: str, device: str) -> int:
    if text == "auto":
        if device != "cpu":
            return 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"--jobs takes 'auto' or a number of at least 1, got {text!r}")
    return int(text)


def _say_what_is_old(suite: Suite, records: Sequence[Record]) -> None:
    """One line if some of the records were made by other code or versions than the rest."""
    from bench.environment import provenance

    now = provenance(suite)
    old = {r.spec_hash: r.environment.get("commit") for r in records if r.is_older_than(now)}
    if old:
        commits = ", ".join(sorted({str(commit)[:8] for commit in old.values()}))
        print(
            f"bench: {len(old)} of the runs were made by other code or versions (commit {commits});"
            " --rerun repeats them",
            file=sys.stderr,
        )
