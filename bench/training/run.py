"""Runs, from their specs to their records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from bench.files.atomic import CannotWrite
from bench.plugins import load_suite
from bench.spec.spec import Spec
from bench.store import checkpoint
from bench.store.environment import environment
from bench.store.record import FINAL, Record, timestamp
from bench.store.store import Store
from bench.store.weights import save_weights
from bench.task import Divisible, Suite, Task
from bench.training.account import Account
from bench.training.concentration import concentration_warning
from bench.training.device import release_memory, reset_peak_memory
from bench.training.group import Group
from bench.training.loop import RAISED, Log, Outcome, Progress, Stop, Trainer, failure
from bench.training.policy import RunPolicy
from bench.training.products import own_product_library
from bench.training.residual_ratio import ratio_warnings
from bench.training.signals import Interruption
from bench.training.time_limit import CallEnd, Deadline


class Watcher(Protocol):
    """Told of what happens to the runs that are executed."""

    def anew(self, spec: Spec, why: str) -> None:
        """It begins at the first step although there is a checkpoint, for a reason."""

    def began(self, specs: Sequence[Spec], limit_s: float | None) -> None:
        """They are built and trained as one from now on, within a time limit."""

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """A block of steps was done."""

    def ended(self, record: Record) -> None:
        """A run has ended, and its record was written."""


class _Alone:
    """Implements `Watcher` for one run: what it leaves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.record: Record | None = None

    def anew(self, spec: Spec, why: str) -> None:
        """The record says it."""

    def began(self, specs: Sequence[Spec], limit_s: float | None) -> None:
        """Nothing to tell."""

    def progress(self, spec: Spec, step: int, total: int, loss: float) -> None:
        """Of the one run."""
        self._progress(step, total, loss)

    def ended(self, record: Record) -> None:
        """Keep it."""
        self.record = record


def execute(
    spec: Spec,
    store: Store,
    device: torch.device,
    jobs: int,
    progress: Progress,
    interruption: Interruption,
) -> Record:
    """Train and score a spec alone; see `execute_together`."""
    watcher = _Alone(progress)
    execute_together([spec], RunPolicy(store, str(device), jobs), watcher, interruption)
    assert watcher.record is not None
    return watcher.record


def execute_together(
    specs: Sequence[Spec], policy: RunPolicy, watcher: Watcher, interruption: Interruption
) -> None:
    """Train and score specs as one model, each continuing from its checkpoint if there is one.

    Those whose checkpoints are at one step are in lockstep; after a kill there may be several such
    steps, and each has its turn. A record is written to the store when its run has ended. An
    exception of the suite becomes a record with the status ``failed`` or ``out-of-memory`` and the
    reason.

    Args:
        specs: What to run: one, or several of a suite that takes them together.
        policy: Where and how.
        watcher: Told of what happens.
        interruption: Looked at between steps, as is the end of the policy's time. What has not
            begun by then leaves no record.

    Raises:
        CannotWrite: A record or the weights of a run cannot be written; its checkpoint stands.
    """
    suite = load_suite(specs[0].suite)
    device = torch.device(policy.device)
    todo = _groups([_Run.of(spec, suite, policy, device) for spec in specs])
    for spec, refused in [(run.spec, run.refused) for group in todo for run in group]:
        if refused is not None:
            watcher.anew(spec, refused)
    while todo:
        # Taken out, so that nothing of them is on the device any more when others are measured.
        smaller = _halved(_train(todo.pop(0), suite, policy, watcher, interruption))
        if interruption or policy.over:
            return
        release_memory(device)
        todo[:0] = smaller


def record_of_loss(
    spec: Spec, policy: RunPolicy, outcome: Outcome, started: str, together: int
) -> Record:
    """The record of a run whose process is gone, up to its last checkpoint.

    Args:
        spec: Of the run.
        policy: Under which it was trained.
        outcome: What became of it.
        started: When it began.
        together: How many seeds were trained as one model.
    """
    run = _Run.of(spec, load_suite(spec.suite), policy, torch.device("cpu"))
    account = run.account
    run.find_checkpoint()
    if run.state is not None:
        account.log = Log(**run.state["log"])
    account.outcome, account.started, account.together = outcome, started, together
    return account.record(None)


def _groups(runs: Sequence[_Run]) -> list[list[_Run]]:
    """The runs by the step of their checkpoints, 0 where there is none, and by how they step."""
    found: dict[tuple[int, int], list[_Run]] = {}
    for run in runs:
        step = run.find_checkpoint()
        found.setdefault((step, run.account.parts), []).append(run)
    return [found[key] for key in sorted(found)]


def _halved(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Runs that need too much memory in groups that need less."""
    if len(runs) > 1:
        middle = len(runs) // 2
        groups = [runs[:middle], runs[middle:]]
    else:
        groups = [runs]
        for run in runs:
            if run.account.together == 1:  # else it may fit alone
                run.account.parts *= 2
    return [group for half in groups for group in _groups([run.anew() for run in half])]


def _train(
    runs: Sequence[_Run],
    suite: Suite,
    policy: RunPolicy,
    watcher: Watcher,
    interruption: Interruption,
) -> list[_Run]:
    """Train runs that are at the same step, and write the record of each when it has ended.

    Returns:
        Those that ran out of memory and are to be tried again, without a record.
    """
    left = list(runs)
    again: list[_Run] = []
    limit_s = policy.limit_s(len(runs))
    for run in runs:
        run.account.started, run.account.together = timestamp(), len(runs)
    watcher.began([run.spec for run in runs], limit_s)

    def write(run: _Run) -> None:
        left.remove(run)
        if run.account.outcome[0] == "out-of-memory" and policy.halve and run.divisible:
            again.append(run)
            return
        watcher.ended(run.finish())

    device, stops = runs[0].device, (interruption, CallEnd(policy.until), Deadline(limit_s))
    with Group(suite, [run.spec for run in runs], device) as group:
        try:
            for run in _endings(runs, group, device, watcher, stops):
                write(run)
        except KeyboardInterrupt:
            for run in list(left):
                run.account.outcome = "interrupted", "interrupted before its state was saved"
                write(run)
    return again


def _endings(
    runs: Sequence[_Run],
    group: Group,
    device: torch.device,
    watcher: Watcher,
    stops: Sequence[Stop],
) -> Iterator[_Run]:
    """Build and train; yields each run when it has ended."""
    reset_peak_memory(device)
    start = time.perf_counter()
    try:
        tasks = group.build()
        build_s = time.perf_counter() - start
        pairs = zip(runs, tasks, strict=True)
        of_trainers = {run.begin(task, build_s, group, watcher): run for run, task in pairs}
    except RAISED as error:  # whatever a suite or a user's technique raises is a result
        for run in runs:
            run.account.outcome = failure(error)
        yield from runs
        return
    for trainer in group.train(list(of_trainers), stops):
        run = of_trainers[trainer]
        run.end(trainer)
        yield run


class _Run:
    """A run between its checkpoint and its record.

    Args:
        account: What it leaves behind.
        store: Where that goes.
        device: Where it runs.
    """

    def __init__(self, account: Account, store: Store, device: torch.device) -> None:
        self.account = account
        self.store = store
        self.device = device
        self.state: dict[str, Any] | None = None
        #: Why the checkpoint that there is cannot be continued from.
        self.refused: str | None = None

    @classmethod
    def of(cls, spec: Spec, suite: Suite, policy: RunPolicy, device: torch.device) -> _Run:
        """The run of a spec, before anything of it is built or read."""
        where = environment(suite, spec, policy.device, policy.jobs)
        if device.type == "cpu":
            where["products"] = own_product_library()
        return cls(Account(spec, where), policy.store, device)

    @property
    def spec(self) -> Spec:
        """What is run."""
        return self.account.spec

    def anew(self) -> _Run:
        """The same run before it was built, to be tried in as many parts."""
        account = Account(self.spec, self.account.environment)
        account.parts = self.account.parts
        return _Run(account, self.store, self.device)

    @property
    def divisible(self) -> bool:
        """Whether it can be tried with less memory."""
        account = self.account
        if account.together > 1:
            return True
        return (
            isinstance(account.task, Divisible) and 2 * account.parts <= account.task.most_parts()
        )

    @property
    def _made_by(self) -> dict[str, Any]:
        """The code and the versions."""
        return {name: self.account.environment[name] for name in ("code", "versions")}

    def find_checkpoint(self) -> int:
        """Read the state to continue from, if there is one; its step."""
        path = self.store.checkpoint(self.spec.hash)
        self.state, self.refused = checkpoint.load(path, self.spec.hash, self._made_by)
        if self.refused is not None:
            self.account.warn([self.refused])
        if self.state is None:
            return 0
        self.account.parts = max(self.account.parts, self.state["parts"])
        step: int = self.state["log"]["step"]
        return step

    def begin(self, task: Task, build_s: float, group: Group, watcher: Watcher) -> Trainer:
        """The trainer of the task that was built, at the step where the run goes on."""
        account = self.account
        account.task, account.build_s = task, build_s
        if account.parts > 1:
            account.warn(
                [
                    f"memory ran out: each batch is computed in {account.parts} parts, which"
                    " changes the rounding and the time of a step"
                ]
            )
        trainer = group.trainer(
            task,
            self.spec,
            self.state,
            account.parts,
            self._save,
            lambda *what: watcher.progress(self.spec, *what),
        )
        account.log = trainer.log
        return trainer

    def end(self, trainer: Trainer) -> None:
        """Keep the outcome, the weights and the diagnosis of a run that has ended."""
        assert trainer.outcome is not None
        account = self.account
        account.outcome = trainer.outcome
        if account.outcome[0] in ("failed", "out-of-memory"):
            return
        try:
            if account.outcome[0] in FINAL:
                save_weights(self.store, self.spec.hash, trainer.task.weights())
            diagnosis = trainer.examine()
        except CannotWrite:  # nor could the record be
            raise
        except RAISED as error:
            account.outcome = failure(error)
            return
        start = account.log.start
        account.measurements = {**diagnosis.measurements, "start": start}
        # Weights that are NaN say nothing; how the run began may say why they are.
        account.warn(start["warnings"] if account.outcome[0] == "diverged" else [])
        account.warn(concentration_warning(start))
        account.warn(diagnosis.warnings)
        account.warn(ratio_warnings(account.measurements))

    def _save(self, state: dict[str, Any]) -> None:
        marked = {
            "spec_hash": self.spec.hash,
            "made_by": self._made_by,
            "parts": self.account.parts,
        }
        try:
            checkpoint.save(self.store.checkpoint(self.spec.hash), {**state, **marked})
        except CannotWrite as error:  # there may be room again for the next, or for the record
            self.account.warn([f"a checkpoint could not be written: {error.strerror}"])

    def finish(self) -> Record:
        """Write the record; what could be continued is kept only if there is something to do."""
        record = self.account.record(self.device)
        self.store.write(record)
        if record.status in FINAL:
            self.store.drop_checkpoint(self.spec.hash)
        return record
