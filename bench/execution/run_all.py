"""Records of specs: found in the store, or run in this process or in several.

A run is claimed while it is trained, so that processes that share a store do each once. What is run
at a time is a unit: one spec, or several that differ in their seeds alone and are trained as one
model.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import time
from collections.abc import Sequence

import msgspec

from bench.execution.queue import Waiting
from bench.execution.reporter import Reporter
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.store.gc_pause import uncollected
from bench.store.record import FINAL, Record, decode
from bench.store.store import Decode
from bench.task import Batchable
from bench.training.policy import RunPolicy, Stopped
from bench.training.signals import GRACE_S, Interruption

#: Seeds that are one unit at most: each holds a lock, and so a file, open.
_MOST_TOGETHER = 128


def run_all(
    specs: Sequence[Spec],
    policy: RunPolicy,
    here: bool,
    reporter: Reporter,
    decode: Decode = decode,
) -> tuple[list[Record], Stopped | None]:
    """The records of all specs, in order; those that are missing are run.

    Specs that mean the same (equal hashes) are run once. A run that is ``done`` or ``diverged`` is
    found again; any other continues from its checkpoint.

    Args:
        specs: What is wanted.
        policy: Where and how.
        here: In this process, where a debugger stops them, and a crash too; without time limits.
        reporter: Told of the progress.
        decode: Reads a record that is found: of `bench.store.record`.

    Returns:
        The records, without those that an interruption or the end of the policy's time prevented;
        and which of these there was. At the end of its time a call that has all results was not
        stopped.

    Raises:
        CannotWrite: The store takes no more; what was written stands.
    """
    policy = dataclasses.replace(policy, since=datetime.datetime.now(datetime.UTC))
    names = [spec.hash for spec in specs]
    wanted: dict[str, Spec] = {}
    for name, spec in zip(names, specs, strict=True):
        wanted.setdefault(name, spec)
    found: dict[str, Record] = {}
    missing: list[Spec] = []
    left_s = dict(policy.expected_s)
    with uncollected():
        for name, spec in wanted.items():
            record = None if policy.rerun else policy.store.read(name, decode)
            if record is not None and record.status in FINAL:
                found[name] = record
                reporter.finished(record, reused=True)
                continue
            missing.append(spec)
            if record is not None and name in left_s:  # which continues from its last step
                left_s[name] *= 1 - record.steps_done / spec.training.total_steps
    policy = dataclasses.replace(policy, expected_s=left_s)
    units = _units(missing, policy.together)
    if not any(map(policy.in_time, units)):
        units = []
    interrupted = False
    if units and here:
        policy = dataclasses.replace(policy, jobs=1)
        done, interrupted = _run_here(units, policy, reporter)
        found.update(done)
    elif units:
        from bench.execution.pool import Pool

        policy = dataclasses.replace(policy, jobs=min(policy.jobs, len(units)))
        done, interrupted = Pool(units, policy, reporter).run()
        found.update(done)
    pairs = zip(names, specs, strict=True)
    records = [found[name].labelled(spec) for name, spec in pairs if name in found]
    stopped: Stopped | None = "signal" if interrupted else None
    unfinished = any(n not in found or found[n].status == "interrupted" for n in wanted)
    if policy.until is not None and unfinished and not interrupted:
        stopped = "time"
    return records, stopped


def _units(specs: Sequence[Spec], together: bool) -> list[list[Spec]]:
    """What is run at a time, in the order of the first spec of each."""
    if not together:
        return [[spec] for spec in specs]
    alike: dict[str, list[Spec]] = {}
    for spec in specs:
        alike.setdefault(msgspec.structs.replace(spec, seed=0).hash, []).append(spec)
    units: list[list[Spec]] = []
    for seeds in alike.values():
        suite = load_suite(seeds[0].suite)
        batched = len(seeds) > 1 and isinstance(suite, Batchable) and suite.together(seeds)
        size = _MOST_TOGETHER if batched else 1
        units.extend(map(list, itertools.batched(seeds, size)))
    return units


class _Here:
    """Implements `bench.training.run.Watcher`: tells a reporter, and keeps the records."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.done: dict[str, Record] = {}

    def anew(self, spec: Spec, why: str) -> None:
        """Passed on."""
        self._reporter.anew(spec, why)

    def began(self, specs: Sequence[Spec], limit_s: float | None) -> None:
        """Nobody enforces the limit here."""

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """Passed on."""
        self._reporter.progress(spec, step, total, loss)

    def ended(self, record: Record) -> None:
        """Of a run that was trained."""
        self._keep(record, reused=False)

    def found(self, record: Record) -> None:
        """Of a run that another process has trained."""
        self._keep(record, reused=True)

    def _keep(self, record: Record, reused: bool) -> None:
        self.done[record.spec_hash] = record
        self._reporter.finished(record, reused)


def _run_here(
    units: Sequence[Sequence[Spec]], policy: RunPolicy, reporter: Reporter
) -> tuple[dict[str, Record], bool]:
    from bench.execution.claimed_run import Attempts

    watcher, waiting = _Here(reporter), Waiting(units)
    attempts = Attempts(policy, watcher, watcher.found)
    with Interruption(None if policy.embedded else GRACE_S) as interruption:
        try:
            while waiting and not interruption and not policy.over:
                if (unit := waiting.next()) is None:
                    time.sleep(0.05)
                elif not policy.in_time(unit):
                    continue
                elif held := attempts.run(unit, interruption):
                    reporter.held(held)
                    waiting.put_off(held)
        except KeyboardInterrupt:
            return watcher.done, True
    return watcher.done, bool(interruption)
