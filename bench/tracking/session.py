"""One night: it is alone, and does one thing after the other."""

from __future__ import annotations

import contextlib
import datetime
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from asv.machine import Machine as AsvMachine
from filelock import FileLock, Timeout

from bench.text.errors import BadInput
from bench.tracking.asv_commands import Asv
from bench.tracking.branch import ResultsBranch
from bench.tracking.commits import Repository
from bench.tracking.configuration import Configuration
from bench.tracking.findings import Creeping, Findings, Judgement
from bench.tracking.journal import Journal
from bench.tracking.judging import Judge
from bench.tracking.keeping import Keeper
from bench.tracking.machine import Machine, examine, require_gpu
from bench.tracking.machine_results import MachineResults
from bench.tracking.measuring import Measuring, unmeasured
from bench.tracking.options import (
    MeasuringOptions,
    PublishingOptions,
    ResultsOptions,
    acceptance_command,
)
from bench.tracking.publishing import Publisher
from bench.tracking.result_files import set_aside_damaged
from bench.tracking.results import is_number


@contextlib.contextmanager
def session(
    what: MeasuringOptions, where: ResultsOptions, publishing: PublishingOptions, root: Path
) -> Iterator[Session]:
    """One nightly, while a second one is kept out.

    Args:
        what: What is measured, and what it is compared with.
        where: Where results are kept.
        publishing: What becomes of them.
        root: Folder of the checkout.

    Raises:
        BadInput: There is no checkout or no such commit, or another nightly runs.
    """
    repository = Repository(root)
    base = repository.resolve(what.base) if what.base else None
    branch = ResultsBranch(root, where.branch) if where.branch else None
    folder = root / ".asv"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "nightly.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise BadInput(f"another nightly holds {str(lock.lock_file)!r}") from None
    with held:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Of one commit, a profile with fewer parameters would replace the results of another.
        kept = where.results or folder / what.profile / "results"
        if branch:
            kept = branch.open(folder / "branch") / "results" / what.profile
        yield Session(what, where, publishing, repository, base, branch, kept.resolve())


class Session:
    """What a night does, in its order.

    Args:
        what: What is measured.
        where: Where results are kept, as it was asked for.
        publishing: What becomes of them.
        repository: The checkout, whose HEAD is judged.
        base: Full hash of the commit to compare with, if one is given.
        branch: The branch that results are kept on, if there is one; checked out.
        kept: Folder of the results.

    Raises:
        BadInput: asv's configuration or the journal is damaged.
    """

    def __init__(
        self,
        what: MeasuringOptions,
        where: ResultsOptions,
        publishing: PublishingOptions,
        repository: Repository,
        base: str | None,
        branch: ResultsBranch | None,
        kept: Path,
    ) -> None:
        self._what = what
        self._repository = repository
        self._head = repository.head
        self._given_base = base
        configuration = Configuration.load(repository.root, kept)
        kept.mkdir(parents=True, exist_ok=True)
        folder = repository.root / ".asv"
        scratch = Configuration.load(repository.root, folder / "again" / "results")
        machine = what.machine or str(AsvMachine.get_unique_machine_name())
        when = datetime.datetime.now(datetime.UTC)
        logs = folder / "logs" / when.strftime("%Y%m%d-%H%M%S")
        config = folder / "nightly.conf.json"
        self._asv = Asv(configuration, what.profile, machine, logs, config)
        again = Asv(scratch, what.profile, machine, logs, folder / "again.conf.json")
        self._journal = Journal(kept, machine, what.profile)
        self._keeper = Keeper(self._journal, what.profile, when, branch, publishing.push)
        self._acceptance = acceptance_command(repository.head, machine, what, where, publishing)
        self._kept = MachineResults(kept, machine, what.bench)
        self._measuring = Measuring(self._asv, self._kept, again, self._keeper.save)
        thresholds = configuration.thresholds
        self._judge = Judge(repository, self._kept, self._measuring, thresholds, what.rounds)
        self._pages = None if publishing.no_publish else configuration.html_dir
        self._publisher = Publisher(self._asv, publishing.summary, self._pages is not None)

    def accept(self, revision: str, reason: str) -> int:
        """Call a commit good.

        Args:
            revision: The commit.
            reason: Why a person accepts it.

        Returns:
            0.

        Raises:
            BadInput: There is no such commit, or the branch could not be saved.
        """
        commit = self._repository.resolve(revision)
        before = self._journal.find(commit)
        self._keeper.verdict(commit, "accepted", [reason], facts=before.facts if before else None)
        if self._keeper.problem:
            raise BadInput(self._keeper.problem)
        print(f"accepted: {self._repository.title(commit)}")
        return 0

    def run(self) -> int:
        """Measure, judge, publish.

        Returns:
            The exit code: 1 if something got worse, else 2 if the branch could not be saved or the
            pages not be written, else 0.

        Raises:
            BadInput: It could not measure.
        """
        try:
            found = self._find()
        except BadInput as error:
            self._publisher.not_measured(error)
            raise
        problem = self._publisher.publish(found) or self._keeper.problem
        if problem:
            print(f"nightly: {problem}", file=sys.stderr)
        return 1 if found.red else 2 if problem else 0

    def _find(self) -> Findings:
        """Measure, judge, and keep the verdict."""
        facts = examine()
        if self._what.require_gpu:
            require_gpu(facts)
        notes = facts.warnings()
        if self._repository.is_dirty("bench/asv_benchmarks", "asv.conf.json"):
            notes.append("benchmarks are those of the working tree, which is not committed")
        damaged = set_aside_damaged(self._kept.folder)
        notes += [f"half-written results set aside: {path}" for path in damaged]
        good = self._journal.good(self._repository.ancestors(self._head))
        last = None if self._given_base else self._journal.last_good(good, self._head)
        base = self._given_base or (last.commit if last else None)
        self._asv.introduce_machine()
        self._asv.discover(self._head)
        for commit in self._to_measure(base):
            notes += self._measuring.complete(commit)
        changed = facts.differs_from(last.facts) if last and last.facts else []
        if base and base != self._head and changed:
            notes.append(self._measuring.on_changed_machine(base, self._head, changed))
        accepted = last is not None and last.verdict == "accepted"
        judgement = self._judge.against(base, accepted) if base else self._judge.without_base()
        creeping = Creeping()
        if last:
            earlier = [night for night in good if night.commit != self._head]
            creeping = self._judge.small_steps(earlier, judgement.worse)
        found = self._findings(judgement, creeping, [*notes, *judgement.notes])
        if not (self._what.base or self._what.bench):
            self._keep_verdict(found, facts)
        return found

    def _to_measure(self, base: str | None) -> list[str]:
        """The commits to measure, the base first, HEAD last."""
        if base is None:
            return [self._head]
        new = [self._head]
        if not self._given_base:
            new = unmeasured(self._repository, self._kept, base, self._what.commits)
        return list(dict.fromkeys([base, *new]))

    def _findings(self, judgement: Judgement, creeping: Creeping, notes: Sequence[str]) -> Findings:
        repository = self._repository
        failed = any(c.new is not None and not is_number(c.new) for c in judgement.worse)
        return Findings(
            title=repository.title(self._head),
            commit=self._head,
            base_title=repository.title(judgement.base) if judgement.base else None,
            profile=self._what.profile,
            machine=self._kept.machine,
            judgement=judgement,
            creeping=creeping,
            measured=sum(map(is_number, self._kept.values(self._head).values())),
            notes=notes,
            reasons=self._asv.failures() if failed else [],
            logs=self._asv.logs,
            pages=self._pages,
            config=self._asv.config.relative_to(repository.root),
            accept=self._acceptance,
        )

    def _keep_verdict(self, found: Findings, facts: Machine) -> None:
        own = self._journal.find(self._head)
        if own and own.verdict == "accepted" and not found.red:
            return
        self._keeper.verdict(
            self._head,
            "bad" if found.red else "good",
            [change.describe() for change in found.worse],
            found.judgement.base,
            facts,
        )
