"""One night: it is alone, and does one thing after the other."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from bench.text.errors import BadInput
from bench.tracking.branch import ResultsBranch
from bench.tracking.commits import Repository
from bench.tracking.findings import Creeping, Findings, Judgement
from bench.tracking.machine import Machine, examine, require_gpu
from bench.tracking.measuring import unmeasured
from bench.tracking.options import MeasuringOptions, PublishingOptions, ResultsOptions
from bench.tracking.parts import Parts
from bench.tracking.result_files import set_aside_damaged
from bench.tracking.results import Value, is_number, lost_value


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
        BadInput: There is no checkout or no such commit, another nightly runs, or `Parts.assemble`
            raises it.
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
        yield Session(what, base, Parts.assemble(what, where, publishing, repository, branch))


class Session:
    """What a night does, in its order.

    Args:
        what: What is measured.
        base: Full hash of the commit to compare with, if one is given.
        parts: What it works with.
    """

    def __init__(self, what: MeasuringOptions, base: str | None, parts: Parts) -> None:
        self._what = what
        self._given_base = base
        self._parts = parts
        self._head = parts.repository.head

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
        keeper, repository = self._parts.keeper, self._parts.repository
        commit = repository.resolve(revision)
        before = self._parts.journal.find(commit)
        keeper.verdict(commit, "accepted", [reason], facts=before.facts if before else None)
        if keeper.problem:
            raise BadInput(keeper.problem)
        print(f"accepted: {repository.title(commit)}")
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
            self._parts.publisher.not_measured(error)
            raise
        problem = self._parts.publisher.publish(found) or self._parts.keeper.problem
        if problem:
            print(f"nightly: {problem}", file=sys.stderr)
        return 1 if found.red else 2 if problem else 0

    def _find(self) -> Findings:
        """Measure, judge, and keep the verdict."""
        parts, head = self._parts, self._head
        facts = examine()
        if self._what.require_gpu:
            require_gpu(facts)
        notes = [*facts.warnings(), *self._notes_on_files()]
        good = parts.journal.good(parts.repository.ancestors(head))
        last = None if self._given_base else parts.journal.last_good(good, head)
        base = self._given_base or (last.commit if last else None)
        parts.judge.learn([night for night in good if night.commit != head], facts)
        parts.asv.introduce_machine()
        parts.asv.discover(head)
        # Before the base is completed, which drops what no longer exists.
        gone = self._gone(base) if base else {}
        for commit in self._to_measure(base):
            notes += parts.measuring.complete(commit)
        self._refuse_nothing()
        changed = facts.differs_from(last.facts) if last and last.facts else []
        if base and base != head and changed:
            notes.append(parts.measuring.on_changed_machine(base, head, changed))
        accepted = last is not None and last.verdict == "accepted"
        judgement = (
            parts.judge.against(base, accepted, gone) if base else parts.judge.without_base()
        )
        creeping = Creeping()
        if last:
            earlier = [night for night in good if night.commit != head]
            creeping = parts.judge.small_steps(earlier, judgement.worse)
        found = self._findings(judgement, creeping, [*notes, *judgement.notes])
        if not (self._what.base or self._what.bench):
            self._keep_verdict(found, facts, gone)
        return found

    def _gone(self, base: str) -> dict[str, Value]:
        """What was measured of the base, or before a bad commit after it, and cannot be any more.

        Nothing of it where a person has accepted HEAD.
        """
        parts = self._parts
        own = parts.journal.find(self._head)
        if own and own.verdict == "accepted":
            return {}
        apart = self._given_base or self._what.bench
        since = [] if apart else parts.repository.between(base, self._head)
        found = {n: lost_value(n, number) for n, number in parts.journal.gone(since).items()}
        there = parts.kept.names()
        return {
            name: value
            for name, value in {**found, **parts.kept.removed(base)}.items()
            if name not in there
        }

    def _refuse_nothing(self) -> None:
        """Nothing measured is nothing to call good.

        Raises:
            BadInput: No value of HEAD was measured, not even one that failed.
        """
        if not self._parts.kept.values(self._head):
            asked = " ".join(f"--bench {regex!r}" for regex in self._what.bench)
            why = (
                f"{asked} matches no benchmark"
                if asked
                else "asv ran no benchmark in any environment"
            )
            raise BadInput(f"nothing was measured of {self._head[:10]}: {why}")

    def _notes_on_files(self) -> list[str]:
        """Sentences about files that are not as they should be; damaged ones are set aside."""
        notes = []
        if self._parts.repository.is_dirty("bench/asv_benchmarks", "asv.conf.json"):
            notes.append("benchmarks are those of the working tree, which is not committed")
        damaged = set_aside_damaged(self._parts.kept.folder)
        return [*notes, *(f"half-written results set aside: {path}" for path in damaged)]

    def _to_measure(self, base: str | None) -> list[str]:
        """The commits to measure, the base first, HEAD last."""
        if base is None:
            return [self._head]
        new = [self._head]
        if not self._given_base:
            most = self._what.commits
            new = unmeasured(self._parts.repository, self._parts.kept, base, most)
        return list(dict.fromkeys([base, *new]))

    def _findings(self, judgement: Judgement, creeping: Creeping, notes: Sequence[str]) -> Findings:
        parts, head = self._parts, self._head
        failed = any(c.new is not None and not is_number(c.new) for c in judgement.worse)
        return Findings(
            title=parts.repository.title(head),
            commit=head,
            base_title=parts.repository.title(judgement.base) if judgement.base else None,
            profile=self._what.profile,
            machine=parts.kept.machine,
            judgement=judgement,
            creeping=creeping,
            measured=sum(map(is_number, parts.kept.values(head).values())),
            notes=notes,
            reasons=parts.asv.failures() if failed else [],
            logs=parts.asv.logs,
            pages=parts.pages,
            config=parts.asv.config.relative_to(parts.repository.root),
            accept=parts.acceptance,
        )

    def _keep_verdict(self, found: Findings, facts: Machine, gone: Mapping[str, Value]) -> None:
        own = self._parts.journal.find(self._head)
        if own and own.verdict == "accepted" and not found.red:
            return
        self._parts.keeper.verdict(
            self._head,
            "bad" if found.red else "good",
            [change.describe() for change in found.worse],
            found.judgement.base,
            facts,
            {name: value.value for name, value in gone.items() if value.value is not None},
        )
