"""Runs of one suite: found in the store, or carried out, with the progress on stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bench.execution.options import ExecutionOptions
from bench.spec.spec import Spec
from bench.store.record import FINAL, Record, decode_result
from bench.store.store import Decode, Store
from bench.task import Batchable, Suite, TrainedRun
from bench.text.errors import BadInput
from bench.training.policy import RunPolicy, Stopped


def find_or_run(
    suite: Suite,
    specs: Sequence[Spec],
    device: str,
    options: ExecutionOptions,
    decode: Decode = decode_result,
    progress: bool = True,
    embedded: bool = False,
    until: float | None = None,
    expected_s: Mapping[str, float] = MappingProxyType({}),
    later_s: float = 0.0,
) -> tuple[list[Record], Stopped | None]:
    """Run what is missing from the store. The store is made if it is not there.

    Args:
        suite: The suite of all specs.
        specs: The wanted runs.
        device: Resolved name of the device.
        options: Where and how to run.
        decode: The decoder of `bench.store.record` that reads the records that are found.
        progress: Show progress.
        embedded: See `bench.training.policy.RunPolicy`.
        until: When the call ends although runs are missing, by `time.time`. Runs are then in
            processes of their own, so that one that hangs can be ended.
        expected_s: How long runs are expected to last, by hash. The progress then says when all
            will end.
        later_s: How long what the caller does after this is expected to take.

    Returns:
        The records of the wanted runs in order, and what stopped the call before all had ended, if
        anything did: ``signal``, or ``time`` where `until` was given. The same call continues.

    Raises:
        BadInput: An option is out of range or asks for what the suite cannot do, or the store
            cannot be written to.
        CannotWrite: The store takes no more data; what was written stands.
    """
    options.check()
    if options.seeds_together == "on" and not isinstance(suite, Batchable):
        raise BadInput(
            f"--seeds-together 'on': suite {suite.name!r} trains each seed alone"
            " (allowed: auto, off)"
        )
    policy = RunPolicy(
        store=Store(options.store),
        device=device,
        jobs=options.jobs_on(device),
        rerun=options.rerun,
        together=options.together_on(device),
        embedded=embedded,
        timeout_s=options.timeout,
        halve=options.halve_on_oom,
        until=until,
        expected_s=dict(expected_s),
    )
    policy.store.prepare()

    from bench.execution.forecast import Forecast
    from bench.execution.progress import make_reporter
    from bench.execution.run_all import run_all

    # One run has no others to be protected from it.
    alone = options.jobs == "1" or len(specs) == 1
    forecast = Forecast(expected_s, policy.jobs, later_s, until) if expected_s else None
    with make_reporter(specs, progress, forecast) as reporter:
        unlimited = policy.timeout_s is None and until is None
        records, stopped = run_all(specs, policy, alone and unlimited, reporter, decode)
    if stopped is None:
        _say_what_is_old(suite, records)
    return records, stopped


def trained(records: Sequence[Record], store: Store) -> list[TrainedRun]:
    """The runs as a suite gets them once they have ended."""
    return [TrainedRun(r.spec, r.status, r.task, store.find_weights(r.spec_hash)) for r in records]


def without_result(records: Sequence[Record]) -> str:
    """How many runs ended without a result, by status; empty if none did."""
    bad = Counter(r.status for r in {r.spec_hash: r for r in records}.values())
    for status in FINAL:
        del bad[status]
    return ", ".join(f"{count} {status}" for status, count in bad.items())


def _say_what_is_old(suite: Suite, records: Sequence[Record]) -> None:
    """Say in one line if other code or versions made some of the records."""
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
